"""One HTTP/1.1 connection whose answer is read as it comes: a watch.

Owns what has come and was not read yet, which is bounded: past `MOST_HELD_BYTES` the connection is not read until somebody
has taken it. Leaves what is said to the client. Source: RFC 9112, 7.1.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Self, cast

import httptools

MOST_HELD_BYTES = 1 << 18
MOST_REFUSAL_BYTES = 1 << 20


class Broken(ConnectionError):
    """The connection ended, or what came is no HTTP. `unanswered`: before anything came."""

    def __init__(self, text: str, *, unanswered: bool = False) -> None:
        super().__init__(text)
        self.unanswered = unanswered


class Stream(asyncio.Protocol):
    """Send a request by `ask`, then iterate over pieces of the body. All methods run on the event loop."""

    def __init__(self) -> None:
        self.code = 0
        self.retry_after = ""
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._paused = self._ended = self._framed = False
        self._error: Broken | None = None
        self._news = asyncio.Event()

    async def ask(self, request: bytes) -> int:
        """The answer's code, once its head is there.

        Raises:
            Broken: The connection ended before.
        """
        assert self._transport is not None
        self._transport.write(request)
        while not self.code:
            await self._more()
        return self.code

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """What has come since.

        Raises:
            Broken: The connection ended before the answer did.
        """
        while not self._pieces:
            if self._ended:
                raise StopAsyncIteration
            await self._more()
        found = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return found

    def close(self) -> None:
        """End it, wherever it is."""
        self._ended = True
        self._news.set()
        if self._transport is not None:
            self._transport.abort()

    async def refusal(self) -> bytes:
        """The whole body of an answer that is no stream; as much as an error may have."""
        said = b""
        async for piece in self:
            said += piece
            if len(said) > MOST_REFUSAL_BYTES:
                self.close()
        return said[:MOST_REFUSAL_BYTES]

    async def _more(self) -> None:
        if self._ended:
            raise Broken("it was closed")
        if self._error is not None:
            raise self._error
        self._news.clear()
        await self._news.wait()

    # asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no such class

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"malformed HTTP response: {error}")
        if self._held > MOST_HELD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self.code and not self._framed:
            self.close()
        self._fail(str(exc) if exc else "the server closed the connection")
        self._transport = None

    # the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._framed = self._framed or name in (b"content-length", b"transfer-encoding")
        if name == b"retry-after":
            self.retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if (code := self._parser.get_status_code()) >= 200:  # others come before the answer
            self.code = code
            self._news.set()

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self._held += len(data)
        self._news.set()

    def on_message_complete(self) -> None:
        if self.code:
            self.close()

    def _fail(self, text: str) -> None:
        if not self._ended and self._error is None:
            self._error = Broken(text, unanswered=not self.code)
            self._news.set()
            if self._transport is not None:
                self._transport.abort()
