"""One resource's objects in memory as ready-made bytes: reads and watches leave from here.

STUB of the interface: `Entry` and `WatchCache` as other rooms may rely on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Entry(Protocol):
    """One object at one revision. Shared: change nothing."""

    namespace: str
    name: str
    revision: int

    @property
    def body(self) -> bytes:
        """The JSON with kind, apiVersion and metadata.resourceVersion in their places."""
        ...

    @property
    def object(self) -> Any:
        """The decoded Struct (dict for custom resources), made once on first use; never change it."""
        ...


class Reader(Protocol):
    """The reading side of a watch cache: what authorizers and admission plugins are given."""

    revision: int
    generation: int  # counts up with every change of this resource: for memoising what was computed from it

    def get(self, namespace: str, name: str) -> Entry | None: ...

    def entries(self, namespace: str = "") -> Iterator[Entry]:
        """In the order of keys; of one namespace or all."""
        ...


class Readers(Protocol):
    """Every resource's reader, by `Resource`."""

    def of(self, resource: Any) -> Reader: ...
