"""A heap that grows is looked at, on virtual time."""

from __future__ import annotations

import asyncio

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.cluster import heap
from sampan.lib.hugepages import HugePages


class Counting(HugePages):
    """Says how often it was asked."""

    def __init__(self, due: list[bool], *, there: bool = True) -> None:
        super().__init__()
        self.offered, self._due, self.gathered = there, due, 0

    def due(self) -> bool:
        return bool(self._due) and self._due.pop(0)

    def wanted(self) -> list[int]:
        return [1]

    def gather(self, address: int) -> bool:
        self.gathered += address
        return True


def test_it_is_gathered_when_it_has_grown() -> None:
    async def main() -> None:
        clock, pages = VirtualClock(), Counting([False, True, False, True])
        async with Tasks() as tasks:
            tasks.start(heap.keep(clock, pages), "heap")
            for wanted in (0, 1, 1, 2, 2):
                await clock.turns(5)
                while pages.gathered < wanted:
                    await clock.turns(5)
                assert pages.gathered == wanted
                await clock.advance(heap.LOOK_SECONDS + heap.PAUSE_SECONDS)

    asyncio.run(main())


def test_nobody_looks_where_there_are_none() -> None:
    pages = Counting([True], there=False)
    asyncio.run(heap.keep(VirtualClock(), pages))
    assert pages.gathered == 0
