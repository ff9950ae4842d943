"""Policy rules as pure values: what one rule allows, whether rules cover others, and how they are told.

Owns the arithmetic of RBAC. Leaves who has which rules to `rbac`, when it matters to `escalation`.
Source: kubernetes `pkg/apis/rbac/v1/evaluation_helpers.go`, `helpers.go`, component-helpers
`auth/rbac/validation/policy_comparator.go`, `policy_compact.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sampan.api import goprint
from sampan.api.rbac.v1 import PolicyRule
from sampan.apiserver.request import Attributes

MOST_PARTS = 10_000
"""A rule is the product of its lists: a short one can mean more than there is memory for."""


class TooManyParts(Exception):
    """Rules mean too much to be judged part by part."""


class Rule(NamedTuple):
    """A `PolicyRule` as immutable data."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, attributes: Attributes) -> bool:
        """Whether the rule allows it, its resource names included."""
        if attributes.is_resource:
            return (self.allows_resource(attributes.verb, attributes.group, attributes.resource, attributes.subresource)
                    and (not self.names or attributes.name in self.names))
        return self.allows_url(attributes.verb, attributes.path)

    def allows_resource(self, verb: str, group: str, resource: str, subresource: str) -> bool:
        """Whether the rule is about that, some resource names aside."""
        if verb not in self.verbs and "*" not in self.verbs:
            return False
        if group not in self.groups and "*" not in self.groups:
            return False
        if "*" in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources

    def allows_url(self, verb: str, path: str) -> bool:
        """Whether the rule allows a path that is no resource."""
        if verb not in self.verbs and "*" not in self.verbs:
            return False
        return any(_url_matches(pattern, path) for pattern in self.urls)

    def covers(self, other: Rule) -> bool:
        """Whether this rule allows all that the other one, a broken-down one, does."""
        verbs = "*" in self.verbs or set(other.verbs) <= set(self.verbs)
        groups = "*" in self.groups or set(other.groups) <= set(self.groups)
        names = not self.names if not other.names else not self.names or set(other.names) <= set(self.names)
        return (verbs and groups and names and _covers_resources(self.resources, other.resources)
                and all(any(_url_covers(mine, url) for mine in self.urls) for url in other.urls))

    def __str__(self) -> str:
        parts = (("APIGroups", self.groups), ("Resources", self.resources), ("NonResourceURLs", self.urls),
                 ("ResourceNames", self.names), ("Verbs", self.verbs))
        return "{" + ", ".join(f"{word}:{quoted(values)}" for word, values in parts if values) + "}"

    def wire(self) -> dict[str, list[str]]:
        """As SelfSubjectRulesReview has it."""
        if self.urls:
            return {"verbs": list(self.verbs), "nonResourceURLs": list(self.urls)}
        found = {"verbs": list(self.verbs), "apiGroups": list(self.groups), "resources": list(self.resources),
                 "resourceNames": list(self.names)}
        return {key: values for key, values in found.items() if values or key == "verbs"}


def quoted(values: Iterable[str]) -> str:
    """Go's `%q` of a slice of strings."""
    return f"[{' '.join(map(goprint.quote, values))}]"


def rule_of(rule: PolicyRule) -> Rule:
    """From the wire."""
    return Rule(tuple(rule.verbs or ()), tuple(rule.apiGroups), tuple(rule.resources), tuple(rule.resourceNames),
                tuple(rule.nonResourceURLs))


def rules_of(rules: Sequence[PolicyRule] | None) -> tuple[Rule, ...]:
    """From the wire; None is no rule."""
    return tuple(map(rule_of, rules or ()))


def missing(owned: Sequence[Rule], wanted: Sequence[Rule]) -> list[Rule]:
    """The broken-down parts of `wanted` that no rule of `owned` covers.

    Raises:
        TooManyParts: Rules that none covers as a whole have more than `MOST_PARTS`.
    """
    doubtful = [rule for rule in wanted if not any(one.covers(rule) for one in owned)]
    if sum(map(_parts, doubtful)) > MOST_PARTS:
        raise TooManyParts
    parts = [part for rule in doubtful for part in _broken_down(rule)]
    return [part for part in parts if not any(rule.covers(part) for rule in owned)]


def compact(rules: Sequence[Rule]) -> list[Rule]:
    """Rules about one resource of one group that differ in their verbs alone, made one."""
    simple: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[str]] = {}
    rest: list[Rule] = []
    for rule in rules:
        if rule.urls or len(rule.groups) != 1 or len(rule.resources) != 1 or len(rule.names) > 1:
            rest.append(rule)
            continue
        verbs = simple.setdefault((rule.groups, rule.resources, rule.names), [])
        verbs += [verb for verb in rule.verbs if verb not in verbs]
    return rest + [Rule(tuple(verbs), *key) for key, verbs in simple.items()]


def _parts(rule: Rule) -> int:
    return len(rule.verbs) * (len(rule.groups) * len(rule.resources) * max(len(rule.names), 1) + len(rule.urls))


def _broken_down(rule: Rule) -> list[Rule]:
    names: tuple[tuple[str, ...], ...] = tuple((name,) for name in rule.names) or ((),)
    parts = [Rule((verb,), (group,), (resource,), name)
             for group in rule.groups for resource in rule.resources for verb in rule.verbs for name in names]
    return parts + [Rule((verb,), urls=(url,)) for url in rule.urls for verb in rule.verbs]


def _covers_resources(mine: tuple[str, ...], others: tuple[str, ...]) -> bool:
    if "*" in mine:
        return True
    for other in others:
        _, slash, subresource = other.partition("/")
        if other not in mine and not (slash and f"*/{subresource}" in mine):
            return False
    return True


def _url_covers(mine: str, other: str) -> bool:
    return mine in ("*", other) or (mine.endswith("*") and other.startswith(mine.rstrip("*")))


def _url_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))
