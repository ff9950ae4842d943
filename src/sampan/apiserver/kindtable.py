"""The catalog of built-in kinds: every resource, with the kind that knows its rules."""

from __future__ import annotations

from sampan.api.resources import ALL
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.conversion import STORED


def catalog() -> Catalog:
    """Everything that is built in."""
    made = Catalog()
    for resource in ALL:
        stored, outward, inward = STORED.get(resource, (resource, None, None))
        made.add(Served(resource, None, stored, outward, inward))
    return made
