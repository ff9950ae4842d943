"""The contract of a store: keys, values as bytes, one revision counter, watching from a revision.

Modelled on etcd v3's KV and Watch. Keys are `/registry/<group or core>/<resource>/<namespace>/<name>` (no
namespace segment for cluster-scoped objects). The conformance suite is `sampan.testing.store`.

Order is part of the contract: when `transact` returns, every subscriber of this process has already been given
the change. A cache that is fed by `subscribe` is therefore never behind what a caller wrote through this store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from sampan.lib.errors import SampanError


class StoreError(SampanError):
    """Base of what a store raises."""


class Compacted(StoreError):
    """The revision asked for is older than the history that is kept; `oldest` is the first that can be read."""

    def __init__(self, asked: int, oldest: int) -> None:
        self.asked, self.oldest = asked, oldest
        super().__init__(f"revision {asked} has been compacted, the oldest is {oldest}; list again")


class FutureRevision(StoreError):
    """The revision asked for has not been given yet; `current` is the newest."""

    def __init__(self, asked: int, current: int) -> None:
        self.asked, self.current = asked, current
        super().__init__(f"revision {asked} is in the future, the newest is {current}")


class CompareFailed(StoreError):
    """A compare of a transaction did not hold; `found` has the record of each compared key as it is now."""

    def __init__(self, found: dict[str, Record | None]) -> None:
        self.found = found
        super().__init__("the compared keys have changed: " + ", ".join(found))


class StoreFull(StoreError):
    """No space is left where the store keeps its files. Nothing of the transaction was written."""


class StoreRefused(StoreError):
    """The store doesn't take the request: it is too large, for instance. Nothing was written."""


class StoreUnavailable(StoreError):
    """The store can't be reached or has been closed. Whether the transaction was written is not known."""


class NewerFormat(StoreError):
    """The files were written by a newer version of Sampan; they were not touched."""


class StoreCorrupt(StoreError):
    """The files are damaged, or are no store at all."""


class Record(NamedTuple):
    """One key as it is at some revision."""

    key: str
    value: bytes
    mod_revision: int
    create_revision: int


class Change(NamedTuple):
    """One key changed at `revision`: `value` is None where it was deleted. What it was before is not carried along:
    `get(key, revision=…)` has it.
    """

    key: str
    value: bytes | None
    revision: int
    create_revision: int  # of the key that was written or deleted
    previous_revision: int  # the mod revision that this replaced; 0: the key was made


class Page(NamedTuple):
    """A part of a range, in the order of keys."""

    records: list[Record]
    revision: int  # the store's revision that this is the state of
    more: bool  # whether keys of the range follow the last record
    remaining: int  # how many do; -1: not counted


class Put(msgspec.Struct, frozen=True, gc=False):
    """Write a key. `ttl_seconds` > 0: it deletes itself then.

    `volatile`: a crash may forget the write (node heartbeats), its revision is never given again. Reads of the past
    and subscriptions may see the newest of several volatile writes only, and what the others were is `Compacted`.
    """

    key: str
    value: bytes
    ttl_seconds: float = 0.0
    volatile: bool = False


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete a key; one that is not there is no error and no change."""

    key: str


class Compare(msgspec.Struct, frozen=True, gc=False):
    """Holds when the key's mod revision is this one; 0: when it does not exist."""

    key: str
    mod_revision: int


class Subscription(Protocol):
    """Ends a subscription; calling it again does nothing."""

    def close(self) -> None: ...


# given, in order, every transaction's changes below the prefix; runs on the event loop and must not block
Sink = Callable[[Sequence[Change]], None]


class Store(Protocol):
    """Every method raises `StoreUnavailable` when the store is closed or out of reach."""

    @property
    def revision(self) -> int:
        """The newest revision that this process has seen."""
        ...

    async def get(self, key: str, *, revision: int = 0) -> Record | None:
        """One key, now or as it was at `revision`.

        Raises:
            Compacted: The revision is gone.
            FutureRevision: The revision was not given yet.
        """
        ...

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0,
                    count: bool = False) -> Page:
        """Keys that start with `prefix` and sort after `after`, now or as they were at `revision`; 0 is no limit.

        `count` asks for `Page.remaining`, which costs time in proportion to it.

        Raises:
            Compacted: The revision is gone.
            FutureRevision: The revision was not given yet.
        """
        ...

    async def transact(self, writes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        """Write all or nothing; durable when it returns (but for volatile puts). One transaction, one revision.
        A key may be written once in a transaction. A revision once given is never given again, failed writes
        and crashes included; some are given to nothing.

        Returns:
            The revision of the writes (the current one when nothing was changed).

        Raises:
            CompareFailed: A compare did not hold; nothing was written.
            StoreFull: No space; nothing was written.
            ValueError: A key is written twice.
        """
        ...

    async def put_then(self, put: Put, compare: Compare, then: Sequence[Put | Delete]) -> int:
        """`put` if `compare` holds, then `then` if the key is still as that left it: two transactions one right after the
        other, with a revision each, which share what they cost where the store can have it so. The rules of `transact`
        go for both.

        Returns:
            The revision of the second.

        Raises:
            CompareFailed: `compare` did not hold, and nothing was written; or another process was in between, and `put` was.
            StoreFull: No space; nothing was written, or `put` alone.
            ValueError: A key is written twice.
        """
        ...

    async def subscribe(self, prefix: str, since: int, sink: Sink) -> Subscription:
        """Give `sink` every change below `prefix` with a revision over `since`, those that were already made
        first (before this returns), without a gap. Each call of `sink` is a batch of whole transactions.

        Raises:
            Compacted: Changes after `since` are gone.
            FutureRevision: `since` was not given yet.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget the history before `revision`; reads at `revision` and later go on working."""
        ...

    async def close(self) -> None:
        """Write what is waiting, then release files and threads."""
        ...


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that other processes write too, so that this one may be behind what they have been acknowledged.

    The order of the contract holds here as well: what was written through this store has been given to its
    subscribers when `transact` returns, and when it raises `CompareFailed`, so has what made the compare fail.
    """

    async def catch_up(self) -> int:
        """Wait until subscribers have been given everything that anybody was acknowledged before this call.

        Returns:
            The revision that they have been given at least.

        Raises:
            StoreUnavailable: It can't be found out, or doesn't arrive in time.
        """
        ...

    async def reached(self, revision: int, seconds: float) -> bool:
        """Wait until subscribers have been given `revision`; False: that took longer."""
        ...

    def when_lost(self, read_anew: Callable[[], Awaitable[None]]) -> None:
        """Call this when changes were missed (out of reach for longer than history is kept). All subscriptions have
        ended then; nobody is told that a revision was reached before it returns. A `StoreError` calls it again.
        """
        ...

    async def problem(self) -> str:
        """Ask whether it can be read and followed: why not, or nothing."""
        ...


async def in_turn(store: Store, put: Put, compare: Compare, then: Sequence[Put | Delete]) -> int:
    """`Store.put_then` by two calls of `transact`."""
    revision = await store.transact([put], [compare])
    return await store.transact(then, [Compare(put.key, revision)])
