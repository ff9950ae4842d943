"""The WebSocket as SPDY's transport."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import WSMessage, WSMsgType

from sampan.node.server.portforward import SocketTransport


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
