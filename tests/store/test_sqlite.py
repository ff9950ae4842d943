"""`SqliteStore` keeps the contract, and what it has across restarts; its files and their errors."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sampan.aio.clock import VirtualClock
from sampan.store.base import Compacted, Delete, Put, Store
from sampan.store.history import Limits
from sampan.store.sqlite import SqliteSettings, SqliteStore
from sampan.testing.store import StoreConformance, Told, turned


class TestSqliteStore(StoreConformance):
    @asynccontextmanager
    async def open(self, clock: VirtualClock) -> AsyncIterator[Store]:
        with tempfile.TemporaryDirectory() as folder:
            store = await SqliteStore.open(Path(folder) / "data", clock)
            yield store
            await store.close()


class TestSqliteStoreWithLittleInMemory(TestSqliteStore):
    """Everything but the newest change is read from disk."""

    @asynccontextmanager
    async def open(self, clock: VirtualClock) -> AsyncIterator[Store]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sampan.store.sqlite.RECENT", Limits(changes=1))
            async with super().open(clock) as store:
                yield store

    # what volatile writes were is known from memory alone
    test_volatile_writes_are_read_and_told_like_others = None  # type: ignore[assignment]
    test_random_transactions_agree_with_a_model = None  # type: ignore[assignment]


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async def body() -> None:
        clock = VirtualClock()
        store = await SqliteStore.open(tmp_path, clock)
        first = await store.transact([Put("/a", b"1"), Put("/e", b"", ttl_seconds=100)])
        await store.transact([Put("/a", b"2"), Put("/b", b"")])
        last = await store.transact([Delete("/b")])
        await store.close()
        store = await SqliteStore.open(tmp_path, clock)
        assert store.revision == last
        assert [record.key for record in (await store.range("/")).records] == ["/a", "/e"]
        assert await store.get("/a", revision=first) == ("/a", b"1", first, first)
        told = Told()
        await store.subscribe("/", first, told)
        assert told.keys == ["/a", "/b", "/b"]
        assert await store.transact([Put("/a", b"3")]) == last + 1
        # times to live go on
        await clock.advance(110)
        await turned(clock, lambda: told.keys[-1] == "/e")
        assert await store.get("/e") is None
        await store.close()

    asyncio.run(body())


def test_a_revision_is_not_given_again_when_all_its_rows_were_compacted(tmp_path: Path) -> None:
    async def body() -> None:
        clock = VirtualClock()
        store = await SqliteStore.open(tmp_path, clock)
        await store.transact([Put("/a", b"1")])
        last = await store.transact([Delete("/a")])
        await store.compact(last)
        await store.close()
        store = await SqliteStore.open(tmp_path, clock)
        assert await store.transact([Put("/a", b"1")]) == last + 1
        with pytest.raises(Compacted):
            await store.get("/a", revision=last - 1)
        await store.close()

    asyncio.run(body())


def test_old_history_leaves_the_disk_by_itself(tmp_path: Path) -> None:
    async def body() -> None:
        clock = VirtualClock()
        store = await SqliteStore.open(tmp_path, clock, SqliteSettings(history=Limits(seconds=3600, changes=400)))
        first = await store.transact([Put("/a", b"first")])
        for n in range(1000):
            await store.transact([Put("/a", b"%d" % n)])
        await turned(clock, lambda: store._compacting is not None and store._compacting.done())
        with pytest.raises(Compacted):
            await store.get("/a", revision=first)
        assert await store.get("/a", revision=store.revision - 300)
        await store.close()
        rows = sqlite3.connect(tmp_path / "store.db")
        assert rows.execute("SELECT count(*) FROM log").fetchone()[0] < 700
        rows.close()

    asyncio.run(body())


def test_an_idle_store_writes_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        clock = VirtualClock()
        store = await SqliteStore.open(tmp_path, clock)
        await store.transact([Put("/lease/a", b"", volatile=True)])
        await store.transact([Put("/lease/a", b"", volatile=True)])
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        for _ in range(360):
            await clock.advance(10, turns=1)
            await store.transact([Put("/lease/a", b"x" * 500, volatile=True)])
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
        await store.close()

    asyncio.run(body())


