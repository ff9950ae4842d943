"""Audit policies (audit.k8s.io/v1): the first rule that matches a request says how much is told about it.

Pure. Source: apiserver `pkg/audit/policy/{checker,reader}.go`, `pkg/apis/audit/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.api import codec, yamlbody
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

    level: str
    users: list[str] = []
    userGroups: list[str] = []
    verbs: list[str] = []
    resources: list[Resources] = []
    namespaces: list[str] = []
    nonResourceURLs: list[str] = []
    omitStages: list[str] = []
    omitManagedFields: bool | None = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy file."""

    kind: str
    apiVersion: str
    rules: list[Rule] = []
    omitStages: list[str] = []
    omitManagedFields: bool = False
    metadata: dict[str, Any] = {}


@dataclass(frozen=True)
class Telling:
    """How a request is told about."""

    level: str = "None"
    omitted: frozenset[str] = field(default_factory=frozenset)
    managed_fields: bool = True

    def at_least(self, level: str) -> bool:
        return LEVELS.index(self.level) >= LEVELS.index(level)


NOTHING = Telling()


def load(text: bytes, origin: str) -> Policy:
    """A policy file, YAML or JSON.

    Raises:
        ConfigError: It is none, or it says what can't be.
    """
    try:
        policy = codec.decode(Policy, yamlbody.to_json(text).body)
    except (yamlbody.YAMLError, codec.DecodeError) as error:
        raise ConfigError(f"the audit policy {origin} can't be read: {error}") from None
    if (policy.apiVersion, policy.kind) != ("audit.k8s.io/v1", "Policy"):
        raise ConfigError(f"the audit policy {origin} is no Policy of audit.k8s.io/v1 but {policy.kind} of {policy.apiVersion}")
    if not policy.rules:
        raise ConfigError(f"loaded illegal policy with 0 rules from file {origin}")
    wrong = [text for index, rule in enumerate(policy.rules) for text in _mistakes(rule, f"rules[{index}]")]
    wrong += _unknown(policy.omitStages, "omitStages")
    if wrong:
        raise ConfigError(f"the audit policy {origin} is invalid: {', '.join(wrong)}")
    return policy


def _mistakes(rule: Rule, at: str) -> list[str]:
    wrong = _unknown(rule.omitStages, f"{at}.omitStages")
    if rule.level not in LEVELS:
        wrong.append(f'{at}.level: Unsupported value: "{rule.level}": supported values: {", ".join(LEVELS)}')
    if rule.nonResourceURLs and (rule.resources or rule.namespaces):
        wrong.append(f"{at}.nonResourceURLs: Invalid value: rules cannot apply to both regular resources and non-resource URLs")
    for index, url in enumerate(rule.nonResourceURLs):
        if url != "*" and (not url.startswith("/") or "*" in url[:-1]):
            wrong.append(f'{at}.nonResourceURLs[{index}]: Invalid value: "{url}": must begin with "/", "*" only at its end')
    return wrong


def _unknown(stages: Sequence[str], at: str) -> list[str]:
    return [f'{at}: Unsupported value: "{stage}"' for stage in stages if stage not in STAGES]


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
