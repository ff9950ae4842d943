"""The SQL: rows in and out, and that no question scans the table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from sampan.store import sqliterows as rows
from sampan.store.sqlitefiles import SCHEMA


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCHEMA:
        made.execute(statement)
    yield made
    made.close()


@pytest.mark.parametrize("count", [0, 1, 3, 31, 32, 33, 64, 200])
def test_any_number_of_rows_goes_in_and_out(connection: sqlite3.Connection, count: int) -> None:
    rows.insert(connection, [(rows.row_id(2, n), f"/{n:03}", 2, 0, 0, 0, b"%d" % n) for n in range(count)])
    assert [version.record.value for version in rows.state(connection, "/", "", 0, 2)] == [b"%d" % n for n in range(count)]
    assert rows.count(connection, "/", "/000", 2) == max(count - 1, 0)
    rows.remove(connection, [rows.row_id(2, n) for n in range(1, count)])
    assert len(rows.scan(connection, ("", 0), 1000)) == min(count, 1)


def test_the_state_of_a_revision_is_the_newest_row_up_to_it(connection: sqlite3.Connection) -> None:
    rows.insert(connection, [(rows.row_id(2), "/a", 2, 0, 0, 0, b"2"), (rows.row_id(3), "/a", 2, 2, 0, 0, b"3"),
                             (rows.row_id(4), "/a", -2, 3, 0, 0, None), (rows.row_id(5), "/a", 5, 0, 0, 0, b"5")])
    seen = {revision: rows.get(connection, "/a", revision) for revision in range(1, 7)}
    assert {revision: version and version.record.value for revision, version in seen.items()} == {
        1: None, 2: b"2", 3: b"3", 4: None, 5: b"5", 6: b"5"}
    assert [len(rows.state(connection, "/", "", 0, revision)) for revision in range(1, 7)] == [0, 1, 1, 0, 1, 1]
    assert [(c.revision, c.create_revision, c.value) for _, c in rows.changes(connection, "/", rows.row_id(3), 6, 10)] == [
        (4, 2, None), (5, 5, b"5")]


def test_questions_are_answered_from_an_index_without_sorting(connection: sqlite3.Connection) -> None:
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    rows.get(connection, "/a", 5)
    rows.state(connection, "/a", "", 10, 5)
    rows.changes(connection, "/a", 0, 5, 10)
    rows.scan(connection, ("", 0), 10)
    connection.set_trace_callback(None)
    for statement in asked:
        plan = " ".join(str(row[3]) for row in connection.execute("EXPLAIN QUERY PLAN " + statement))
        assert "SEARCH" in plan
        assert "SCAN" not in plan, (statement, plan)
        assert "TEMP B-TREE" not in plan, (statement, plan)
