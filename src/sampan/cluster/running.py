"""The event loop of a process of a cluster: from its start to a signal. Imports nothing that only one kind of process needs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sampan.aio.tasks import Tasks


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop where it exists."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


async def until_signalled(work: Callable[[], Awaitable[None]]) -> None:
    """Wait for `work` to fail, or for SIGTERM or SIGINT, whichever comes first."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Tasks() as tasks:
        stop = tasks.start(stopping.wait(), "signal")
        failed = tasks.start(_awaited(work), "work")
        await asyncio.wait([stop, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
