"""The SQL of a `SqliteStore`: rows in and out, on a connection that is given. No threads, no state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sampan.store.base import Change, Record
from sampan.store.sqlitefiles import Connection

NUMBER_BITS = 16
WRITES_MOST = 1 << NUMBER_BITS
LAST = "\U0010ffff"  # sorts behind every key that a prefix can be continued by

# id, key, created, previous, expires, volatile, value
Row = tuple[int, str, int, int, int, int, bytes | None]


class Version(NamedTuple):
    """One row as reading sees it; `volatile`: newer writes of the key may have left no row."""

    record: Record
    id: int
    volatile: bool


class Newest(NamedTuple):
    """What the index says of a key's row; `deleted` where it is a deletion."""

    key: str
    id: int
    created: int
    expires: int
    volatile: bool
    deleted: bool


def row_id(revision: int, number: int = 0) -> int:
    """The id of a transaction's nth row."""
    return revision << NUMBER_BITS | number


def revision_of(id: int) -> int:
    """The revision that a row belongs to."""
    return id >> NUMBER_BITS


AT_ONCE = 32
"""So many rows one statement inserts: each call of sqlite gives the interpreter lock away and has to queue for it again."""
_INSERT = ["INSERT INTO log (id, key, created, previous, expires, volatile, value) VALUES " + ",".join(["(?,?,?,?,?,?,?)"] * n)  # noqa: S608 - nothing from outside
           for n in range(AT_ONCE + 1)]
_REMOVE = {n: "DELETE FROM log WHERE id IN (" + ",".join("?" * n) + ")" for n in (64, 8, 1)}  # noqa: S608


def _sized(items: Sequence[Any], sizes: Iterable[int]) -> Iterator[tuple[int, Sequence[Any]]]:
    start = 0
    for size in sizes:
        while len(items) - start >= size:
            yield size, items[start:start + size]
            start += size


def insert(connection: Connection, rows: Sequence[Row]) -> None:
    """Append to the log; `AT_ONCE` rows and fewer by one statement, which is a transaction by itself where none was begun."""
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start:start + AT_ONCE]
        connection.execute(_INSERT[len(part)], [value for row in part for value in row])


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Take rows out of the log."""
    for size, part in _sized(ids, _REMOVE):
        connection.execute(_REMOVE[size], list(part))


def write_meta(connection: Connection, values: Iterable[tuple[str, int]]) -> None:
    """Set numbers of the meta table."""
    for name, value in values:
        connection.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))


def read_meta(connection: Connection) -> dict[str, int]:
    """All numbers of the meta table."""
    return dict(connection.execute("SELECT name, value FROM meta").fetchall())


def scan(connection: Connection, after: tuple[str, int], limit: int) -> list[Newest]:
    """All rows by key and id, as the index has them (values stay untouched), `limit` at a time."""
    rows = connection.execute(
        "SELECT key, id, created, expires, volatile FROM log INDEXED BY log_key WHERE (key, id) > (?, ?)"
        " ORDER BY key, id LIMIT ?", (*after, limit)).fetchall()
    return [Newest(key, id, abs(created), expires, bool(volatile), created < 0) for key, id, created, expires, volatile in rows]


def top(connection: Connection) -> int:
    """The newest revision in the log, 0 when it is empty."""
    (id,) = connection.execute("SELECT max(id) FROM log").fetchone()
    return revision_of(id) if id else 0


def get(connection: Connection, key: str, revision: int) -> Version | None:
    """The newest row of a key at `revision`."""
    row = connection.execute(
        "SELECT id, created, value, volatile FROM log INDEXED BY log_key WHERE key = ? AND id < ? ORDER BY id DESC LIMIT 1",
        (key, row_id(revision + 1))).fetchone()
    if row is None or row[1] < 0:
        return None
    return Version(Record(key, row[2], revision_of(row[0]), row[1]), row[0], bool(row[3]))


_STATE = (
    "FROM log AS l INDEXED BY log_key WHERE l.key >= ?1 AND l.key < ?2 AND l.key > ?3 AND l.id < ?4 AND l.created > 0"
    " AND NOT EXISTS (SELECT 1 FROM log AS n INDEXED BY log_key WHERE n.key = l.key AND n.id > l.id AND n.id < ?4)"
)


def state(connection: Connection, prefix: str, after: str, limit: int, revision: int) -> list[Version]:
    """The keys below `prefix` behind `after` as they were at `revision`, in order; `limit` 0 is none."""
    rows = connection.execute(f"SELECT l.key, l.value, l.id, l.created, l.volatile {_STATE} ORDER BY l.key LIMIT ?5",
                              (prefix, prefix + LAST, after, row_id(revision + 1), limit or -1)).fetchall()
    return [Version(Record(key, value, revision_of(id), created), id, bool(volatile))
            for key, value, id, created, volatile in rows]


def count(connection: Connection, prefix: str, after: str, revision: int) -> int:
    """How many keys `state` would have."""
    (number,) = connection.execute(f"SELECT count(*) {_STATE}", (prefix, prefix + LAST, after, row_id(revision + 1))).fetchone()
    return int(number)


def changes(connection: Connection, prefix: str, after_id: int, revision: int, limit: int) -> list[tuple[int, Change]]:
    """(id, change) of rows below `prefix` behind `after_id` up to `revision`, in order."""
    rows = connection.execute(
        # the plus signs keep the planner on the table's own order
        "SELECT id, key, value, created, previous FROM log WHERE id > ? AND id < ? AND +key >= ? AND +key < ?"
        " ORDER BY id LIMIT ?", (after_id, row_id(revision + 1), prefix, prefix + LAST, limit)).fetchall()
    return [(id, Change(key, value, revision_of(id), abs(created), previous)) for id, key, value, created, previous in rows]
