"""Answers that are remembered."""

from __future__ import annotations

import asyncio

from sampan.aio.clock import VirtualClock
from sampan.apiserver.auth.remembered import Remembered


def test_an_answer_counts_until_its_time_is_over() -> None:
    async def run() -> None:
        clock = VirtualClock()
        known: Remembered[str] = Remembered(clock)
        known.put("a", "1", 10)
        known.put("b", "2", 0)
        await clock.advance(9)
        assert (known.get("a"), known.get("b")) == ("1", None)
        await clock.advance(1)
        assert (known.get("a"), len(known)) == (None, 0)

    asyncio.run(run())


def test_the_oldest_go_first() -> None:
    known: Remembered[int] = Remembered(VirtualClock(), most=2)
    for number in range(3):
        known.put(number, number, 10)
    assert [known.get(number) for number in range(3)] == [None, 1, 2]
