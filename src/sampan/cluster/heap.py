"""Huge pages for processes that grow large."""

from __future__ import annotations

import asyncio

from sampan.aio.clock import AsyncClock
from sampan.lib.hugepages import HugePages

LOOK_SECONDS = 5.0
PAUSE_SECONDS = 0.02
"""From one huge page to the next: requests go on between them."""


async def keep(clock: AsyncClock, pages: HugePages | None = None) -> None:
    """Look now and then whether the heap has grown; ends where there are no huge pages."""
    pages = pages or HugePages()
    while pages.offered:
        for address in await asyncio.to_thread(pages.wanted) if pages.due() else ():
            if not await asyncio.to_thread(pages.gather, address):
                return
            await clock.sleep(PAUSE_SECONDS)
        await clock.sleep(LOOK_SECONDS)
