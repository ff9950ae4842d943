"""Decisions that wait for answers."""

from __future__ import annotations

import asyncio

import pytest

from sampan.apiserver.auth.asking import Undecided, answered, decided, settled
from sampan.apiserver.auth.base import Decision


class Asks:
    def __init__(self, key: str, heard: list[str]) -> None:
        self._key, self._heard = key, heard

    @property
    def key(self) -> str:
        return self._key

    async def ask(self) -> Decision:
        await asyncio.sleep(0)
        self._heard.append(self._key)
        return Decision(self._key != "b")


def test_each_question_is_asked_once_and_the_decision_made_again() -> None:
    heard: list[str] = []

    def decide() -> list[bool]:
        found = []
        for key in "abc":
            decision = answered(key)
            if decision is None:
                raise Undecided(Asks(key, heard))
            found.append(decision.allowed)
        return found

    assert asyncio.run(decided(decide)) == [True, False, True]
    assert heard == ["a", "b", "c"]


def test_answers_are_for_the_one_decision_only() -> None:
    async def run() -> None:
        heard: list[str] = []

        async def work() -> bool:
            decision = answered("a")
            if decision is None:
                raise Undecided(Asks("a", heard))
            return decision.allowed

        assert await asyncio.gather(settled(work), settled(work)) == [True, True]
        assert heard == ["a", "a"]
        assert answered("a") is None

    asyncio.run(run())


def test_a_decision_that_never_ends_asking_is_ended() -> None:
    count = iter(range(10_000))

    def decide() -> None:
        raise Undecided(Asks(str(next(count)), []))

    with pytest.raises(RuntimeError, match="more than"):
        asyncio.run(decided(decide))
