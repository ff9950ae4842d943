"""The WebSocket as SPDY's transport."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import WSMessage, WSMsgType

from sampan.aio.tasks import Tasks
from sampan.node.server.portforward import Pairs, SocketTransport


class Messages:
    """A socket that has these messages, then is closed."""

    closed = False

    def __init__(self, *messages: bytes) -> None:
        self._messages = deque(messages)

    async def receive(self) -> WSMessage:
        kind = WSMsgType.BINARY if self._messages else WSMsgType.CLOSED
        return WSMessage(kind, self._messages.popleft() if self._messages else None, None)


def test_an_empty_message_is_not_the_end() -> None:
    async def scenario() -> list[bytes]:
        transport = SocketTransport(Messages(b"one", b"", b"", b"two"))  # type: ignore[arg-type]
        return [await transport.read() for _ in range(3)]

    assert asyncio.run(scenario()) == [b"one", b"two", b""]


class Streams:
    """A peer's stream: its headers, and what became of it."""

    def __init__(self, request: str, kind: str, port: str = "80") -> None:
        self.headers = {"requestID": request, "streamType": kind, "port": port}
        self.was_reset = False

    async def reset(self) -> None:
        self.was_reset = True


def test_streams_that_make_no_pair_are_reset() -> None:
    async def scenario() -> None:
        # given pairs of nothing yet
        pairs = Pairs(None)  # type: ignore[arg-type]
        async with Tasks() as tasks:
            first = Streams("1", "error")
            tasks.start(pairs.opened(first), "first")  # type: ignore[arg-type]
            await asyncio.sleep(0)
            # when a second stream for the same errors comes, and some that are nothing
            for wrong in (Streams("1", "error"), Streams("2", "data", "²"), Streams("3", "data", "1234567"), Streams("4", "")):
                await pairs.opened(wrong)  # type: ignore[arg-type]
                # then each is reset
                assert wrong.was_reset, wrong.headers
            # and the first goes on waiting for its other half
            assert not first.was_reset
            await tasks.stop()

    asyncio.run(scenario())
