"""Waiting in tests for what takes real time: processes, sockets, threads, other tasks of the event loop.

A test says what happens, never how fast: machines are slow, noisy and shared. So there is one bound for all of them, far
above what anything takes, for what would never happen at all.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.005


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run an async test to its end; TimeoutError when it hangs."""
    return asyncio.run(asyncio.wait_for(test, PATIENCE_SECONDS))


async def until(question: Callable[[], T | Awaitable[T]], what: str = "it") -> T:
    """Ask until the answer is true; the answer.

    Raises:
        AssertionError: It never was: `what` should have happened.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        asked = question()
        answer: T = await asked if inspect.isawaitable(asked) else asked
        if answer:
            return answer
        assert time.monotonic() < end, never(what)
        await asyncio.sleep(LOOK_SECONDS)


def until_true(question: Callable[[], T], what: str) -> T:
    """The same for tests that are not async."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (answer := question()):
        assert time.monotonic() < end, never(what)
        time.sleep(LOOK_SECONDS)
    return answer


def never(what: str) -> str:
    """What a wait says that came to nothing."""
    return f"within {PATIENCE_SECONDS:g} s this did not happen: {what}"
