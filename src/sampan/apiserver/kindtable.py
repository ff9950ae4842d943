"""The catalog of built-in kinds: every resource, with the kind that knows its rules."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sampan.api import names
from sampan.api.resourceinfo import Resource
from sampan.api.resources import ALL, API_SERVICES
from sampan.api.scalars import Time
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.conversion import STORED
from sampan.kinds.kind import Kind

GROUPS = ("core", "apps", "batch", "rbac", "coordination", "scheduling", "policy", "node", "storage", "networking", "discovery",
          "events", "autoscaling", "certificates", "flowcontrol", "resource", "admissionregistration", "apiextensions", "apiregistration")
PLAIN_NAMES = {API_SERVICES: names.path_segment_name}
"""How names are judged where no kind says it."""


def kinds() -> dict[Resource[Any], Kind[Any]]:
    """The kinds that say something about themselves, by resource."""
    return {kind.resource: kind for kind in _all()}


def _all() -> tuple[Kind[Any], ...]:
    if find_spec("sampan.kinds.all") is not None:
        return tuple(import_module("sampan.kinds.all").ALL)
    found: list[Kind[Any]] = []
    for group in GROUPS:
        if find_spec(f"sampan.kinds.{group}") is not None:
            found += getattr(import_module(f"sampan.kinds.{group}"), "KINDS", ())
    return tuple(found)


def catalog() -> Catalog:
    """Everything that is built in."""
    known = kinds()
    made = Catalog()
    for resource in ALL:
        kind = known.get(resource) or Kind(resource=resource, name_check=PLAIN_NAMES.get(resource))
        stored, outward, inward = STORED.get(resource, (resource, None, None))
        made.add(Served(resource, kind, stored, outward, inward))
    return made


class NoFields:
    """Keeps no managed fields."""

    def record(self, served: Served, new: Any, old: Any, *, manager: str, subresource: str, now: Time) -> None:
        """Do nothing."""


def field_manager() -> NoFields:
    return NoFields()
