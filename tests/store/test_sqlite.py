"""`SqliteStore` keeps the contract, and what it has across restarts; its files and their errors."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sampan.aio.clock import VirtualClock
from sampan.lib.errors import ConfigError
from sampan.store import sqlitefiles
from sampan.store.base import Compacted, Delete, NewerFormat, Put, Store, StoreCorrupt, StoreError
from sampan.store.history import Limits
from sampan.store.sqlite import SqliteSettings, SqliteStore
from sampan.store.sqliteload import load
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


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    async def body() -> None:
        store = await SqliteStore.open(tmp_path / "data", VirtualClock())
        await store.transact([Put("/secret", b"")])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm", "store.lock"), 0o600)
        await store.close()

    asyncio.run(body())


def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path) -> None:
    async def body() -> None:
        store = await SqliteStore.open(tmp_path, VirtualClock())
        code = ("import sys, pathlib; from sampan.store.sqliteload import load; from sampan.store.sqlitefiles import connect\n"
                "load(pathlib.Path(sys.argv[1]), connect)")
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path), stderr=subprocess.PIPE)
        _, errors = await other.communicate()
        assert other.returncode == 1
        assert f"{tmp_path} is in use by process {os.getpid()}" in errors.decode()
        with pytest.raises(ConfigError, match="in use by process"):
            await SqliteStore.open(tmp_path, VirtualClock())
        await store.close()
        await (await SqliteStore.open(tmp_path, VirtualClock())).close()

    asyncio.run(body())


def written(folder: Path, **records: bytes) -> None:
    async def body() -> None:
        store = await SqliteStore.open(folder, VirtualClock())
        await store.transact([Put("/" + key, value) for key, value in records.items()])
        await store.close()

    asyncio.run(body())


def test_files_of_a_newer_format_are_not_touched(tmp_path: Path) -> None:
    # given a store of a version to come, with something in its write-ahead log
    written(tmp_path, a=b"1")
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    (tmp_path / "store.db-wal").write_bytes(b"what only a newer version understands")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "store.lock"}
    # then
    with pytest.raises(NewerFormat, match="has format 99, this version knows 1"):
        load(tmp_path, sqlitefiles.connect)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "store.lock"} == before


def test_files_of_an_older_format_are_migrated_with_a_backup_beside(tmp_path: Path) -> None:
    written(tmp_path, a=b"1")
    migrations = {1: ["CREATE TABLE added (x)"], 2: ["INSERT INTO added VALUES (1)"]}
    loaded = load(tmp_path, sqlitefiles.connect, newest=3, migrations=migrations)
    assert loaded.connection.execute("SELECT x FROM added").fetchall() == [(1,)]
    loaded.connection.close()
    loaded.lock.release()
    assert sqlitefiles.format_of(tmp_path / "store.db") == 3
    backup = tmp_path / "store.db.format-1"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    # the backup is a store that this version opens
    (tmp_path / "old").mkdir()
    shutil.move(backup, tmp_path / "old" / "store.db")

    async def body() -> None:
        store = await SqliteStore.open(tmp_path / "old", VirtualClock())
        assert await store.get("/a")
        await store.close()

    asyncio.run(body())


@pytest.mark.parametrize("damage", ["not a store", "header", "pages"])
def test_damaged_files_are_a_clear_error(tmp_path: Path, damage: str) -> None:
    written(tmp_path, **{f"k{n}": b"v" * 3000 for n in range(50)})
    file = tmp_path / "store.db"
    content = bytearray(file.read_bytes())
    if damage == "not a store":
        content = bytearray(b"some other file, longer than a header of a database is, which is a hundred bytes, as everybody knows")
    elif damage == "header":
        content[0:16] = bytes(16)
    else:
        content[4096:] = os.urandom(len(content) - 4096)
    file.write_bytes(content)

    async def body() -> None:
        with pytest.raises(StoreCorrupt) as found:
            await SqliteStore.open(tmp_path, VirtualClock())
        assert str(file) in found.value.message
        assert "backup" in found.value.hint
        # and the folder is free again
        file.unlink()
        await (await SqliteStore.open(tmp_path, VirtualClock())).close()

    asyncio.run(body())


def test_a_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use"):
        load(tmp_path / "file", sqlitefiles.connect)


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

    def execute(self, sql: str, parameters: tuple[object, ...] = (), /) -> sqlitefiles.Cursor:
        if sql == "COMMIT" and self._owner.failing:
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
        writes = [[Put("/a", b"2")], [Put("/b", b"2")], [Delete("/a")], [Put("/a", b"3")], [Put("/l", b"1", volatile=True)],
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
