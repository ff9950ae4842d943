"""Huge pages for processes that grow large."""

from __future__ import annotations

import asyncio

from sampan.aio.clock import AsyncClock
from sampan.lib.hugepages import HugePages

LOOK_SECONDS = 5.0


async def keep(clock: AsyncClock, pages: HugePages | None = None) -> None:
    """Look now and then whether the heap has grown; ends where there are no huge pages."""
    pages = pages or HugePages()
    while pages.offered:
        if pages.due():
            await asyncio.to_thread(pages.gather)
        await clock.sleep(LOOK_SECONDS)
