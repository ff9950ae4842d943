"""Sessions of simulated containers."""

from __future__ import annotations

import asyncio
import json

from sampan.aio.tasks import Tasks
from sampan.node.runtimes.base import Channel, Frame
from sampan.node.runtimes.programs import Pipe
from sampan.node.runtimes.simulated_streams import (
    QUEUED_EVENTS,
    QUEUED_FRAMES,
    RELIST,
    EventQueue,
    MemorySession,
    exit_status,
)
from sampan.node.runtimes.status import EventKind, RuntimeEvent
from sampan.testing import waiting


def test_the_status_is_upstreams() -> None:
    assert json.loads(exit_status(0)) == {"metadata": {}, "status": "Success"}
    failed = json.loads(exit_status(3))
    assert failed["message"] == "command terminated with non-zero exit code: exit status 3"
    assert failed["details"]["causes"][0]["message"] == "3"


def test_output_waits_for_its_reader_and_comes_before_the_status() -> None:
    async def body() -> None:
        session = MemorySession(None, stdout=True, stderr=False, tty=False)
        said = 0

        async def talk() -> int:
            nonlocal said
            for _ in range(3 * QUEUED_FRAMES):
                await session.emit(b"x", False)
                await session.emit(b"not asked for", True)
                said += 1
            return 0
        session.run(talk)
        for _ in range(10):
            await asyncio.sleep(0)
        assert said == QUEUED_FRAMES
        frames = [frame async for frame in _all(session)]
        assert frames[:-1] == [Frame(Channel.STDOUT, b"x")] * (3 * QUEUED_FRAMES)
        assert frames[-1].channel is Channel.ERROR
        assert await session.receive() is None
    waiting.run(body())


async def _all(session: MemorySession):  # type: ignore[no-untyped-def]
    while (frame := await session.receive()) is not None:
        yield frame


def test_a_pipe_holds_its_writer_back_and_ends() -> None:
    async def body() -> None:
        pipe = Pipe()
        await pipe.write(b"x" * (1 << 16))
        writing = asyncio.gather(pipe.write(b"more"))
        await asyncio.sleep(0)
        assert not writing.done()
        assert len(await pipe.read()) == 1 << 16
        await writing
        await pipe.close()
        assert [await pipe.read(), await pipe.read()] == [b"more", b""]
        await pipe.write(b"nobody")
        assert await pipe.read() == b""
    waiting.run(body())


def test_events_come_in_their_order_and_who_is_too_slow_is_told_to_list_again() -> None:
    async def body() -> None:
        queue = EventQueue()
        told = [RuntimeEvent(EventKind.STARTED, str(number)) for number in range(QUEUED_EVENTS + 1)]
        async with Tasks() as tasks:
            # given one who waits
            first = tasks.start(queue.get(), "first")
            await asyncio.sleep(0)
            # when as many come as may wait
            for event in told[:QUEUED_EVENTS]:
                queue.put(event)
            # then
            assert await first is told[0]
            assert [await queue.get() for _ in told[1:QUEUED_EVENTS]] == told[1:QUEUED_EVENTS]
        # when there are more
        for event in told:
            queue.put(event)
        # then
        assert await queue.get() is RELIST

    waiting.run(body())
