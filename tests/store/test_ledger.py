"""Decisions and their undoing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sampan.store.base import Compare, Delete, Put
from sampan.store.ledger import RESERVED_AT_ONCE, Ledger
from sampan.store.sqliterows import row_id

KEYS = ("/a", "/b", "/c")
WRITES = st.lists(st.one_of(st.builds(Put, st.sampled_from(KEYS), st.just(b""), volatile=st.booleans()),
                            st.builds(Delete, st.sampled_from(KEYS))), min_size=1, max_size=3, unique_by=lambda write: write.key)


def state(ledger: Ledger) -> tuple[object, ...]:
    return dict(ledger.index), dict(ledger.marked), ledger.reserved


@given(st.lists(WRITES, max_size=8), st.integers(0, 8))
def test_decisions_are_undone_newest_first_to_exactly_what_was(transactions: list[list[Put | Delete]], kept: int) -> None:
    ledger = Ledger({}, {}, 1, 0)
    decisions, states = [], [state(ledger)]
    for writes in transactions:
        if effective := ledger.effective(writes):
            decisions.append(ledger.decide(effective, 0.0))
            states.append(state(ledger))
    given_so_far = ledger.given
    for decision in reversed(decisions[kept:]):
        ledger.undo(decision)
    assert state(ledger) == states[min(kept, len(states) - 1)]
    assert ledger.given == given_so_far, "revisions are never given again"


def test_only_a_marked_keys_volatile_writes_leave_no_row() -> None:
    ledger = Ledger({}, {}, 1, 0)
    first = ledger.decide([Put("/l", b"1", volatile=True)], 0.0)
    assert (first.volatile, [row[:2] for row in first.rows]) == (False, [(row_id(2), "/l")])
    second = ledger.decide([Put("/l", b"2", volatile=True)], 0.0)
    assert (second.volatile, second.rows, second.meta) == (True, [], [("reserved", 3 + RESERVED_AT_ONCE)])
    assert ledger.decide([Put("/l", b"3", volatile=True)], 0.0).meta == []
    # what supersedes the row names the row, not a write that left none
    assert ledger.decide([Put("/l", b"4")], 0.0).superseded == [row_id(2)]
    assert not ledger.decide([Put("/l", b"5", volatile=True)], 0.0).volatile, "no longer marked"


def test_compares_are_against_what_is_decided_not_what_is_written() -> None:
    ledger = Ledger({}, {}, 1, 0)
    assert ledger.holds([Compare("/a", 0)])
    ledger.decide([Put("/a", b"")], 0.0)
    assert ledger.holds([Compare("/a", 2)])
    assert not ledger.holds([Compare("/a", 0)])
