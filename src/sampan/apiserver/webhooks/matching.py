"""Which webhooks a request concerns: rules, equivalent resources, selectors of namespaces and objects.

Pure, but for reading namespaces. Source: apiserver `pkg/admission/plugin/webhook/{generic/webhook.go,predicates}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.api.admissionregistration.v1 import NamedRuleWithOperations, RuleWithOperations
from sampan.api.errors import NotFound
from sampan.api.resourceinfo import Resource
from sampan.api.resources import NAMESPACES
from sampan.apiserver import metadata
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.watchcache import Readers
from sampan.apiserver.webhooks.source import Hook

EXEMPT = frozenset((
    "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
))
"""Kinds that no webhook is asked about, so that a broken one can always be removed."""


@dataclass(frozen=True)
class Kind:
    """Group, version and kind."""

    group: str
    version: str
    kind: str

    def wire(self) -> dict[str, str]:
        return {"group": self.group, "version": self.version, "kind": self.kind}


def exempt(resource: Resource[Any]) -> bool:
    """Whether no webhook is ever asked about it."""
    return resource.group == "admissionregistration.k8s.io" and resource.kind in EXEMPT


def namespace_of(request: AdmissionRequest) -> str:
    """The request's namespace; for a namespace its own name."""
    if request.resource.plural == "namespaces" and not request.resource.group:
        return request.name
    return request.namespace


def kind_of(resource: Resource[Any], subresource: str) -> Kind:
    """What the objects of such requests are."""
    for sub in resource.subresources:
        if sub.name == subresource:
            group, _, version = sub.group_version.rpartition("/")
            return Kind(group, version, sub.kind)
    return Kind(resource.group, resource.version, resource.kind)


def equivalents(catalog: Catalog, resource: Resource[Any]) -> list[Served]:
    """Other resources that show the same stored objects, stored or made by a webhook."""
    own = catalog.find(resource.group, resource.version, resource.plural)
    if own is None or own.virtual:
        return []
    return [one for one in catalog if one is not own and one.stored.group == own.stored.group
            and one.stored.plural == own.stored.plural and not one.virtual]


# -- rules -----------------------------------------------------------------------------------------------------------


def rule_matches(rule: RuleWithOperations | NamedRuleWithOperations, request: AdmissionRequest, resource: Resource[Any]) -> bool:
    """Whether a rule speaks of the request, taken as one about `resource`."""
    return (_either(rule.operations, request.operation) and _either(rule.apiGroups, resource.group)
            and _either(rule.apiVersions, resource.version) and _resource(rule.resources, resource.plural, request.subresource)
            and _scope(rule.scope, request))


def _either(items: Iterable[str], wanted: str) -> bool:
    return any(item in ("*", wanted) for item in items)


def _resource(items: Iterable[str], plural: str, subresource: str) -> bool:
    for item in items:
        resource, _, sub = item.partition("/")
        if resource in ("*", plural) and sub in ("*", subresource):
            return True
    return False


def _scope(scope: str | None, request: AdmissionRequest) -> bool:
    # a namespace is not in a namespace, whatever its requests say
    namespaced = bool(request.namespace) and not (request.resource.plural == "namespaces" and not request.resource.group)
    return scope in (None, "*") or (scope == "Namespaced") == namespaced


# -- selectors -------------------------------------------------------------------------------------------------------


def in_namespace(hook: Hook, request: AdmissionRequest, readers: Readers) -> bool:
    """Whether the webhook's namespace selector takes the request.

    Raises:
        NotFound: There is no such namespace.
    """
    namespace = namespace_of(request)
    if hook.namespaces.empty or not namespace:
        return True
    if request.resource.plural == "namespaces" and not request.subresource and request.operation in ("CREATE", "UPDATE"):
        return hook.namespaces.matches(metadata.meta_of(request.object).labels or {})
    entry = readers.of(NAMESPACES).get("", namespace)
    if entry is None:
        raise NotFound.of("namespaces", "", namespace)
    return hook.namespaces.matches(entry.labels)


def of_object(hook: Hook, objects: Sequence[Any]) -> bool:
    """Whether the webhook's object selector takes one of the objects."""
    if hook.objects.empty:
        return True
    return any(hook.objects.matches(labels) for labels in map(_labels, objects) if labels is not None)


def _labels(obj: Any) -> dict[str, str] | None:
    if isinstance(obj, dict):
        meta = obj.get("metadata")
        return (meta.get("labels") or {}) if isinstance(meta, dict) else None
    meta = getattr(obj, "metadata", None)
    return None if meta is None else (getattr(meta, "labels", None) or {})


def target(hook: Hook, request: AdmissionRequest, catalog: Catalog) -> Resource[Any] | None:
    """As what resource the webhook is asked about the request; None: not at all."""
    rules = hook.webhook.rules
    if any(rule_matches(rule, request, request.resource) for rule in rules):
        return request.resource
    if hook.webhook.matchPolicy == "Equivalent":
        others = equivalents(catalog, request.resource)
        for rule in rules:
            for other in others:
                if rule_matches(rule, request, other.resource):
                    return other.resource
    return None
