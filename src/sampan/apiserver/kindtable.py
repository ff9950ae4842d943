"""The catalog of built-in kinds: every resource, with the kind that knows its rules, and what keeps managed fields."""

from __future__ import annotations

from typing import Any

from sampan.api.resources import ALL
from sampan.api.scalars import Time
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.conversion import STORED


def catalog() -> Catalog:
    """Everything that is built in."""
    made = Catalog()
    for resource in ALL:
        stored, outward, inward = STORED.get(resource, (resource, None, None))
        made.add(Served(resource, None, stored, outward, inward))
    return made


class NoFields:
    """Keeps no managed fields."""

    def record(self, served: Served, new: Any, old: Any, *, manager: str, subresource: str, now: Time) -> None:
        """Do nothing."""


def field_manager() -> NoFields:
    return NoFields()
