"""WebSocket requests: through the pipeline like every other, then joined with the node agent's socket.

Owns accepting, refusing with a Status, and passing frames both ways until one side ends; watches and logs over WebSockets.
Source: apiserver `pkg/endpoints/handlers/watch.go` (`HandleWS`), apimachinery `pkg/util/httpstream/wsstream/stream.go`.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from sampan.aio.tasks import Tasks
from sampan.api.errors import ApiError
from sampan.apiserver.asgi import Receive, Scope, Send
from sampan.apiserver.nodes import NodeConnections, Refused
from sampan.apiserver.pipeline import Handles
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Stream, Tunnel, error_answer

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

BEARER = "base64url.bearer.authorization.k8s.io."
BINARY, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"
LENGTH_BYTES = 4


class NodeSockets:
    """Serves the application's WebSocket connections."""

    def __init__(self, pipeline: Handles, nodes: NodeConnections) -> None:
        self._pipeline, self._nodes = pipeline, nodes

    async def serve(self, info: RequestInfo, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection from its handshake to its end."""
        info.headers = {**info.headers, "upgrade": "websocket"}
        response = await self._pipeline.handle(info, _no_body)
        await receive()  # websocket.connect
        if isinstance(response, Answer):
            await _refuse(response, scope, send)
        elif isinstance(response, Tunnel):
            try:
                await self._tunnel(response, scope, receive, send)
            finally:
                if response.ended is not None:
                    response.ended()
        else:
            await _stream(response, info, scope, receive, send)

    async def _tunnel(self, tunnel: Tunnel, scope: Scope, receive: Receive, send: Send) -> None:
        offered = tuple(scope.get("subprotocols") or ())
        # a bearer token in the protocols is for us alone
        passed = tuple(name for name in offered if not name.startswith(BEARER))
        try:
            far = await (tunnel.opener or self._nodes).open(tunnel, passed)
        except Refused as refusal:
            kind = refusal.content_type.encode("latin-1") or b"text/plain"
            await _refuse(Answer(refusal.status, refusal.body, kind), scope, send)
            return
        except ApiError as error:
            await _refuse(error_answer(error), scope, send)
            return
        async with far:
            await send({"type": "websocket.accept", "subprotocol": far.protocol})
            async with Tasks() as tasks:
                there = tasks.start(_there(far, receive), "tunnel to the node", keep_going=True)
                back = tasks.start(_back(far, send), "tunnel from the node", keep_going=True)
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
                if back.done():
                    code = far.close_code or 1000
                    await send({"type": "websocket.close", "code": code if code in range(1000, 1015) and code not in (1005, 1006) else 1000})


async def _no_body() -> bytes:
    return b""


async def _there(far: aiohttp.ClientWebSocketResponse, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        data = message.get("bytes")
        if data is not None:
            await far.send_bytes(data)
        else:
            await far.send_str(message.get("text") or "")


async def _back(far: aiohttp.ClientWebSocketResponse, send: Send) -> None:
    from aiohttp import WSMsgType

    async for message in far:
        if message.type is WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
        elif message.type is WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
        else:
            return


async def _refuse(answer: Answer, scope: Scope, send: Send) -> None:
    """An HTTP answer where the server can give one, a closed handshake (403) elsewhere."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = answer.joined()
    headers = [(b"content-type", answer.content_type), (b"content-length", str(len(body)).encode()), *answer.headers]
    await send({"type": "websocket.http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _chosen(info: RequestInfo, scope: Scope) -> str | None:
    """The protocol that is spoken: a watch takes whatever is offered, other streams those of bytes."""
    offered = [name for name in scope.get("subprotocols") or () if not name.startswith(BEARER)]
    if info.verb != "watch":
        offered = [name for name in offered if name in (BINARY, BASE64)]
    return offered[0] if offered else None


async def _stream(stream: Stream, info: RequestInfo, scope: Scope, receive: Receive, send: Send) -> None:
    """A watch (a message an event, text for JSON) or a log (its bytes) over WebSocket."""
    protocol = _chosen(info, scope)
    try:
        await send({"type": "websocket.accept", "subprotocol": protocol})
        async with Tasks() as tasks:
            pump = tasks.start(_messages(stream, _cutter(stream, info, protocol), send), "stream", keep_going=True)
            left = tasks.start(_left(receive), "disconnect", keep_going=True)
            await asyncio.wait((pump, left), return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                await send({"type": "websocket.close", "code": 1000})
    finally:
        if stream.ended is not None:
            stream.ended()


Cut = Callable[[bytes], Iterable[bytes | str]]


def _cutter(stream: Stream, info: RequestInfo, protocol: str | None) -> Cut:
    """How a stream's chunks become messages."""
    if info.verb == "watch":
        return _packed if "protobuf" in stream.content_type.decode("latin-1") else _lines
    if protocol == BASE64:
        return lambda chunk: (base64.b64encode(chunk).decode(),)
    return lambda chunk: (chunk,)


def _lines(chunk: bytes) -> Iterator[str]:
    """Events, each a line of JSON; a chunk holds whole ones."""
    return (line.decode() for line in chunk.split(b"\n") if line)


def _packed(chunk: bytes) -> Iterator[bytes]:
    """Events in protobuf, each behind its length."""
    start = 0
    while start + LENGTH_BYTES <= len(chunk):
        end = start + LENGTH_BYTES + int.from_bytes(chunk[start:start + LENGTH_BYTES], "big")
        yield chunk[start + LENGTH_BYTES:end]
        start = end


async def _messages(stream: Stream, cut: Cut, send: Send) -> None:
    try:
        async for chunk in stream.chunks:
            for message in cut(chunk):
                await send({"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message})
    finally:
        close = getattr(stream.chunks, "aclose", None)
        if close is not None:
            await close()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass
