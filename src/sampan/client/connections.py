"""HTTP/1.1 connections to one server, kept open between requests: one request at a time on each.

Owns what goes over the wire and when a connection may be used again. A request on a kept connection that the server has
closed meanwhile is sent once more on a new one, where sending it twice does no harm. One timer a connection watches the
deadlines of all its requests. Redirects are not followed, bodies not packed. Leaves what an answer means to the client. Source: RFC 9112; Go's `net/http` (Transport) for what is retried.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httptools
from multidict import CIMultiDict

from sampan.client.base import Answer
from sampan.client.streams import Broken, Stream

P = TypeVar("P", bound=asyncio.Protocol)
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0  # servers keep theirs longer, so that they seldom close one that is about to be used
MOST_AT_ONCE = 32
"""Requests at a time, unless said otherwise; more wait their turn. Each has a connection, which costs both sides some 60 KiB."""
MOST_ANSWER_BYTES = 1 << 30
REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
INFORMATIONAL = range(100, 200)
FRAMING = frozenset((b"content-length", b"transfer-encoding"))
MOST_BLOCKS = 8192  # a fleet's process asks for so many users


class Headers(Mapping[str, str]):
    """An answer's headers, read when somebody asks: most answers are taken by code and body alone."""

    def __init__(self, lines: list[tuple[bytes, bytes]]) -> None:
        self._lines = lines

    @cached_property
    def _read(self) -> CIMultiDict[str]:
        return CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._lines)

    def __getitem__(self, name: str) -> str:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


class Connection(asyncio.Protocol):
    """One connection. All methods run on the event loop."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.usable = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._parser: Any = None
        self._head_only = self._begun = self._framed = self._in_body = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    def ask(self, request: bytes, *, head_only: bool, deadline: float) -> asyncio.Future[Answer]:
        """Send a request; nothing else is under way. The future ends with the answer, `Broken` or `TimeoutError`; `deadline` by the loop's clock."""
        assert self._transport is not None
        self._answer = self._loop.create_future()
        self._head_only, self._begun, self._deadline = head_only, False, deadline
        if self._timer is None or self._timer.when() > deadline:
            self._watch_deadline()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        return self._answer

    def _watch_deadline(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._overdue)

    def _overdue(self) -> None:
        """The timer was set for this request or for one before it."""
        self._timer = None
        if self._answer is None:
            return
        if self._loop.time() < self._deadline:
            self._watch_deadline()
            return
        answer = self._answer
        self.close()
        self._answer = None
        if not answer.done():
            answer.set_exception(TimeoutError())

    def close(self) -> None:
        """End it, whatever is under way."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort() if self._answer is not None else self._transport.close()

    # asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.usable = cast("asyncio.Transport", transport), True  # uvloop's are of no such class

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nothing was asked: whatever that is, nobody may take it for an answer
            self.close()
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, Broken) as error:
            self._fail(Broken(f"malformed HTTP response: {error}"))

    def eof_received(self) -> None:
        if self._answer is not None and self._to_the_end:
            self._finish()

    @property
    def _to_the_end(self) -> bool:
        """The answer's head is there, and only the connection's end says where its body ends."""
        return self._in_body and not self._framed

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answer is not None and self._to_the_end and exc is None:
            self._finish()
        self._fail(Broken(str(exc) if exc else "the server closed the connection", unanswered=not self._begun))

    # the parser calls

    def on_message_begin(self) -> None:
        self._headers, self._body, self._size, self._framed, self._in_body = [], [], 0, False, False
        if self._answer is None:  # it follows the answer: nobody asked for it
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        if len(name) in (14, 17) and name.lower() in FRAMING:
            self._framed = True

    def on_headers_complete(self) -> None:
        self._in_body = True
        if self._head_only and self._parser.get_status_code() not in INFORMATIONAL:
            self._finish()

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST_ANSWER_BYTES:
            raise Broken(f"the answer has more than {MOST_ANSWER_BYTES} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._answer is not None and self._parser.get_status_code() not in INFORMATIONAL:
            self._finish()

    def _finish(self) -> None:
        answer, self._answer = self._answer, None
        if self._to_the_end or self._head_only or not self._parser.should_keep_alive():
            self.close()
        if answer is not None and not answer.done():
            answer.set_result(Answer(self._parser.get_status_code(), Headers(self._headers), self._body[0] if len(self._body) == 1 else b"".join(self._body)))

    def _fail(self, error: Broken) -> None:
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(error)


class Connections:
    """As many connections to a server as there are requests at a time; make it inside a running loop."""

    def __init__(self, server: str, tls: ssl.SSLContext, server_name: str = "", at_once: int = MOST_AT_ONCE) -> None:
        """`server`: `https://host:port/prefix`, or http; `server_name`: what its certificate must say instead of the host."""
        parts = urlsplit(server)
        self._tls = tls if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._prefix, self._name = parts.path.rstrip("/"), server_name or None
        self._idle: deque[Connection] = deque()
        self._places = asyncio.Semaphore(at_once)
        self._closed = False
        self._blocks: dict[tuple[tuple[str, str], ...], str] = {}

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
        """The answer, whatever its code.

        Raises:
            OSError: The server can't be reached, is not whom it should be, or ended the connection (`Broken`).
            TimeoutError: It did not answer in time.
        """
        request = self._request(method, target, headers, body)
        deadline = asyncio.get_running_loop().time() + seconds
        if self._places.locked():
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
        else:  # at once: nothing to watch over
            await self._places.acquire()
        try:
            connection = self._kept()
            if connection is not None:
                try:
                    return await self._on(connection, request, method, deadline)
                except Broken as error:
                    if not error.unanswered or method not in REPEATABLE:
                        raise
            async with asyncio.timeout_at(deadline):
                connection = await self._connect(Connection)
            return await self._on(connection, request, method, deadline)
        finally:
            self._places.release()

    async def stream(self, target: str, headers: Mapping[str, str]) -> Stream:
        """GET what is told bit by bit, on a connection of its own; the caller closes it.

        Raises:
            OSError: As `ask`.
            TimeoutError: There was no connection in time.
        """
        stream = await self._connect(Stream)
        try:
            await stream.ask(self._request("GET", target, headers, b""))
        except BaseException:
            stream.close()
            raise
        return stream

    def close(self) -> None:
        """Use none of them again; what is under way ends as it began."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    async def _on(self, connection: Connection, request: bytes, method: str, deadline: float) -> Answer:
        try:
            answer = await connection.ask(request, head_only=method == "HEAD", deadline=deadline)
        except BaseException:
            connection.close()  # an answer that nobody waits for would be taken for the next one's
            raise
        self._keep(connection)
        return answer

    def _kept(self) -> Connection | None:
        """The connection that was used last, of those that may be used again."""
        long_ago = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._idle and (not self._idle[0].usable or self._idle[0].idle_since < long_ago):
            self._idle.popleft().close()
        while self._idle:
            if (found := self._idle.pop()).usable:
                return found
        return None

    def _keep(self, connection: Connection) -> None:
        if self._closed or not connection.usable:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    async def _connect(self, kind: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        name = (self._name or self._host) if self._tls else None
        async with asyncio.timeout(CONNECT_SECONDS):
            transport, connection = await loop.create_connection(kind, self._host, self._port, ssl=self._tls, server_hostname=name)
        # a server that is gone without a word is noticed after all
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        key = tuple(headers.items())
        block = self._blocks.get(key)
        if block is None:
            if len(self._blocks) >= MOST_BLOCKS:
                self._blocks.clear()
            block = self._blocks[key] = self._block(method, target, headers)
        line = f"{method} {self._prefix}{target} HTTP/1.1"
        if "\n" in line or "\r" in line or " " in target:
            raise _more_lines(method, target)
        length = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT", "PATCH") else ""
        return f"{line}\r\n{block}{length}\r\n".encode("latin-1") + body

    def _block(self, method: str, target: str, headers: Mapping[str, str]) -> str:
        """The lines that requests have in common."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"Host: {host}:{self._port}", *(f"{name}: {value}" for name, value in headers.items())]
        if any("\n" in line or "\r" in line for line in lines):
            raise _more_lines(method, target)
        return "".join(f"{line}\r\n" for line in lines)


def _more_lines(method: str, target: str) -> ValueError:
    return ValueError(f"a request's target and headers are one line each: {method} {target!r}")
