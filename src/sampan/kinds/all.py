"""Every kind that is built in. The list of groups stands here; each group lists its own kinds.

A group's modules and wire types are imported when the first of its kinds is asked for. A resource that no group
has a kind for gets a plain one: it can be stored, and that is all.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sampan.api import resources
from sampan.api.resourceinfo import Resource
from sampan.kinds.kind import Kind

GROUPS = {
    "": "sampan.kinds.core.kinds",
    "admissionregistration.k8s.io": "sampan.kinds.admissionregistration",
    "apiextensions.k8s.io": "sampan.kinds.apiextensions",
    "apiregistration.k8s.io": "sampan.kinds.apiregistration",
    "apps": "sampan.kinds.apps",
    "autoscaling": "sampan.kinds.autoscaling",
    "batch": "sampan.kinds.batch",
    "certificates.k8s.io": "sampan.kinds.certificates",
    "coordination.k8s.io": "sampan.kinds.coordination",
    "discovery.k8s.io": "sampan.kinds.discovery",
    "events.k8s.io": "sampan.kinds.events",
    "flowcontrol.apiserver.k8s.io": "sampan.kinds.flowcontrol",
    "networking.k8s.io": "sampan.kinds.networking",
    "node.k8s.io": "sampan.kinds.node",
    "policy": "sampan.kinds.policy",
    "rbac.authorization.k8s.io": "sampan.kinds.rbac",
    "resource.k8s.io": "sampan.kinds.resource",
    "scheduling.k8s.io": "sampan.kinds.scheduling",
    "storage.k8s.io": "sampan.kinds.storage",
}


@cache
def _group(name: str) -> dict[Resource[Any], Kind[Any]]:
    module = GROUPS.get(name)
    if module is None or find_spec(module) is None:
        return {}
    kinds: tuple[Kind[Any], ...] = getattr(import_module(module), "KINDS", ())
    return {kind.resource: kind for kind in kinds}


@cache
def kind_of(resource: Resource[Any]) -> Kind[Any]:
    """The kind of a built-in resource (of any resource: a plain one where none is known)."""
    return _group(resource.group).get(resource) or Kind(resource=resource)


@cache
def all_kinds() -> tuple[Kind[Any], ...]:
    """One kind for each built-in resource, in the order of `sampan.api.resources`. Imports every group."""
    return tuple(kind_of(resource) for resource in resources.ALL)


def __getattr__(name: str) -> Any:
    if name == "ALL":
        return all_kinds()
    raise AttributeError(name)
