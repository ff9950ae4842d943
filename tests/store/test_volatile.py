"""Which reads of the past volatile writes make impossible."""

from __future__ import annotations

import pytest

from sampan.aio.clock import VirtualClock
from sampan.store.base import Change, Compacted, Record
from sampan.store.history import History, Limits
from sampan.store.sqliterows import Version, row_id
from sampan.store.volatile import Volatile


def row(revision: int) -> Version:
    return Version(Record("/l", b"row", revision, 1), row_id(revision), True)


def write(revision: int) -> Change:
    return Change("/l", b"%d" % revision, revision, 1, revision - 1)


def test_what_memory_remembers_is_exact_and_the_rest_is_refused() -> None:
    # given a marked row at 10, volatile writes at 11 to 15, a row at 16; memory goes back to 13
    volatile, history = Volatile({}, 5), History(VirtualClock(), 5, Limits(changes=3))
    for revision in range(11, 16):
        volatile.published([write(revision)])
        history.add(revision, [write(revision)])
    assert volatile.exact(row(10), 15, history).value == b"15"
    volatile.overwritten([write(16)], 0)
    history.add(16, [write(16)])
    assert history.floor == 13
    # then
    assert volatile.exact(row(10), 10, history).value == b"row"
    assert [volatile.exact(row(10), revision, history).value for revision in (14, 15)] == [b"14", b"15"]
    with pytest.raises(Compacted):
        volatile.exact(row(10), 12, history)
    assert volatile.exact(row(16), 20, history).value == b"row", "nothing volatile since"


def test_rows_of_an_earlier_process_are_exact_only_if_they_were_the_newest_at_the_start() -> None:
    history = History(VirtualClock(), 50, Limits())
    assert Volatile({"/l": row_id(10)}, 50).exact(row(10), 49, history).value == b"row"
    with pytest.raises(Compacted):
        Volatile({"/l": row_id(40)}, 50).exact(row(10), 30, history)
