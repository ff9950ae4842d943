"""What a selection selects, and when two are the same."""

from __future__ import annotations

from sampan.api.resources import PODS
from sampan.apiserver.entries import Entry
from sampan.apiserver.selection import ALL, Selection

ENTRY = Entry(PODS, "k", "a", "web", b"{}", 1, "n1")


def test_everything_that_is_set_must_hold() -> None:
    assert ALL.holds(ENTRY)
    assert Selection("a", "web", "n1", "t", lambda _: True).holds(ENTRY)
    assert not any(selection.holds(ENTRY) for selection in (
        Selection("b"), Selection(name="db"), Selection(indexed="n2"), Selection(text="t", matches=lambda _: False)))


def test_equal_texts_are_equal_selections_whatever_their_functions() -> None:
    assert Selection("a", text="t", matches=lambda _: True) == Selection("a", text="t", matches=lambda _: False)
    assert len({Selection("a", text="t"), Selection("a", text="u"), Selection("b", text="t")}) == 3


def test_a_namespace_alone_is_no_selector() -> None:
    assert not Selection("a").by_selector
    assert all(s.by_selector for s in (Selection(name="x"), Selection(indexed="x"), Selection(text="t", matches=lambda _: True)))
