"""Identities: seeded ones repeat themselves, others need not ask the system for each number."""

from __future__ import annotations

import random
import uuid

from sampan.lib.clock import Identity


def test_a_seeded_identity_says_the_same_again() -> None:
    # given
    first, second = Identity(random.Random(7)), Identity(random.Random(7))
    # then
    assert [first.suffix(), first.uid(), first.suffix()] == [second.suffix(), second.uid(), second.suffix()]
    assert first.chance is first.rng


def test_suffixes_are_of_upstreams_alphabet_and_only_uids_ask_the_system() -> None:
    # given
    identity = Identity()
    # when
    made = {identity.suffix() for _ in range(200)}
    # then
    assert all(len(text) == 5 and set(text) <= set(Identity.ALPHABET) for text in made)
    assert len(made) > 190
    assert isinstance(identity.rng, random.SystemRandom)
    assert not isinstance(identity.chance, random.SystemRandom)


def test_two_identities_of_one_process_say_different_things() -> None:
    assert [Identity().suffix(10) for _ in range(2)] != [Identity().suffix(10) for _ in range(2)]


def test_uids_are_of_version_4() -> None:
    # given
    identity, numbers = Identity(random.Random(3)), random.Random(3)
    # then
    for _ in range(50):
        assert identity.uid() == str(uuid.UUID(int=numbers.getrandbits(128), version=4))
