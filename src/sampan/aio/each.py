"""The same work for many items, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from sampan.aio.tasks import Tasks

T = TypeVar("T")


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Run `work` for every item, at most `at_once` of them at a time; the first failure ends the rest and is raised."""
    left = iter(items)

    async def worker() -> None:
        for item in left:  # shared: each takes the next that nobody has
            await work(item)

    async with Tasks() as tasks:
        for task in [tasks.start(worker(), f"each {number}") for number in range(at_once)]:
            await task
