"""Every task has an owner. `Tasks` is the only place that may call `asyncio.create_task`.

A task that fails unexpectedly is never lost: `Tasks` logs it and hands it to `wait`, so that the owner ends
with it, unless the owner asked for `keep_going`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)


class Tasks:
    """A group of background tasks that end with their owner.

    `async with Tasks() as tasks: tasks.start(work(), "work")`: leaving the block cancels what still runs and
    waits for it. The first failure is raised from `wait()` (and from the block's end).
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    def start(self, work: Coroutine[Any, Any, Any], name: str, *, keep_going: bool = False) -> asyncio.Task[Any]:
        """Run `work` until it ends or the group does; with `keep_going` a failure is only logged."""
        task = asyncio.create_task(work, name=name)  # noqa: TID251 - the owner of all tasks
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, keep_going=keep_going))
        return task

    def _ended(self, task: asyncio.Task[Any], *, keep_going: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("task failed", exc_info=error, extra={"task": task.get_name()})
        if not keep_going and self._failure is None:
            self._failure = error
            self._failed.set()

    async def wait(self) -> None:
        """Wait for the first failure and raise it; never returns otherwise."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    async def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        pending = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.stop()
        if error is None and self._failure is not None:
            raise self._failure
