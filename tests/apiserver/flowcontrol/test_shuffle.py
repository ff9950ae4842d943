"""Which queues a flow may use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.flowcontrol.shuffle import deal, flow_hash

DECKS = st.integers(1, 600).flatmap(lambda deck: st.tuples(st.just(deck), st.integers(1, min(deck, 15))))


@given(entropy=st.integers(0, 2**64 - 1), deck=DECKS)
def test_a_hand_has_different_cards_of_the_deck(entropy: int, deck: tuple[int, int]) -> None:
    size, hand_size = deck
    hand = deal(entropy, size, hand_size)
    assert len(set(hand)) == hand_size
    assert all(0 <= card < size for card in hand)


def test_all_hands_come_up_equally_often() -> None:
    # given as many entropies as there are ordered hands of 2 out of 5
    hands = [deal(entropy, 5, 2) for entropy in range(20)]
    # then each comes up once
    assert len(set(hands)) == 20


def test_a_hand_that_the_deck_does_not_have_is_refused() -> None:
    for size, hand in ((3, 4), (3, 0), (0, 1)):
        with pytest.raises(ValueError, match="can't be dealt"):
            deal(7, size, hand)


def test_flows_are_told_apart_by_schema_and_distinguisher() -> None:
    assert flow_hash("a", "b") == flow_hash("a", "b")
    assert len({flow_hash("a", "b"), flow_hash("ab", ""), flow_hash("", "ab"), flow_hash("b", "a")}) == 4
    assert 0 <= flow_hash("schema", "\udc80") < 2**64
