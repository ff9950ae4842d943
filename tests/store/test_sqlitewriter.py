"""Commits that fail: nothing decided on top of them happens, and writing goes on by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from sampan.aio.clock import VirtualClock
from sampan.store import sqlitefiles
from sampan.store.base import Compare, Delete, Put, StoreError
from sampan.store.sqlite import SqliteSettings, SqliteStore
from sampan.testing.store import Told


class Breakable:
    """Connections whose commits can be made to fail as sqlite's do."""

    def __init__(self) -> None:
        self.failing = 0  # sqlite's code

    def connect(self, path: Path) -> sqlitefiles.Connection:
        return _BreakableConnection(self, sqlitefiles.connect(path))


class _BreakableConnection:
    def __init__(self, owner: Breakable, connection: sqlitefiles.Connection) -> None:
        self._owner, self._connection = owner, connection
        self.close = connection.close

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: tuple[object, ...] = (), /) -> sqlitefiles.Cursor:
        commits = sql == "COMMIT" or (sql.startswith("INSERT") and not self.in_transaction)
        if commits and self._owner.failing:
            error = sqlite3.OperationalError("broken on purpose")
            error.sqlite_errorcode = self._owner.failing
            raise error
        return self._connection.execute(sql, parameters)


def test_a_failed_commit_fails_all_that_was_decided_on_top_of_it_and_nothing_else(tmp_path: Path) -> None:
    async def body() -> None:
        disk = Breakable()
        store = await SqliteStore.open(tmp_path, VirtualClock(), SqliteSettings(connect=disk.connect))
        told = Told()
        first = await store.transact([Put("/a", b"1"), Put("/l", b"", volatile=True)])
        await store.subscribe("/", first, told)
        # when the disk fails under writes of which later ones build on earlier ones
        disk.failing = sqlite3.SQLITE_FULL
        writes: list[list[Put | Delete]] = [[Put("/a", b"2")], [Put("/b", b"2")], [Delete("/a")], [Put("/a", b"3")], [Put("/l", b"1", volatile=True)],
                  [Put("/l", b"2")], [Put("/l", b"3", volatile=True)]]
        answers = await asyncio.gather(*(store.transact(write) for write in writes), return_exceptions=True)
        # then none of them happened
        assert all(isinstance(answer, StoreError) for answer in answers), answers
        assert told.changes == []
        assert [(r.key, r.value) for r in (await store.range("/")).records] == [("/a", b"1"), ("/l", b"")]
        # and when there is space again it goes on by itself, with revisions that were never given
        disk.failing = 0
        after = [await store.transact(write) for write in writes]
        assert after[0] >= first + len(writes)
        assert [(r.key, r.value, r.mod_revision) for r in (await store.range("/")).records] == [
            ("/a", b"3", after[3]), ("/b", b"2", after[1]), ("/l", b"3", after[6])]
        assert [change.revision for change in told.changes] == after
        await store.close()
        store = await SqliteStore.open(tmp_path, VirtualClock())
        assert [(r.key, r.value) for r in (await store.range("/")).records] == [("/a", b"3"), ("/b", b"2"), ("/l", b"3")]
        await store.close()

    asyncio.run(body())


def test_a_put_and_what_follows_fail_together_and_are_taken_back_together(tmp_path: Path) -> None:
    async def body() -> None:
        disk = Breakable()
        store = await SqliteStore.open(tmp_path, VirtualClock(), SqliteSettings(connect=disk.connect))
        told = Told()
        made = await store.transact([Put("/a", b"1"), Put("/b", b"1")])
        await store.subscribe("/", made, told)
        # when the disk fails
        disk.failing = sqlite3.SQLITE_FULL
        attempts = [store.put_then(Put("/a", b"2"), Compare("/a", made), [Delete("/a"), Delete("/b")]), store.transact([Put("/a", b"3")])]
        assert all(isinstance(answer, StoreError) for answer in await asyncio.gather(*attempts, return_exceptions=True))
        # then neither happened
        assert told.changes == []
        assert [(r.key, r.value) for r in (await store.range("/")).records] == [("/a", b"1"), ("/b", b"1")]
        # and later both do, told in one go
        disk.failing = 0
        await store.put_then(Put("/a", b"2"), Compare("/a", made), [Delete("/a"), Delete("/b")])
        assert [[(change.key, change.value) for change in batch] for batch in told.batches] == [[("/a", b"2"), ("/a", None), ("/b", None)]]
        await store.close()
        store = await SqliteStore.open(tmp_path, VirtualClock())
        assert (await store.range("/")).records == []
        await store.close()

    asyncio.run(body())
