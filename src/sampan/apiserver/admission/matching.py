"""Which requests a policy (or a webhook) is about: its rules and selectors.

Source: apiserver `pkg/admission/plugin/webhook/predicates`, `pkg/admission/plugin/policy/matching`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sampan.api import selectors
from sampan.api.admissionregistration.v1 import MatchResources
from sampan.api.resourceinfo import Resource
from sampan.api.resources import NAMESPACES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.watchcache import Readers

Others = Callable[[Resource[Any]], Sequence[Resource[Any]]]


class RuleLike(Protocol):
    """What rules of policies and of webhooks have in common."""

    operations: list[str]
    apiGroups: list[str]
    apiVersions: list[str]
    resources: list[str]
    scope: str | None


def rule_matches(rule: RuleLike, request: AdmissionRequest, resource: Resource[Any]) -> bool:
    """Whether one rule names the request, taken as one about `resource`."""
    if not (_has(rule.operations, request.operation) and _has(rule.apiGroups, resource.group) and _has(rule.apiVersions, resource.version)):
        return False
    namespaced = bool(request.namespace) and resource.plural != "namespaces"
    if (rule.scope == "Namespaced" and not namespaced) or (rule.scope == "Cluster" and namespaced):
        return False
    return any(_resource(one, resource.plural, request.subresource) for one in rule.resources)


def _has(given: Iterable[str], wanted: str) -> bool:
    return any(one in ("*", wanted) for one in given)


def _resource(pattern: str, plural: str, subresource: str) -> bool:
    name, _, sub = pattern.partition("/")
    return name in ("*", plural) and sub in ("*", subresource) if "/" in pattern else name in ("*", plural) and not subresource


def matched(match: MatchResources | None, request: AdmissionRequest, readers: Readers, others: Others) -> Resource[Any] | None:
    """As what resource rules, exclusions and selectors let the request through; None: not at all.

    `others` tells what else shows a resource's objects: the policy Equivalent takes their rules for this one's.
    """
    if match is None:
        return request.resource
    if not (namespace_selected(match.namespaceSelector, request, readers) and object_selected(match.objectSelector, request)):
        return None
    if _named(match.excludeResourceRules, request, match.matchPolicy, others) is not None:
        return None
    return _named(match.resourceRules, request, match.matchPolicy, others) if match.resourceRules else request.resource


def _named(rules: Sequence[Any], request: AdmissionRequest, policy: str | None, others: Others) -> Resource[Any] | None:
    named = [rule for rule in rules if not rule.resourceNames or request.name in rule.resourceNames]
    if any(rule_matches(rule, request, request.resource) for rule in named):
        return request.resource
    if not named or policy == "Exact":
        return None
    also = others(request.resource)
    return next((other for rule in named for other in also if rule_matches(rule, request, other)), None)


def namespace_selected(selector: Any, request: AdmissionRequest, readers: Readers) -> bool:
    """By the labels of the object's namespace; what is in none is always selected."""
    if selector is None or not (selector.matchLabels or selector.matchExpressions):
        return True
    if request.resource.plural == "namespaces" and not request.resource.group:
        labels = labels_of(request.object if request.object is not None else request.old)
    elif not request.namespace:
        return True
    else:
        entry = readers.of(NAMESPACES).get("", request.namespace)
        labels = entry.labels if entry is not None else {}
    return bool(selectors.of_label_selector(selector).matches(labels))


def object_selected(selector: Any, request: AdmissionRequest) -> bool:
    """By the object's labels, or those that it had."""
    if selector is None or not (selector.matchLabels or selector.matchExpressions):
        return True
    wanted = selectors.of_label_selector(selector)
    return any(wanted.matches(labels_of(one)) for one in (request.object, request.old) if one is not None)


def labels_of(obj: Any) -> Mapping[str, str]:
    """An object's labels."""
    if isinstance(obj, dict):
        return (obj.get("metadata") or {}).get("labels") or {}
    meta = getattr(obj, "metadata", None)
    return (meta.labels or {}) if meta is not None else {}
