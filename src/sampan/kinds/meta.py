"""Metadata and conditions, the same for every kind: generations, status isolation, looking up conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

C = TypeVar("C")


def first_generation(new: Any) -> None:
    """`prepare_create` of a kind that has generations."""
    new.metadata.generation = 1


def first_without_status(new: Any) -> None:
    """`prepare_create` of a kind that has generations and a status: what the client sent as status does not count."""
    new.metadata.generation, new.status = 1, type(new.status)()


def bump_generation(new: Any, old: Any) -> None:
    """Raise the generation when the spec changed, keep it otherwise. Sets it on `new` in place."""
    new.metadata.generation = old.metadata.generation + (new.spec != old.spec)


def keep_status(new: Any, old: Any) -> None:
    """Status isolation of an ordinary update: what the client sent as status does not count."""
    new.status = old.status


def change_spec(new: Any, old: Any) -> None:
    """`prepare_update` of a kind that has generations and a status."""
    keep_status(new, old)
    bump_generation(new, old)


def keep_spec(new: Any, old: Any) -> None:
    """`prepare` of a plain status subresource: the spec (and with it the generation) stays."""
    new.spec = old.spec
    new.metadata.generation = old.metadata.generation


def keep_spec_and_metadata(new: Any, old: Any) -> None:
    """`prepare` of a status subresource that changes the status alone."""
    new.spec = old.spec
    keep_metadata(new, old)


def keep_metadata(new: Any, old: Any) -> None:
    """Metadata that a status write may not touch in kinds whose strategy calls `ResetObjectMetaForStatus`."""
    meta, was = new.metadata, old.metadata
    meta.deletionTimestamp = was.deletionTimestamp
    meta.generation = was.generation
    meta.selfLink = was.selfLink
    meta.labels = was.labels
    meta.annotations = was.annotations
    meta.finalizers = was.finalizers
    meta.ownerReferences = was.ownerReferences


def condition(conditions: Iterable[C], type: str) -> C | None:
    """The condition of that type, if it is there."""
    for one in conditions:
        if one.type == type:  # type: ignore[attr-defined]
            return one
    return None


def is_true(conditions: Iterable[Any], type: str) -> bool:
    """Whether the condition of that type is there with status "True"."""
    return any(one.type == type and one.status == "True" for one in conditions)


def with_condition(conditions: Sequence[C], new: C) -> list[C]:
    """The list with `new` in the place of the one of its type, or at the end.

    When the status did not change, the old `lastTransitionTime` is kept in `new`.
    """
    out = list(conditions)
    for index, one in enumerate(out):
        if one.type == new.type:  # type: ignore[attr-defined]
            if one.status == new.status:  # type: ignore[attr-defined]
                new.lastTransitionTime = one.lastTransitionTime  # type: ignore[attr-defined]
            out[index] = new
            return out
    return [*out, new]


def without_condition(conditions: Sequence[C], type: str) -> list[C]:
    """The list without the condition of that type."""
    return [one for one in conditions if one.type != type]  # type: ignore[attr-defined]
