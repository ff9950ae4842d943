"""Opening a `SqliteStore`: from the files to what is kept in memory. Runs on a thread, before the store is used.

After a crash it writes marked keys anew (a crash may have forgotten newer volatile writes of them), at a revision
that was never given, and notes which revisions nobody can be told about any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sampan.store import sqlitefiles as files
from sampan.store import sqliterows as rows

SCANNED_AT_ONCE = 5000


@dataclass
class Loaded:
    """What a store starts with. `lost`: revisions in (first, second] cannot be read."""

    connection: files.Connection
    lock: files.FolderLock
    revision: int = 1
    reserved: int = 0
    compacted: int = 0
    lost: tuple[int, int] = (0, 0)
    index: dict[str, tuple[int, int]] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)
    garbage: deque[tuple[int, int]] = field(default_factory=deque)
    deadlines: list[tuple[float, str, int]] = field(default_factory=list)


def load(folder: Path, connect: files.Connect, *, newest: int = files.FORMAT,
         migrations: Mapping[int, Sequence[str]] = files.MIGRATIONS) -> Loaded:
    """Lock the folder, bring its file to the newest format, read the index.

    Raises:
        ConfigError: Another process has it open, or the folder cannot be used.
        NewerFormat: A newer version wrote it; it was not touched.
        StoreError: It is damaged, or there is no space.
    """
    files.prepare_folder(folder)
    path = folder / files.FILE
    lock = files.FolderLock(folder)
    try:
        connection = files.open_file(path, connect, newest=newest, migrations=migrations)
        try:
            with files.translating(path):
                return _loaded(Loaded(connection, lock))
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.release()
        raise


def _loaded(loaded: Loaded) -> Loaded:
    meta = rows.read_meta(loaded.connection)
    known = max(rows.top(loaded.connection), meta["compacted"], 1)
    loaded.reserved, loaded.compacted = meta["reserved"], meta["compacted"]
    loaded.lost = (meta["lost_from"], meta["lost_to"])
    _read_index(loaded)
    if meta["closed"]:
        loaded.revision = max(known, meta["closed"])
        loaded.connection.execute("BEGIN IMMEDIATE")
        rows.write_meta(loaded.connection, [("closed", 0)])
        loaded.connection.execute("COMMIT")
        return loaded
    # a revision that was reserved may have been given to a write that is forgotten
    loaded.revision = max(known, loaded.reserved)
    if loaded.revision > known or loaded.marked:
        loaded.connection.execute("BEGIN IMMEDIATE")
        _after_crash(loaded, known)
        loaded.connection.execute("COMMIT")
    return loaded


def _read_index(loaded: Loaded) -> None:
    """The newest row of each key; all others are history."""
    garbage: list[tuple[int, int]] = []
    last: rows.Newest | None = None
    after = ("", 0)
    while found := rows.scan(loaded.connection, after, SCANNED_AT_ONCE):
        for row in found:
            if last is not None:
                _file(loaded, garbage, last, row)
            last = row
        after = (found[-1].key, found[-1].id)
    if last is not None:
        _file(loaded, garbage, last, None)
    garbage.sort()
    loaded.garbage.extend(garbage)


def _file(loaded: Loaded, garbage: list[tuple[int, int]], row: rows.Newest, following: rows.Newest | None) -> None:
    if following is not None and following.key == row.key:
        garbage.append((rows.revision_of(following.id), row.id))
    elif not row.deleted:
        loaded.index[row.key] = (row.id, row.created)
        if row.volatile:
            loaded.marked[row.key] = row.id
        if row.expires:
            loaded.deadlines.append((row.expires, row.key, rows.revision_of(row.id)))
    if row.deleted:
        garbage.append((rows.revision_of(row.id), row.id))


def _after_crash(loaded: Loaded, known: int) -> None:
    """Go on at a revision that was never given. Write marked keys anew there, so that the revision of a key never goes
    back for those who saw what is forgotten.
    """
    # one gap is remembered: what is before an earlier one is given up
    loaded.compacted = max(loaded.compacted, loaded.lost[1])
    loaded.lost = (known, loaded.revision)
    rows.write_meta(loaded.connection,
                    [("compacted", loaded.compacted), ("lost_from", known), ("lost_to", loaded.revision)])
    loaded.revision += 1
    anew: list[rows.Row] = []
    for number, (key, id) in enumerate(loaded.marked.items()):
        # more than a transaction has room for: the next revision
        revision = loaded.revision + number // rows.WRITES_MOST
        new_id = rows.row_id(revision, number % rows.WRITES_MOST)
        version = rows.get(loaded.connection, key, rows.revision_of(id))
        assert version is not None, "the index has it"
        created = version.record.create_revision
        anew.append((new_id, key, created, version.record.mod_revision, 0, 1, version.record.value))
        loaded.garbage.append((revision, id))
        loaded.index[key] = (new_id, created)
        loaded.marked[key] = new_id
    if anew:
        rows.insert(loaded.connection, anew)
        loaded.revision = rows.revision_of(anew[-1][0])
