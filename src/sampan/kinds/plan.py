"""`Plan`: what a decision wants done. Returned by every `decide`, applied by `sampan.control`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sampan.api.resourceinfo import Resource


@dataclass(frozen=True)
class Create:
    """Create an object; its namespace stands in it."""

    resource: Resource[Any]
    object: Any


@dataclass(frozen=True)
class Update:
    """Replace an object (or its status) by compare and swap on the resourceVersion that stands in it."""

    resource: Resource[Any]
    object: Any
    subresource: str = ""


@dataclass(frozen=True)
class Patch:
    """Merge-patch an object; a `strategic` patch merges lists by upstream's rules."""

    resource: Resource[Any]
    namespace: str
    name: str
    patch: dict[str, Any]
    subresource: str = ""
    strategic: bool = False


@dataclass(frozen=True)
class Delete:
    """Delete an object if it still is the one with this uid.

    With a resource version also only if it has not changed since; unlike all else that is in a deletion's way, that is a failure.
    """

    resource: Resource[Any]
    namespace: str
    name: str
    uid: str = ""
    grace_period_seconds: int | None = None
    propagation: Literal["Foreground", "Background", "Orphan"] | None = None
    resource_version: str = ""


Write = Create | Update | Patch | Delete


@dataclass(frozen=True)
class EventRecord:
    """An event to record about `about`; `kind` is Normal or Warning."""

    about: Any
    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str = ""


@dataclass(frozen=True)
class Plan:
    """Writes in their order, when to look again, what to tell. The empty plan: all is as wanted."""

    writes: tuple[Write, ...] = ()
    requeue_after_seconds: float | None = None
    events: tuple[EventRecord, ...] = field(default=())
