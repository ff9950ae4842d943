"""One resource's objects in memory as ready-made bytes: reads and watches leave from here.

A `WatchCache` is filled from the store once and fed by its subscription from then on. By the store's contract a
subscriber has been given a change before `transact` returns, so the cache is never behind what this process wrote.
`Caches` holds one a resource. What is asked of them is in `selection`, what they hold in `entries`.

Source: `k8s.io/apiserver/pkg/storage/cacher`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from sampan.aio.clock import AsyncClock
from sampan.api.resourceinfo import Resource
from sampan.apiserver.entries import Entry
from sampan.apiserver.selection import ALL, ListQuery, Rendering, Selection, WatchQuery
from sampan.store.base import Store

__all__ = ["ALL", "Caches", "Entry", "ListQuery", "Listing", "Reader", "Readers", "Rendering", "Selection",
           "WatchCache", "WatchQuery", "Watcher", "key_prefix"]


class Reader(Protocol):
    """The reading side of a watch cache: what authorizers and admission plugins are given."""

    @property
    def revision(self) -> int: ...

    @property
    def generation(self) -> int:
        """Counts up with every change of this resource: for memoising what was computed from it."""
        ...

    def get(self, namespace: str, name: str) -> Entry | None: ...

    def entries(self, namespace: str = "") -> Iterator[Entry]:
        """In the order of keys; of one namespace or all."""
        ...


class Readers(Protocol):
    """Every resource's reader, by `Resource`."""

    def of(self, resource: Any) -> Reader: ...


def key_prefix(resource: Resource[Any]) -> str:
    """Where the store has a resource: `/registry/<group or core>/<plural>/`."""
    return f"/registry/{resource.group or 'core'}/{resource.plural}/"


class Listing:
    """A list as it was at `revision`; `entries` stays as it is while the cache goes on."""

    entries: list[Entry]
    revision: int
    continue_: str  # the token that goes on where the limit cut it off, else empty
    remaining: int | None  # how many follow, where that is known and there is a limit

    def chunks(self, resource: Resource[Any], *, kind: str = "") -> Iterator[bytes]:
        """The JSON of the list in pieces of about 256 KiB. `kind` is the list's, default the resource's + `List`."""
        raise NotImplementedError


class Watcher:
    """One watch. Read it with `frames` (bytes for the wire) or `events` (entries, in this process), never both."""

    async def frames(self) -> bytes:
        """Wait for events and return their frames joined (≤ about 256 KiB); empty bytes: the watch has ended.

        An error that ends the watch (410 Gone, …) is the last frame, of type ERROR, as upstream has it.
        """
        raise NotImplementedError

    async def events(self) -> list[tuple[str, Entry]]:
        """Wait for events and return them as (ADDED, MODIFIED, DELETED or BOOKMARK, entry); empty: it has ended.

        Raises:
            ApiError: What ended the watch: `Gone` to list again.
        """
        raise NotImplementedError

    def bookmark(self) -> None:
        """Queue a bookmark now (upstream sends one shortly before a watch's timeout)."""
        raise NotImplementedError

    def close(self) -> None:
        """End the watch; whoever waits in `frames` or `events` gets its end. Again: nothing happens."""
        raise NotImplementedError


class WatchCache:
    """One resource's objects. Reading needs no await and no copy; `list` and `watch` may wait for the store."""

    resource: Resource[Any]
    revision: int  # the store's newest: what lists and bookmarks say
    generation: int

    def get(self, namespace: str, name: str) -> Entry | None:
        """One object as it is now; `namespace` is empty for cluster-scoped ones."""
        raise NotImplementedError

    def entries(self, namespace: str = "") -> Iterator[Entry]:
        """In the order of keys; of one namespace or all."""
        raise NotImplementedError

    async def list(self, query: ListQuery) -> Listing:
        """Answer by upstream's rules for resourceVersion, resourceVersionMatch, limit and continue.

        Raises:
            BadRequest: The continue token or the resource version cannot be read, or they exclude each other.
            Gone: The revision is older than the history that is kept.
            Timeout: The revision has not been given yet.
        """
        raise NotImplementedError

    async def watch(self, query: WatchQuery) -> Watcher:
        """Start a watch. What fails after the query was understood (410, 504) is the watch's last event.

        Raises:
            OtherStatus: 500, the resource version is not a number.
        """
        raise NotImplementedError


class Caches:
    """Every resource's cache; keeps the contract of `Readers`."""

    def __init__(self, store: Store, clock: AsyncClock) -> None: ...

    def of(self, resource: Resource[Any]) -> WatchCache:
        """The cache of a resource that `load` has brought in.

        Raises:
            TooManyRequests: It has not been loaded yet.
        """
        raise NotImplementedError

    async def load(self, *resources: Resource[Any]) -> None:
        """Fill the caches of these resources; those that are there already stay as they are."""
        raise NotImplementedError

    def drop(self, resource: Resource[Any]) -> None:
        """Forget a resource that is served no longer: its watches end."""
        raise NotImplementedError

    async def run(self) -> None:
        """Send bookmarks, about one a minute, until cancelled; then end all watches."""
        raise NotImplementedError
