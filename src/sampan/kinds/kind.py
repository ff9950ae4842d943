"""`Kind`: everything the API server needs to know about one kind of object, as data and pure functions.

Owns the class; each kind's module makes one `KIND`. Custom resources build a `Kind` at run time through the
same class, with dicts for objects.

The life of a write (`sampan.apiserver.registry` calls, in this order, which is upstream's):
create: `default` (and `default_named` where the name was generated) → mutating admission (then `default` again where a webhook changed something) → `prepare_create`
→ `validate` + `validate_create` → validating admission;
update: `default` → mutating admission → `prepare_update(new, old)` → `validate` + `validate_update` → validating admission;
a subresource write: that subresource's `prepare` and `validate` in place of the kind's own, after `default` as well.
So a strategy sees defaulted objects: the generation moves only when the spec really changed, and a pod's QoS class counts
what admission put in. On creation uid and creationTimestamp are set before `default`; on every update the registry
keeps `metadata.generation` of the old object before it asks.
Functions change `new` in place where they say so and never `old`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from sampan.api.errors import FieldError
from sampan.api.resourceinfo import Resource

T = TypeVar("T")

Metadata = Literal["change", "object", "both", "none"]
"""What a kind's own validation of an update says about metadata once more, after what is common to all kinds: about the
change, about the object as it is now, both or nothing. Upstream tells every finding as often as it looks."""

Dependents = Literal["delete", "orphan", "keep"]

Cell = str | int | float | bool | None | dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of the Table output. `value(obj, now)` returns a string or number (upstream's printers)."""

    name: str
    value: Callable[[T, datetime], Cell]
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    undeclared: bool = False  # its cell stands in rows, but not in columnDefinitions (upstream's IPAddress has one)


def _nothing(_: Any) -> None: ...


def _no_errors(*_: Any) -> Sequence[FieldError]:
    return ()


def _keep(new: Any, old: Any) -> None: ...


@dataclass(frozen=True)
class SubKind(Generic[T]):
    """How a subresource that reads and writes the object itself (status, resize, approval, …) behaves.

    `prepare(new, old)` changes `new` so that only what this subresource may change differs from `old`.
    """

    name: str
    prepare: Callable[[T, T], None]
    validate: Callable[[T, T], Sequence[FieldError]] = _no_errors
    touch: Callable[[T, T, datetime], None] | None = None
    """Called after `prepare` with the server's time, where the subresource stamps what changed (CSR conditions)."""
    metadata: Metadata = "change"
    default: Callable[[T], None] | None = None
    """The part of the kind's `default` that concerns the status. With it, a patch of nothing but the status is made on the status
    alone: all else of the new object is what `old` has, shared, and `prepare` must not change it in place."""


@dataclass(frozen=True)
class ScalePaths(Generic[T]):
    """How the scale subresource reads and writes a kind."""

    replicas: Callable[[T], int]
    set_replicas: Callable[[T, int], None]
    status_replicas: Callable[[T], int]
    selector: Callable[[T], str]
    check: Callable[[T], None] = _nothing
    """Raises where the object has nothing to show yet."""
    path: tuple[str, ...] = ("spec", "replicas")
    """Where the wanted replicas stand."""


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[T]):
    """See the module's text for the order in which the functions are called."""

    resource: Resource[T]
    default: Callable[[T], None] = _nothing
    """Fill what was left out, in place. Idempotent."""
    default_named: Callable[[T], None] = _nothing
    """The part of `default` that follows from the name: done once more when that was generated."""
    as_stored: Callable[[T], None] = _nothing
    """What upstream's storage loses, and every answer with it, in place: empty lists that are null."""
    prepare_create: Callable[[T], None] = _nothing
    """Strategy: drop what a creator may not set (status), set generation 1 where the kind has generations."""
    prepare_update: Callable[[T, T], None] = _keep
    """Strategy: keep the old status, raise `metadata.generation` when the spec changed."""
    touch: Callable[[T, datetime], None] | None = None
    """Called before either with the server's time, where a write without a time means now (taints of devices)."""
    validate: Callable[[T], Sequence[FieldError]] = _no_errors
    """All findings, besides metadata's (the registry validates ObjectMeta itself with `name_check`)."""
    validate_create: Callable[[T], Sequence[FieldError]] = _no_errors
    """Findings that only a creation has (fields that are set later, by others); `validate` runs as well."""
    validate_update: Callable[[T, T], Sequence[FieldError]] = _no_errors
    """Findings about the change `(new, old)`: immutable fields and the like; `validate` runs as well."""
    judge_create: Callable[[T], tuple[Sequence[FieldError], Sequence[str]]] | None = None
    """All findings about a new object and, where there are none, the warnings, where both are worked out together."""
    judge_update: Callable[[T, T], Sequence[FieldError]] | None = None
    """All findings of a change, where upstream has another order than `validate` before `validate_update`, or looks at less."""
    metadata: Metadata = "change"
    name_check: Callable[[str], Sequence[str]] | None = None
    """Why a name is not valid, in upstream's words; None: DNS subdomain."""
    subkinds: tuple[SubKind[T], ...] = ()
    scale: ScalePaths[T] | None = None
    columns: tuple[Column[T], ...] = ()
    """Without columns the Table has upstream's default (Name, Created At)."""
    fields: Mapping[str, Callable[[T], str]] = field(default_factory=dict)
    """Field selectors besides `metadata.name` and `metadata.namespace`, by their path."""
    allow_create_on_update: bool = False
    """A PUT to a name that does not exist creates it."""
    unconditional_update: bool = True
    """A PUT without a resourceVersion overwrites."""
    ttl_seconds: float = 0.0
    """Objects of this kind delete themselves after this long (events: one hour)."""
    graceful_seconds: Callable[[T, int | None], int | None] | None = None
    """How long a deletion waits before the object goes (pods): given the grace period asked for; None or 0: at once."""
    dependents: Dependents = "delete"
    """What becomes of its dependents when a deletion does not say; "keep": the garbage collector has no part in it at all."""
    delete_warning: str = ""
    """Text of a `Warning` header for a deletion that does not say what becomes of dependents."""
    requested_by: Callable[[T, str, str, Sequence[str], Mapping[str, Sequence[str]]], None] | None = None
    """Called on create with the requesting user's name, uid, groups and extra, where the object records them (CSRs)."""
    warnings: Callable[[T, T | None], Sequence[str]] = _no_errors  # type: ignore[assignment]
    """Texts for `Warning` headers about `(new, old or None)`: deprecated fields, doubtful values."""

    deprecation: str = ""
    """Text of a `Warning` header that every request for this resource is answered with."""

    def create_findings(self, new: T) -> tuple[Sequence[FieldError], Sequence[str]]:
        """What is wrong with a new object, in upstream's order, and where nothing is, what to warn of."""
        if self.judge_create is not None:
            return self.judge_create(new)
        found = [*self.validate(new), *self.validate_create(new)]
        return found, () if found else self.warnings(new, None)

    def update_findings(self, new: T, old: T) -> list[FieldError]:
        """What is wrong with the change, in upstream's order."""
        if self.judge_update is not None:
            return [*self.judge_update(new, old)]
        return [*self.validate(new), *self.validate_update(new, old)]

    def subkind(self, name: str) -> SubKind[T] | None:
        """The subresource of that name, if the kind has it."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, SubKind[T]]:
        return {sub.name: sub for sub in reversed(self.subkinds)}
