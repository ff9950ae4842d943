"""The files of a `SqliteStore`: whose they are, which format they have, what is said when they are damaged."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sampan.aio.clock import VirtualClock
from sampan.lib.errors import ConfigError
from sampan.store import sqlitefiles
from sampan.store.base import NewerFormat, Put, StoreCorrupt
from sampan.store.sqlite import SqliteStore
from sampan.store.sqliteload import load


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


