"""Audit policies (audit.k8s.io/v1): the first rule that matches a request says how much is told about it.

Pure. Source: apiserver `pkg/audit/policy/{checker,reader}.go`, `pkg/apis/audit/validation`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from sampan.api import field, names
from sampan.api.errors import FieldError
from sampan.apiserver.configfile import ConfigFile, Headed
from sampan.apiserver.request import RequestInfo, User
from sampan.lib.errors import ConfigError

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resources of one group; `pods/log`, `pods/*`, `*/scale` and `*` are possible."""

    group: str = ""
    resources: list[str] = []
    resourceNames: list[str] = []


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left empty matches everything."""

    level: str = ""
    users: list[str] = []
    userGroups: list[str] = []
    verbs: list[str] = []
    resources: list[Resources] = []
    namespaces: list[str] = []
    nonResourceURLs: list[str] = []
    omitStages: list[str] = []
    omitManagedFields: bool | None = None


class Policy(Headed, frozen=True):
    """A policy file."""

    rules: list[Rule] = []
    omitStages: list[str] = []
    omitManagedFields: bool = False


@dataclass(frozen=True)
class Telling:
    """How a request is told about."""

    level: str = "None"
    omitted: frozenset[str] = dataclasses.field(default_factory=frozenset)
    managed_fields: bool = True

    def at_least(self, level: str) -> bool:
        return LEVELS.index(self.level) >= LEVELS.index(level)


NOTHING = Telling()


_FILE = ConfigFile("audit policy", Policy, "Policy", ("audit.k8s.io/v1",))


def load(text: bytes, origin: str) -> Policy:
    """A policy file, YAML or JSON.

    Raises:
        ConfigError: It is none, or it says what can't be.
    """
    policy = _FILE.read(text, origin)
    if not policy.rules:
        raise ConfigError(f"loaded illegal policy with 0 rules from file {origin}")
    rules = field.Path("rules")
    found = [error for index, rule in enumerate(policy.rules) for error in _rule_errors(rule, rules.index(index))]
    _FILE.refuse(origin, [*found, *_stage_errors(policy.omitStages, field.Path("omitStages"))])
    return policy


def _rule_errors(rule: Rule, path: field.Path) -> list[FieldError]:
    found: list[FieldError] = []
    if not rule.level:
        found.append(field.required(path / "level"))
    elif rule.level not in LEVELS:
        found.append(field.not_supported(path / "level", rule.level, LEVELS))
    urls = path / "nonResourceURLs"
    for index, url in enumerate(rule.nonResourceURLs):
        if url == "*":
            continue
        if not url.startswith("/"):
            found.append(field.invalid(urls.index(index), url, "non-resource URL rules must begin with a '/' character"))
        if "*" in url[:-1]:
            found.append(field.invalid(urls.index(index), url, "non-resource URL wildcards '*' must be the final character of the rule"))
    for one in rule.resources:  # without an index, as upstream
        if one.group and (messages := names.dns1123_subdomain(one.group)):
            found.append(field.invalid(path.child("resources", "group"), one.group, ",".join(messages)))
        if one.resourceNames and not one.resources:
            found.append(field.invalid(path.child("resources", "resourceNames"), one.resourceNames, "using resourceNames requires at least one resource"))
    found += _stage_errors(rule.omitStages, path / "omitStages")
    if rule.nonResourceURLs and (rule.resources or rule.namespaces):
        found.append(field.invalid(urls, rule.nonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
    return found


def _stage_errors(stages: Sequence[str], path: field.Path) -> list[FieldError]:
    return [field.invalid(path.index(index), stage, f"allowed stages are {','.join(STAGES)}") for index, stage in enumerate(stages) if stage not in STAGES]


def telling(policy: Policy, info: RequestInfo, user: User) -> Telling:
    """What the first matching rule says; nothing is told where none matches."""
    for rule in policy.rules:
        if _matches(rule, info, user):
            fields = policy.omitManagedFields if rule.omitManagedFields is None else rule.omitManagedFields
            return Telling(rule.level, frozenset((*policy.omitStages, *rule.omitStages)), not fields)
    return NOTHING


def _matches(rule: Rule, info: RequestInfo, user: User) -> bool:
    if rule.users and user.name not in rule.users:
        return False
    if rule.userGroups and not set(rule.userGroups) & set(user.groups):
        return False
    if rule.verbs and info.verb not in rule.verbs:
        return False
    if rule.namespaces or rule.resources:
        return _resource(rule, info)
    if rule.nonResourceURLs:
        return not info.is_resource and any(_path(url, info.path) for url in rule.nonResourceURLs)
    return True


def _path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _resource(rule: Rule, info: RequestInfo) -> bool:
    if not info.is_resource or (rule.namespaces and info.namespace not in rule.namespaces):
        return False
    if not rule.resources:
        return True
    for one in rule.resources:
        if one.group != info.group:
            continue
        if not one.resources:
            return True
        if (not one.resourceNames or info.name in one.resourceNames) and any(_either(item, info) for item in one.resources):
            return True
    return False


def _either(item: str, info: RequestInfo) -> bool:
    whole = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    return (item in ("*", whole) or (bool(info.subresource) and item == f"*/{info.subresource}")
            or item == f"{info.resource}/*")
