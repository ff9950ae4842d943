"""Who owns which field, and server-side apply: merging, conflicts, and taking away what is no longer applied.

Pure: trees of dicts, shapes and sets in, trees and sets out. `sampan.api.managedfields` reads and writes the entries.
Source: structured-merge-diff `merge/{update,conflict}.go`, apimachinery `util/managedfields/internal/conflict.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from sampan.api import fieldset, goprint, typed
from sampan.api.errors import Conflict
from sampan.api.fieldset import FieldSet
from sampan.api.schema import Shape
from sampan.api.typed import Difference

Filter = Callable[[FieldSet], FieldSet]
"""Leaves the fields that an endpoint may own (not status on the main one, only status on that of status)."""


class Manager(msgspec.Struct, frozen=True, order=True, gc=False):
    """Who owns fields. Appliers are the same whatever version they apply, so theirs is empty."""

    name: str
    operation: str  # Apply or Update
    version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        shown = goprint.quote(self.name)
        if self.subresource:
            shown += f" with subresource {goprint.quote(self.subresource)}"
        return f"{shown} using {self.version}" if self.operation == "Update" else shown


class Owned(msgspec.Struct, frozen=True, gc=False):
    """What a manager owns, in the version in which it said so; `time` is RFC 3339, `raw` the entry's unchanged text."""

    fields: FieldSet
    version: str
    time: str | None = None
    raw: bytes | None = None


Managed = dict[Manager, Owned]


class Conflicts(Conflict):
    """Others own fields that the applied configuration changes."""

    reason = "Conflict"

    def __init__(self, taken: Mapping[Manager, FieldSet]) -> None:
        self.taken = dict(taken)
        found = [(manager, path) for manager, fields in self.taken.items() for path in fieldset.paths(fields)]
        causes = [{"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
                  for manager, path in found]
        if len(found) == 1:
            manager, path = found[0]
            message = f"Apply failed with 1 conflict: conflict with {manager}: {path}"
        else:
            lines = [line for manager in sorted(self.taken)
                     for line in (f"conflicts with {manager}:", *(f"- {path}" for who, path in found if who == manager))]
            message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
        super().__init__(message, details={"causes": causes})


def take(managed: Managed, by: Manager, version: str, difference: Difference) -> tuple[Managed, dict[Manager, FieldSet]]:
    """Owners after `by` has made `difference`, and what each of the others lost to a change.

    Managers of another version than the one that the difference is in keep what they have.
    """
    out: Managed = {}
    conflicts: dict[Manager, FieldSet] = {}
    changed = fieldset.union(difference.modified, difference.added)
    for manager, owned in managed.items():
        if manager == by or owned.version != version:
            out[manager] = owned
            continue
        left = fieldset.difference(owned.fields, changed)
        if left is not owned.fields:
            conflicts[manager] = fieldset.intersection(owned.fields, changed)
        left = fieldset.difference(left, difference.removed)
        if left:
            out[manager] = owned if left is owned.fields else replace(owned, fields=left, raw=None)
    return out, conflicts


def filtered(difference: Difference, keep: Filter) -> Difference:
    """What of it an endpoint may own."""
    added, modified, removed = difference
    return Difference(added and keep(added), modified and keep(modified), removed and keep(removed))


def update(managed: Managed, by: Manager, version: str, difference: Difference, now: str) -> Managed:
    """Owners after a write that is no apply: what it changed (as far as the endpoint may own it: `filtered`) belongs to `by` now."""
    changed = fieldset.union(difference.modified, difference.added)
    own, previous = strip(changed), managed.get(by)
    if own is changed and own and previous is not None and _goes_on(previous, own, version, difference):
        out, _ = take(managed, by, version, difference)
        out[by] = Owned(previous.fields, version, now, previous.raw)
        return out
    # what the manager held before is treated like any other's, and given back with the rest
    out = take(managed, _NOBODY, version, difference)[0] if managed else {}
    if own:
        held = out.get(by)
        fields = fieldset.union(own, held.fields) if held else own
        same = previous is not None and fields == previous.fields and previous.version == version
        out[by] = Owned(fields, version, now, previous.raw if same and previous is not None else None)
    return out


_NOBODY = Manager("", "")


def _goes_on(previous: Owned, own: FieldSet, version: str, difference: Difference) -> bool:
    """Whether a manager owned before all that it owns now and lost nothing, as in most writes: values change, fields don't."""
    fields = previous.fields
    return (previous.version == version and fieldset.holds(fields, own)
            and (not difference.removed or fieldset.difference(fields, difference.removed) is fields))


def apply(shape: Shape, live: dict[str, Any], applied: dict[str, Any], managed: Managed, by: Manager, version: str,
          *, force: bool, keep: Filter) -> tuple[dict[str, Any] | None, Managed]:
    """The live tree with the configuration applied (None where nothing changed), and the owners.

    Raises:
        Conflicts: Others own what would change, and it is not forced.
        TypedError: Lists can't be merged.
    """
    merged = typed.merge(shape, live, applied)
    last = managed.get(by)
    own = keep(typed.fields_of(shape, applied))
    managed = managed | {by: Owned(own, version, last.time if last else None)}
    if last is not None and last.fields:
        merged = _prune(shape, merged, managed, last, version)
    difference = filtered(typed.compare(shape, live, merged), keep)
    out, conflicts = take(managed, by, version, difference)
    if conflicts and not force:
        raise Conflicts(conflicts)
    stripped = strip(own)
    if stripped:
        same = last is not None and last.fields == stripped
        out[by] = last if same and last is not None and last.version == version else Owned(stripped, version, last.time if last else None)
    else:
        out.pop(by, None)
    return (None if merged == live else merged), out


def _prune(shape: Shape, merged: Any, managed: Managed, last: Owned, version: str) -> Any:
    """Take away what the manager applied before, does not apply now, and nobody else owns."""

    def named(fields: FieldSet) -> FieldSet:
        return typed.with_named_fields(shape, fields)

    everything = named(typed.fields_of(shape, merged))
    pruned = typed.remove(shape, merged, named(last.fields))
    owned: FieldSet = {}
    for other in managed.values():
        if other.version == version:
            owned = fieldset.union(owned, other.fields)
    kept = fieldset.union(named(typed.fields_of(shape, pruned or {})), named(owned))
    pruned = typed.remove(shape, merged, fieldset.difference(everything, kept))
    gone = fieldset.difference(everything, named(typed.fields_of(shape, pruned or {})))
    return typed.remove(shape, merged, fieldset.intersection(gone, named(last.fields))) or {}


_SYSTEM = fieldset.of_paths(
    ("apiVersion",), ("kind",), ("metadata",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "creationTimestamp"),
    ("metadata", "selfLink"), ("metadata", "uid"), ("metadata", "clusterName"), ("metadata", "generation"),
    ("metadata", "managedFields"), ("metadata", "resourceVersion"),
)


def strip(fields: FieldSet) -> FieldSet:
    """The set without what belongs to no manager."""
    return fieldset.difference(fields, _SYSTEM)
