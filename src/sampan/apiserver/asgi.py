"""The ASGI application: bytes in, bytes out.

Owns parsing a scope into a `RequestInfo`, reading bounded bodies, sending answers and streams, gzip, HEAD, lifespan,
and the in-process extension. Leaves deciding to `sampan.apiserver.pipeline`.

The in-process extension: a scope whose `extensions` hold `sampan` = {"user": a User or None} is answered with one
message `{"type": "sampan.response", "response": Answer or Stream}` instead of bytes. Servers of network connections
never put it there.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Protocol

from sampan.aio.tasks import Tasks
from sampan.api.errors import ApiError, BadRequest, RequestEntityTooLarge, Timeout
from sampan.apiserver.parse import parse, parse_headers, parse_query
from sampan.apiserver.pipeline import Handles
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Stream, error_answer

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_BODY_BYTES = 3 * 1024 * 1024
GZIP_FROM_BYTES = 128 * 1024
PIECE_BYTES = 256 * 1024
TURN_BYTES = 4 * 1024 * 1024
"""Sent in one turn of the event loop: about ten milliseconds."""
BODY_SECONDS = 60.0
"""How long a client may take to send a body: upstream's request timeout."""


class Sockets(Protocol):
    """Serves WebSocket connections (exec, attach, port-forward, watches)."""

    async def serve(self, info: RequestInfo, scope: Scope, receive: Receive, send: Send) -> None: ...


class Exchange(Protocol):
    """One request and its answer, as a server of network connections puts it into the scope as `sampan.exchange`: the short way for
    what is there as a whole. ASGI's messages are the long one.
    """

    def whole_body(self) -> bytes | None:
        """The request's body, if all of it is there and none was taken; None: receive it."""
        ...

    def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send an answer with its length; False: nothing was sent, send it piece by piece."""
        ...


class Lifespan(Protocol):
    """What starts before the first request and stops after the last."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class App:
    """The application that uvicorn runs and in-process clients call."""

    def __init__(self, pipeline: Handles | None = None, *, lifespan: Lifespan | None = None, sockets: Sockets | None = None) -> None:
        """`pipeline` and `sockets` may be set later, before the first request."""
        self.pipeline, self.sockets, self._lifespan = pipeline, sockets, lifespan
        self.body_seconds = BODY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await self._run_lifespan(receive, send)
        elif self.sockets is not None:
            await self.sockets.serve(request_of(scope, "GET"), scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1011})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        info = request_of(scope, scope["method"])
        inside = "sampan" in (scope.get("extensions") or ())
        exchange: Exchange | None = scope.pop("sampan.exchange", None)  # it has the scope: left there, neither would go by itself
        body = _Body(info, receive, None if inside else self.body_seconds, exchange)
        assert self.pipeline is not None, "not started"
        response = await self.pipeline.handle(info, body.read)
        if inside:
            await send({"type": "sampan.response", "response": response})
        elif isinstance(response, Answer):
            if exchange is None or not _answered(exchange, info, response):
                await _send_answer(info, response, receive, send)
        elif isinstance(response, Stream):
            await _send_stream(info, response, receive, send)
        else:  # it asks for a WebSocket by one header alone
            if response.ended is not None:
                response.ended()
            await _send_answer(info, error_answer(BadRequest("Upgrade request required")), receive, send)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            try:
                if message["type"] == "lifespan.startup":
                    if self._lifespan is not None:
                        await self._lifespan.start()
                    await send({"type": "lifespan.startup.complete"})
                else:
                    if self._lifespan is not None:
                        await self._lifespan.stop()
                    await send({"type": "lifespan.shutdown.complete"})
                    return
            except ApiError as error:
                await send({"type": message["type"] + ".failed", "message": error.message})
                return


def request_of(scope: Scope, method: str) -> RequestInfo:
    """Parse once."""
    info = parse(method, scope["path"], parse_query(scope["query_string"]), parse_headers(scope["headers"]))
    extensions = scope.get("extensions") or {}
    if "sampan" in extensions:
        info.trusted_user = extensions["sampan"]["user"]
    info.peer_certificate = scope.get("sampan.peer_certificate", b"")
    client = scope.get("client")
    info.remote_address = client[0] if client else ""
    return info


class _Body:
    """Reads the whole body once, bounded; in `seconds`, unless it is of this process."""

    def __init__(self, info: RequestInfo, receive: Receive, seconds: float | None, exchange: Exchange | None = None) -> None:
        self._info, self._receive, self._seconds, self._exchange = info, receive, seconds, exchange

    async def read(self) -> bytes:
        """All of it.

        Raises:
            RequestEntityTooLarge: It is longer than a body may be, as it came or unpacked.
            Timeout: It did not come in time.
            BadRequest: The client left before it had sent it: nothing must be done with a part of a request.
        """
        headers = self._info.headers
        length = headers.get("content-length", "")
        if length and length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > LARGEST_BODY_BYTES):
            raise _too_large()
        body = self._exchange.whole_body() if self._exchange is not None else None
        if body is None:
            body = await (self._whole() if self._seconds is None else self._within(self._seconds))
        elif len(body) > LARGEST_BODY_BYTES:
            raise _too_large()
        if headers.get("content-encoding") == "gzip":
            body = _gunzip(body)
        return body

    async def _within(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await self._whole()
        except TimeoutError:
            raise Timeout("Timeout: request did not complete within the allotted timeout", headers={"Connection": "close"}) from None

    async def _whole(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("unexpected EOF")
            part = message.get("body", b"")
            total += len(part)
            if total > LARGEST_BODY_BYTES:
                raise _too_large()
            if not message.get("more_body", False):
                break
            parts.append(part)
        return b"".join((*parts, part)) if parts else part


def _too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"Request entity too large: limit is {LARGEST_BODY_BYTES}")


def _gunzip(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(body, LARGEST_BODY_BYTES + 1)
    except zlib.error as error:
        raise BadRequest(f"the gzip body can't be read: {error}") from None
    if len(plain) > LARGEST_BODY_BYTES:
        raise _too_large()
    return plain


def _wants_gzip(info: RequestInfo) -> bool:
    return any(part.strip().partition(";")[0] == "gzip" for part in info.headers.get("accept-encoding", "").split(","))


def _headers_of(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [(b"cache-control", b"no-cache, private"), *answer.headers]
    if answer.content_type:
        headers.append((b"content-type", answer.content_type))
    return headers


def _answered(exchange: Exchange, info: RequestInfo, answer: Answer) -> bool:
    """Whether the answer could be sent as a whole."""
    body = answer.body
    if not isinstance(body, bytes) or (len(body) > GZIP_FROM_BYTES and _wants_gzip(info)):
        return False
    return exchange.answer(answer.code, _headers_of(answer), body)


async def _send_answer(info: RequestInfo, answer: Answer, receive: Receive, send: Send) -> None:
    body = answer.body
    size = len(body) if isinstance(body, bytes) else sum(map(len, body)) if isinstance(body, list) else None
    headers = _headers_of(answer)
    packed = (size is None or size > GZIP_FROM_BYTES) and answer.code == 200 and _wants_gzip(info)
    if packed:
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
    elif size is not None:
        headers.append((b"content-length", str(size).encode()))
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    if info.method == "HEAD":
        await send({"type": "http.response.body", "body": b""})
    elif isinstance(body, bytes) and not packed:
        await send({"type": "http.response.body", "body": body})
    else:
        await _send_pieces(_parts(body), receive, send, zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS) if packed else None)


def _parts(body: bytes | Iterable[bytes]) -> Iterable[bytes]:
    """In pieces that take little time each."""
    if not isinstance(body, bytes):
        return body
    return (body[start:start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES))


async def _send_pieces(pieces: Iterable[bytes], receive: Receive, send: Send, packer: zlib._Compress | None) -> None:
    """Send them one after the other, until the client leaves; others have their turn now and then."""
    rest = iter(pieces)
    if await _send_turn(rest, send, packer):
        async with Tasks() as tasks:
            left = tasks.start(_left(receive), "disconnect", keep_going=True)
            while not left.done() and await _send_turn(rest, send, packer):
                pass
            if left.done():
                return
    await send({"type": "http.response.body", "body": packer.flush() if packer is not None else b""})


async def _send_turn(rest: Iterator[bytes], send: Send, packer: zlib._Compress | None) -> bool:
    """Send as many as take little time, then let others have their turn; whether there may be more."""
    done = 0
    for piece in rest:
        part = packer.compress(piece) if packer is not None else piece
        if part:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        # packing takes some ten times as long as sending
        done += len(piece) * (10 if packer is not None else 1)
        if done > TURN_BYTES:
            await asyncio.sleep(0)
            return True
    return False


async def _send_stream(info: RequestInfo, stream: Stream, receive: Receive, send: Send) -> None:
    """Send chunks until they end or the client leaves."""
    headers = [(b"content-type", stream.content_type), (b"cache-control", b"no-cache, private"), *stream.headers]
    try:
        await send({"type": "http.response.start", "status": stream.code, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async with Tasks() as tasks:
            pump = tasks.start(_pump(info, stream, send), "stream", keep_going=True)
            left = tasks.start(_left(receive), "disconnect", keep_going=True)
            await asyncio.wait((pump, left), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if stream.ended is not None:
            stream.ended()


async def _pump(info: RequestInfo, stream: Stream, send: Send) -> None:
    try:
        async for chunk in stream.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except ApiError as error:
        log.info("stream ended", extra={"path": info.path, "reason": error.message})
    finally:
        close = getattr(stream.chunks, "aclose", None)
        if close is not None:
            await close()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
