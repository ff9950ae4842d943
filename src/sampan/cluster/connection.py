"""One network connection: HTTP with the client's certificate, and bounds on what it may hold and how long.

Owns deadlines and sizes of request heads, clients that read nothing, how many connections there may be, and the short way of requests
and answers that are there as a whole: a body is taken without waiting, an answer is one TLS record and one system call. Bodies are bounded by `sampan.apiserver.asgi`, handshakes by the event loop (60 s).
Source: `k8s.io/apiserver/pkg/server/secure_serving.go` and Go's `net/http` for the numbers and answers.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

KEY = "sampan.peer_certificate"
EXCHANGE = "sampan.exchange"
JOINED_BYTES = 64 * 1024
"""Up to here copying a body behind its head is cheaper than sending the two."""
Headers = list[tuple[bytes, bytes]]
_STEERING = frozenset((b"connection", b"transfer-encoding", b"content-length"))
RESERVED_FILES = 256
"""How many of the process's files are not for connections: the store's, webhooks, kubelets."""


@dataclass(frozen=True)
class Limits:
    """Of one connection, and of all of them."""

    head_seconds: float = 32.0
    """From the connection, or a request's first byte, to the end of its head; then the connection is closed."""
    head_bytes: int = (1 << 20) + 4096
    """Request line and headers; beyond: 431."""
    idle_seconds: int = 90
    """Between an answer and the next request on its connection; then it is closed."""
    unread_seconds: float = 60.0
    """A watch whose client reads nothing so long, though there is something to read, is cut."""
    connections: int = 0
    """How many at a time; beyond: 503. 0: no limit of ours."""


def raise_file_limit() -> int:
    """Let this process open as many files as it may; how many connections that is good for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # some systems name a hard limit that they do not give
            pass
    return max(soft - RESERVED_FILES, RESERVED_FILES) if soft != resource.RLIM_INFINITY else 0


def certificate_of(transport: Any) -> bytes:
    tls = transport.get_extra_info("ssl_object")
    return (tls.getpeercert(True) or b"") if tls is not None else b""


@lru_cache(maxsize=512)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Status line and headers of an answer as they are sent, but for the length; empty where uvicorn has to look at one of them."""
    lines = [_line(name, value) for name, value in headers]
    return b"".join((STATUS_LINE[status], *lines, b"content-length: ")) if all(lines) else b""


def _line(name: bytes, value: bytes) -> bytes:
    """A header as it is sent; empty for what uvicorn has to look at itself: what is not allowed, and what steers the connection."""
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) or name.lower() in _STEERING:
        return b""
    return b"%b: %b\r\n" % (name.lower(), value)


class Cycle(RequestResponseCycle):
    """A request and its answer, by uvicorn; the head of the answer waits for the first part of the body.

    Keeps `sampan.apiserver.asgi.Exchange`.
    """

    _start: Any = None

    async def send(self, message: Any) -> None:
        """Send, as ASGI has it.

        Raises:
            RuntimeError: The message is not one that may come now.
        """
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            if message["type"] == "http.response.body" and not message.get("more_body"):
                headers, body = _without_length(start.get("headers", ())), message.get("body", b"")
                if headers[0] == [b"%d" % len(body)] and self.answer(start["status"], headers[1], body):
                    return
            await super().send(start)
        await super().send(message)

    def whole_body(self) -> bytes | None:
        """The request's body, if all of it is there and nobody has taken any; then it is taken."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        self.flow.resume_reading()
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return body

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Send an answer whose length is that of its body; False: this is not an ordinary one, and nothing was sent."""
        if (self.flow.write_paused or self.disconnected or not self.keep_alive or len(body) > JOINED_BYTES or self.response_started
                or self.scope["method"] == "HEAD"):
            return False
        head = _head(status, (*self.default_headers, *headers))
        if not head:
            return False
        self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        self.on_response()
        return True


def _without_length(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[bytes], Headers]:
    """(the lengths that are said, the other headers)."""
    lengths, rest = [], []
    for name, value in headers:
        if name == b"content-length":
            lengths.append(value)
        else:
            rest.append((name, value))
    return lengths, rest


class PeerHttp(HttpToolsProtocol):
    """HTTP/1.1 by uvicorn, with the client's certificate in the scope, and bounded."""

    def __init__(self, *arguments: Any, limits: Limits = Limits(), **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits, self.timeout_keep_alive = limits, limits.idle_seconds
        self._in_head, self._head_bytes = False, 0
        self._idle_since: float | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._peer = certificate_of(transport)
        if 0 < self._limits.connections < len(self.connections):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, b"retry-after: 1\r\n")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)
        super()._unset_keepalive_if_required()

    # ---- heads -----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self.scope[KEY] = self._peer  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        """As uvicorn's own, with our cycle."""
        self._in_head = False
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        if parser.should_upgrade() and self._should_upgrade():
            return
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"], scope["query_string"] = url.path, url.query or b""
        before = self.cycle
        self.cycle = Cycle(scope, self.transport, self.flow, self.logger, self.access_logger, self.access_log, self.server_state.default_headers,
                           asyncio.Event(), self.expect_100_continue, version != "1.0" and parser.should_keep_alive(), self.on_response_complete)
        scope[EXCHANGE] = self.cycle  # type: ignore[literal-required]
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # the client did not wait for the answer to the one before
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        if self._in_head or self._idle():
            self._await_head()
        else:
            self._stop_head_timer()

    def _idle(self) -> bool:
        """Neither is a request being answered nor does uvicorn's own timer run: blank lines, or the rest of a body."""
        return self._idle_since is None and (self.cycle is None or self.cycle.response_complete)

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: HTTPStatus, more: bytes = b"") -> None:
        """Answer without asking the application, and close."""
        if self.transport.is_closing():
            return
        text = f"{status.value} {status.phrase}".encode()
        self.transport.write(b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n%b"
                             % (text, len(text), more, text))
        self._stop_head_timer()
        self.transport.close()

    # ---- between requests -------------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """As uvicorn's own, but one timer is left to run over many requests."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._unset_keepalive_if_required()
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        """The timer was set when this idle time began, or one before it."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        due = self._idle_since + self.timeout_keep_alive
        if self.loop.time() < due:
            self.timeout_keep_alive_task = self.loop.call_at(due, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    # ---- clients that don't read -----------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread_timer is None and self.cycle is not None and _is_watch(self.cycle.scope):
            self._unread_timer = self.loop.call_later(self._limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        super().resume_writing()

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None


def _is_watch(scope: Any) -> bool:
    """Logs and the like may be read as slowly as their reader likes; informers begin a cut watch anew."""
    return b"watch=" in scope["query_string"] or "/watch/" in scope["path"]
