"""Waiting in tests for what takes real time: processes, sockets, threads, other tasks of the event loop.

A test says what happens, never how fast: machines are slow, noisy and shared. So there is one bound for all of them, far
above what anything takes, for what would never happen at all.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 120.0
FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.002, 0.1


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run an async test to its end; TimeoutError when it hangs."""
    return asyncio.run(asyncio.wait_for(test, PATIENCE_SECONDS))


async def until(question: Callable[[], T | Awaitable[T]], what: str = "it") -> T:
    """Ask until the answer is true; the answer.

    Raises:
        AssertionError: It never was: `what` should have happened.
    """
    for pause in _pauses(what):
        asked = question()
        answer: T = await asked if inspect.isawaitable(asked) else asked
        if answer:
            return answer
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")


def until_true(question: Callable[[], T], what: str) -> T:
    """The same for tests that are not async."""
    for pause in _pauses(what):
        if answer := question():
            return answer
        time.sleep(pause)
    raise AssertionError("unreachable")


def _pauses(what: str) -> Iterator[float]:
    """How long to wait before the next look, seldom and seldomer: looking may cost a process."""
    end, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_LOOK_SECONDS
    while True:
        yield pause
        assert time.monotonic() < end, f"within {PATIENCE_SECONDS:g} s this did not happen: {what}"
        pause = min(pause * 1.2, LOOK_SECONDS)
