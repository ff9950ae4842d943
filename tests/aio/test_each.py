"""Bounded concurrency over many items."""

from __future__ import annotations

import asyncio

import pytest

from sampan.aio.each import each


def test_every_item_is_worked_on_once_and_never_too_many_at_a_time() -> None:
    done: list[int] = []
    running = most = 0

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    asyncio.run(each(range(20), work, 4))
    assert sorted(done) == list(range(20))
    assert most == 4


def test_a_failure_is_raised() -> None:
    async def work(item: int) -> None:
        if item == 3:
            raise ValueError(item)

    with pytest.raises(ValueError, match="3"):
        asyncio.run(each(range(10), work, 2))
