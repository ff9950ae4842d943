"""`MemoryStore` keeps the contract, and forks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sampan.aio.clock import VirtualClock
from sampan.store.base import Compacted, Put, Store
from sampan.store.history import Limits
from sampan.store.memory import MemoryStore
from sampan.testing.store import StoreConformance, Told


class TestMemoryStore(StoreConformance):
    @asynccontextmanager
    async def open(self, clock: VirtualClock) -> AsyncIterator[Store]:
        store = MemoryStore(clock)
        yield store
        await store.close()


def test_a_fork_and_its_original_go_their_own_ways() -> None:
    async def body() -> None:
        # given a store with a subscriber, history and something that expires
        clock = VirtualClock()
        store, told = MemoryStore(clock), Told()
        first = await store.transact([Put("/a", b"1")])
        await store.transact([Put("/a", b"2"), Put("/e", b"", ttl_seconds=10)])
        await store.subscribe("/", store.revision, told)
        # when it is forked by a clock of its own, and both are written
        own = VirtualClock()
        fork = store.fork(own)
        in_fork = await fork.transact([Put("/a", b"fork")])
        in_store = await store.transact([Put("/b", b"store")])
        # then neither sees the other, and the past is common
        assert in_fork == in_store
        assert [r.key for r in (await fork.range("/")).records] == ["/a", "/e"]
        assert (await store.get("/a") or "")[1] == b"2"
        assert (await fork.get("/a", revision=first) or "")[1] == b"1"
        assert told.keys == ["/b"]
        # and time passes for each by its clock
        await own.advance(12)
        assert await fork.get("/e") is None
        assert await store.get("/e")
        await fork.close()
        await store.close()

    asyncio.run(body())


def test_history_goes_by_age_and_by_size() -> None:
    async def body() -> None:
        clock = VirtualClock()
        store = MemoryStore(clock, Limits(seconds=60, changes=10))
        first = await store.transact([Put("/a", b"1")])
        await clock.advance(61)
        second = await store.transact([Put("/a", b"2")])
        with pytest.raises(Compacted):
            await store.get("/a", revision=first - 1)
        assert await store.get("/a", revision=first)
        for n in range(20):
            await store.transact([Put("/b", b"%d" % n)])
        with pytest.raises(Compacted):
            await store.get("/a", revision=second)

    asyncio.run(body())
