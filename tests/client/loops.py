"""The event loops on which processes run: asyncio's own, and uvloop where it exists."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any


def on_every_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` on one after the other."""
    loops: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        loops.append(uvloop.new_event_loop)
    for loop in loops:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(work())
