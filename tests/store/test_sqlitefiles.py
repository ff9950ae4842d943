"""The files of a `SqliteStore`: whose they are, which format they have, what is said when they are damaged."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sampan import __version__
from sampan.aio.clock import VirtualClock
from sampan.lib.errors import ConfigError
from sampan.store import sqlitefiles
from sampan.store.base import NewerFormat, Put, StoreCorrupt
from sampan.store.sqlite import SqliteStore
from sampan.store.sqliteload import load
from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS

CHILD = Path(__file__).with_name("migrating_child.py")


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
    with pytest.raises(NewerFormat, match=r"has format 99 \(of Sampan [0-9.]+\), this version knows 2"):
        load(tmp_path, sqlitefiles.connect)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "store.lock"} == before


# what the first version made; never to be changed
FORMAT_1 = """
    PRAGMA journal_mode = WAL;
    PRAGMA application_id = 1396788560;
    PRAGMA user_version = 1;
    CREATE TABLE log (id INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL, previous INTEGER NOT NULL,
                      expires INTEGER NOT NULL, volatile INTEGER NOT NULL, value BLOB);
    CREATE INDEX log_key ON log (key, id, created, expires, volatile);
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('reserved', 1026), ('compacted', 0), ('closed', 3), ('lost_from', 0), ('lost_to', 0);
    INSERT INTO log VALUES (131072, '/a', 2, 0, 0, 0, CAST('1' AS BLOB)), (196608, '/b', 3, 0, 0, 0, CAST('2' AS BLOB));
"""


def of_format_1(folder: Path) -> Path:
    """A store with two keys, as the first version of Sampan left it."""
    path = folder / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FORMAT_1)
    return path


def content(folder: Path) -> dict[str, bytes]:
    """What a store of this version says is in it."""
    async def body() -> dict[str, bytes]:
        store = await SqliteStore.open(folder, VirtualClock())
        found = {record.key: record.value for record in (await store.range("/")).records}
        await store.close()
        return found

    return asyncio.run(body())


def format_1_content(backup: Path) -> list[tuple[str, bytes]]:
    """What the first version would read."""
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: list[tuple[str, bytes]] = connection.execute("SELECT key, value FROM log ORDER BY id").fetchall()
        return found


def test_files_of_an_older_format_are_migrated_with_a_backup_beside(tmp_path: Path) -> None:
    # given what the first version left
    path = of_format_1(tmp_path)
    # when this version opens it
    assert content(tmp_path) == {"/a": b"1", "/b": b"2"}
    # then it is of this format, says who has brought it there, and beside it is what was there before
    assert sqlitefiles.format_of(path) == sqlitefiles.FORMAT == 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT format, version FROM versions").fetchall() == [(2, __version__)]
    backup = tmp_path / "store.db.format-1"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert format_1_content(backup) == [("/a", b"1"), ("/b", b"2")]
    # and it is what this version makes, down to the schema
    written(tmp_path / "new", x=b"")
    schemas = []
    for file in (path, tmp_path / "new" / "store.db"):
        with closing(sqlite3.connect(file)) as connection:
            schemas.append({name: " ".join(sql.split()) for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql NOTNULL")})
    assert schemas[0] == schemas[1]


def test_several_steps_are_taken_in_one(tmp_path: Path) -> None:
    of_format_1(tmp_path)
    migrations = {**sqlitefiles.MIGRATIONS, 2: ["CREATE TABLE added (x)"], 3: ["INSERT INTO added VALUES (1)"]}
    loaded = load(tmp_path, sqlitefiles.connect, newest=4, migrations=migrations)
    assert loaded.connection.execute("SELECT x FROM added").fetchall() == [(1,)]
    loaded.connection.close()
    loaded.lock.release()
    assert sqlitefiles.format_of(tmp_path / "store.db") == 4


def test_a_migration_that_is_killed_anywhere_is_done_at_the_next_start(tmp_path: Path) -> None:
    # given a process that is killed before its first step, its second, and so on, until it gets through
    for step in range(60):
        folder = tmp_path / str(step)
        folder.mkdir()
        of_format_1(folder)
        done = subprocess.run([sys.executable, str(CHILD), str(folder), str(step)], capture_output=True, text=True, check=False)
        backup = folder / "store.db.format-1"
        # then a backup is whole or not there
        if backup.exists():
            assert format_1_content(backup) == [("/a", b"1"), ("/b", b"2")]
        # and the next start has everything, the backup too, and leaves nothing else
        assert content(folder) == {"/a": b"1", "/b": b"2"}
        assert format_1_content(backup) == [("/a", b"1"), ("/b", b"2")]
        assert sqlitefiles.format_of(folder / "store.db") == 2
        assert sorted(path.name for path in folder.iterdir()) == ["store.db", "store.db.format-1", "store.lock"]
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert 8 < step < 59


@pytest.mark.kernel
def test_a_disk_without_room_for_the_backup_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    require.linux()
    require.program("unshare", package="util-linux")
    unshare = ["unshare", "--mount", "--propagation", "private"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        require.missing("mount namespaces", "run it with sudo")
    program = (
        "import subprocess, sys\nfrom pathlib import Path\n"
        "folder = Path(sys.argv[1])\nsubprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', str(folder)], check=True)\n"
        "sys.path.insert(0, sys.argv[2])\nfrom test_sqlitefiles import content, of_format_1\nfrom sampan.store.base import StoreFull\n"
        "import os, sqlite3\npath = of_format_1(folder)\n"
        "with sqlite3.connect(path) as c: c.execute(\"INSERT INTO log VALUES (262144, '/c', 4, 0, 0, 0, zeroblob(200000))\")\n"
        "c.close()\nbefore = path.read_bytes()\n"
        "ballast = folder / 'ballast'\n"
        "with ballast.open('wb', buffering=0) as file:\n"
        "    try:\n        while file.write(bytes(4096)): pass\n    except OSError: pass\n"
        "for spare in (0, 100_000):\n    os.truncate(ballast, ballast.stat().st_size - spare)\n"
        "    try:\n        content(folder)\n    except StoreFull as error: print(error.message)\n"
        "assert path.read_bytes() == before\nassert not list(folder.glob('*format-*')) + list(folder.glob('.*'))\n"
        "ballast.unlink()\nassert set(content(folder)) == {'/a', '/b', '/c'}\n")
    done = subprocess.run([*unshare, sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)],
                          capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "no space is left for" in done.stdout
    assert "no space is left to bring" in done.stdout
    assert "from format 1 to 2; it is as it was" in done.stdout


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


