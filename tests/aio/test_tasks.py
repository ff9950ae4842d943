"""Tasks end with their owner, and a failure is never lost."""

from __future__ import annotations

import asyncio

import pytest

from sampan.aio.backoff import Backoff
from sampan.aio.tasks import Tasks


class Broken(Exception):
    pass


async def fail() -> None:
    raise Broken


def test_leaving_the_block_cancels_what_still_runs() -> None:
    async def run() -> bool:
        async with Tasks() as tasks:
            task = tasks.start(asyncio.Event().wait(), "for ever")
        return task.cancelled()

    assert asyncio.run(run())


def test_a_failure_ends_the_owner_who_waits() -> None:
    async def run() -> None:
        async with Tasks() as tasks:
            tasks.start(fail(), "broken")
            await tasks.wait()

    with pytest.raises(Broken):
        asyncio.run(run())


def test_a_failure_that_nobody_waited_for_is_raised_at_the_end() -> None:
    async def run() -> None:
        async with Tasks() as tasks:
            tasks.start(fail(), "broken")
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    with pytest.raises(Broken):
        asyncio.run(run())


def test_a_task_that_may_fail_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with Tasks() as tasks:
            task = tasks.start(fail(), "broken", keep_going=True)
            await asyncio.wait([task])
            await asyncio.sleep(0)

    asyncio.run(run())
    assert "task failed" in caplog.text


def test_back_off_doubles_up_to_its_bound() -> None:
    backoff = Backoff(first_seconds=1.0, most_seconds=10.0)
    assert [backoff.delay_seconds(failures) for failures in range(7)] == [0, 1, 2, 4, 8, 10, 10]
    assert backoff.delay_seconds(10_000) == 10
