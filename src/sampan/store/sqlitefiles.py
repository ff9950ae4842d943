"""The files of a `SqliteStore`: who may open them, which format they have, how they come to the newest one.

Owns the folder's lock, the check of the file's header (which never changes a file), the schema and its migrations,
the connections, and the translation of sqlite's errors.

A file of an older format is copied first, as a whole, to `store.db.format-N` beside it, and then brought to the newest
format in one transaction: a crash at any moment leaves the old file or the new one, and a backup that is complete or not there.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sampan import __version__
from sampan.lib.errors import ConfigError
from sampan.store.base import NewerFormat, StoreCorrupt, StoreError, StoreFull, StoreUnavailable

log = logging.getLogger(__name__)

FILE = "store.db"
LOCK = "store.lock"
FORMAT = 2
APPLICATION_ID = 0x53414D50  # "SAMP"

# The log of all writes; a key's newest row is its current state, older ones are history until they are compacted.
# id: revision << 16 | number in the transaction. created: the key's create revision, negative in a deletion.
# expires: wall seconds, 0 never. volatile: the writes of this key that follow may be forgotten by a crash.
SCHEMA = (
    "CREATE TABLE log (id INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL, previous INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, volatile INTEGER NOT NULL, value BLOB)",
    "CREATE INDEX log_key ON log (key, id, created, expires, volatile)",
    # reserved: no revision up to this is ever given again. compacted: the history before it is gone.
    # closed: the newest revision when the store was closed in order, 0 while it is open.
    # lost_from, lost_to: a crash forgot volatile writes of the revisions between.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    # since format 2. which version of Sampan made the file or brought it to a format, and when (unix seconds).
    VERSIONS := "CREATE TABLE versions (format INTEGER NOT NULL, version TEXT NOT NULL, at INTEGER NOT NULL)",
)
META = ("reserved", "compacted", "closed", "lost_from", "lost_to")

Step = Sequence[str]
"""Statements, all in one transaction with those of the other steps: neither VACUUM nor a PRAGMA of the file."""
MIGRATIONS: Mapping[int, Step] = {1: (VERSIONS,)}
"""Format → how it comes to the next one. Never change a step that a version was published with."""


class Cursor(Protocol):
    """What `execute` returns."""

    def fetchall(self) -> list[Any]: ...

    def fetchone(self) -> Any: ...


class Connection(Protocol):
    """As much of `sqlite3.Connection` as the store uses; errors are `sqlite3.Error`s."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor: ...

    def close(self) -> None: ...


Connect = Callable[[Path], Connection]


def connect(path: Path) -> Connection:
    """A connection without implicit transactions, usable from the thread that was made for it."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64, timeout=30)


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """What a user is told about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StoreFull(f"no space is left for {path}", hint="free some space: writing goes on by itself")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorrupt(f"{path} is damaged ({error})", hint="restore a backup, or move the folder away to start anew")
    return StoreUnavailable(f"{path}: {error}")


def _is_full(path: Path) -> bool:
    """Whether there is no room for even sqlite's shared memory, which it calls an input/output error."""
    space = os.statvfs(path.parent)
    return space.f_bavail * space.f_frsize < 64 << 10


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Raise a `StoreError` for sqlite's own errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(error, path) from error


class FolderLock:
    """Held while the store is open; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            ConfigError: Another process has it.
        """
        path = folder / LOCK
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot use {path}: {error.strerror}", hint="choose another folder with --data") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise ConfigError(f"{folder} is in use by process {holder}",
                              hint="stop that process, or choose another folder with --data") from error
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            # only for who comes second; whether the disk is too full for more is told by what needs the space
            log.warning("the lock can't say who holds it: %s", error, extra={"path": str(path)})

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._fd)


def prepare_folder(folder: Path) -> None:
    """Make the folder, for its owner alone.

    Raises:
        ConfigError: It cannot be made or is no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"cannot use {folder} as data folder: {error.strerror}", hint="choose another with --data") from error


def format_of(path: Path) -> int:
    """The format that a file says it has; 0 for none or an empty one. Reads the header, opens nothing.

    Raises:
        StoreCorrupt: It is no store.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return 0
    if not header:
        return 0
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0") or int.from_bytes(header[68:72]) != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is not a store of Sampan, or its beginning is damaged",
                           hint="restore a backup, or move the folder away to start anew")
    return int.from_bytes(header[60:64])


def open_file(path: Path, open_connection: Connect, *, newest: int = FORMAT,
              migrations: Mapping[int, Step] = MIGRATIONS) -> Connection:
    """Open a store's file in the newest format, made or migrated where it is not there or older.

    Raises:
        NewerFormat: It was written by a newer version; it was not touched.
        StoreError: It is damaged, or there is no space.
    """
    found = format_of(path)
    if found > newest:
        raise NewerFormat(f"{path} has format {found}{_written_by(path)}, this version knows {newest}",
                          hint=f"use the version of Sampan that wrote it, or newer; {path.name}.format-N is a copy from before, if there is one")
    if not found:
        # sqlite gives its other files the permissions of this one
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with translating(path):
        connection = open_connection(path)
        # asked once more: a crash while the file was made has been undone just now
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if not found:
            _create(connection, newest)
        elif found < newest:
            _migrate(connection, path, found, newest, migrations)
        _settings(connection)
        return connection


def _settings(connection: Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL").fetchall()
    # checkpoints belong to their own thread
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()


def open_another(path: Path, open_connection: Connect) -> Connection:
    """One more connection to an open store, for reading or checkpoints."""
    with translating(path):
        connection = open_connection(path)
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        return connection


def _create(connection: Connection, newest: int) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {newest}")
    for statement in SCHEMA:
        connection.execute(statement)
    for name in META:
        connection.execute("INSERT INTO meta VALUES (?, 0)", (name,))
    _sign(connection, newest)
    connection.execute("COMMIT")


def _sign(connection: Connection, format: int) -> None:
    """Note which version the format is of."""
    connection.execute("INSERT INTO versions VALUES (?, ?, CAST(strftime('%s', 'now') AS INTEGER))", (format, __version__))


def _written_by(path: Path) -> str:
    """Which version has last brought a file to its format, if it tells. Changes nothing, not even beside it."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            row = connection.execute("SELECT version FROM versions ORDER BY rowid DESC LIMIT 1").fetchone()
    except sqlite3.Error:
        return ""  # a format that keeps it elsewhere, or a damaged file: the number has been told
    return f" (of Sampan {row[0]})" if row else ""


def _migrate(connection: Connection, path: Path, found: int, newest: int, migrations: Mapping[int, Step]) -> None:
    try:
        _back_up(connection, path.with_name(f"{path.name}.format-{found}"))
        connection.execute("BEGIN EXCLUSIVE")
        for step in range(found, newest):
            for statement in migrations[step]:
                connection.execute(statement)
        _sign(connection, newest)
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        connection.close()  # rolls back
        if getattr(error, "errno", 0) == errno.ENOSPC or getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StoreFull(f"no space is left to bring {path} from format {found} to {newest}; it is as it was",
                            hint=f"free twice the size of the file ({path.stat().st_size >> 20} MiB), then start again") from error
        if isinstance(error, OSError):
            raise StoreUnavailable(f"{path} can't be copied before it is brought to format {newest}: {error.strerror}; it is as it was") from error
        raise
    # into the file itself, where an older version looks for the format before it opens anything
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _back_up(connection: Connection, backup: Path) -> None:
    """Copy the store as it is; under the backup's name there is a whole copy or none."""
    partial = backup.with_name(f".{backup.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600))
        connection.execute("VACUUM INTO ?", (str(partial),))
        _sync(partial)
        partial.replace(backup)
        _sync(backup.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
