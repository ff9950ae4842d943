"""What a write is and what it comes to, and what writing needs of others. Leaves doing it to `registry`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from sampan.api.errors import ApiError, InternalError, OtherStatus
from sampan.api.scalars import Time
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.catalog import Served
from sampan.apiserver.request import User
from sampan.store.base import StoreFull, StoreRefused, StoreUnavailable


class Write(msgspec.Struct, eq=False):
    """Who writes, how, and what there is to tell about it."""

    user: User
    subresource: str = ""
    dry_run: bool = False
    manager: str = ""
    options: dict[str, Any] = {}
    warnings: list[str] = []
    audit_annotations: dict[str, str] = {}
    main: bool = False
    """The subresource (scale) writes through the kind's own rules."""
    applying: bool = False
    """Server-side apply has merged the fields' owners already."""


class Written(NamedTuple):
    """What a write came to. `body` is the JSON in the version that was asked for."""

    object: Any
    body: bytes
    revision: int
    created: bool = False
    deleted: bool = False


class Fields(Protocol):
    """Keeps `metadata.managedFields`."""

    def record(self, served: Served, new: Any, old: Any, *, manager: str, subresource: str, now: Time) -> None:
        """Give `manager` the fields that `new` changed, in place."""
        ...


class Gate(Protocol):
    """The chain of admission plugins."""

    async def admit(self, request: AdmissionRequest) -> None: ...

    async def validate(self, request: AdmissionRequest) -> None: ...


Produce = Callable[[Any], Any]
"""Makes the new object of the old one (shared: never change it); called again for every try."""


def translated(error: StoreFull | StoreRefused | StoreUnavailable) -> ApiError:
    """What clients are told when the store can't."""
    if isinstance(error, StoreFull):
        return InternalError(f"the data folder has no space left: {error.message}")
    if isinstance(error, StoreRefused):
        return InternalError(error.message)
    return OtherStatus(error.message, code=503, reason="ServiceUnavailable")


def volatile(key: str) -> bool:
    """Whether a crash may forget the write: only the nodes' heartbeats."""
    return key.startswith("/registry/coordination.k8s.io/leases/kube-node-lease/")
