"""Shuffle sharding: which few of a level's queues a flow may use.

Source: `k8s.io/apiserver/pkg/util/shufflesharding`; `apf_controller.go`, `hashFlowID`.
"""

from __future__ import annotations

import hashlib


def flow_hash(schema: str, distinguisher: str) -> int:
    """64 bits that stand for a flow: the same in every server, and upstream's."""
    digest = hashlib.sha256(f"{schema}\0{distinguisher}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "little")


def deal(entropy: int, deck_size: int, hand_size: int) -> tuple[int, ...]:
    """`hand_size` different cards of [0, `deck_size`), as `entropy` shuffles them.

    Raises:
        ValueError: A hand must have a card, and no more than the deck.
    """
    if not 1 <= hand_size <= deck_size:
        raise ValueError(f"a hand of {hand_size} can't be dealt from {deck_size} cards")
    remainders: list[int] = []
    for taken in range(hand_size):
        entropy, remainder = divmod(entropy, deck_size - taken)
        remainders.append(remainder)
    hand = []
    for number, card in enumerate(remainders):
        for before in reversed(remainders[:number]):
            if card >= before:
                card += 1  # noqa: PLW2901 - counted among those that are left
        hand.append(card)
    return tuple(hand)
