"""Requests for groups that other API servers serve: passed on as they are, in the name of who asks.

Owns which headers go on and come back, and what is said when nobody is there. WebSockets become a `Tunnel`. Callers in
this process get what they would get of our own resources: decoded lists and events.
Source: kube-aggregator `pkg/apiserver/handler_proxy.go`, apiserver `pkg/util/proxy`, apimachinery `pkg/util/proxy/upgradeaware.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from sampan.api import codec
from sampan.api.errors import ServiceUnavailable
from sampan.apiserver.aggregation.connections import Connections, Headers, identity_headers
from sampan.apiserver.aggregation.table import Remote
from sampan.apiserver.nodes import HOP_HEADERS
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, ListResult, Response, Stream, Tunnel, text_answer

if TYPE_CHECKING:
    import aiohttp

WHOLE_BYTES = 4 << 20
WHOLE_SECONDS = 1.0
"""Answers up to this size and this late are passed on whole, longer ones as they come."""
_OURS = frozenset(("cache-control", "date", "server", "content-type"))
_OURS_TO_TELL = ("x-remote-", "impersonate-")


def location(info: RequestInfo) -> str:
    """The path and query, encoded again."""
    path = quote(info.path, safe="/:@!$&'()*+,;=~-._")
    return f"{path}?{urlencode([(key, value) for key, values in info.query.items() for value in values])}" if info.query else path


def forwarded(info: RequestInfo) -> Headers:
    """The headers that go on; what says who asks is ours alone to say."""
    found = [(name, value) for name, text in info.headers.items()
             if name not in HOP_HEADERS and not name.startswith(_OURS_TO_TELL) for value in text.split("\n")]
    if info.remote_address:
        before = [value for name, value in found if name == "x-forwarded-for"]
        found = [(name, value) for name, value in found if name != "x-forwarded-for"]
        found.append(("x-forwarded-for", ", ".join([*before, info.remote_address])))
    return found + identity_headers(info.user)


async def pass_on(connections: Connections, remote: Remote, info: RequestInfo, body: Callable[[], Awaitable[bytes]]) -> Response:
    """What the server behind answers, whatever it is; a 503 where it is not there."""
    if not remote.available:
        return unavailable("service unavailable")
    headers = forwarded(info)
    try:
        if info.headers.get("upgrade", "").lower() == "websocket":
            url = "ws" + connections.base(remote.target).removeprefix("http") + location(info)
            return Tunnel(url, headers, trusted=False, through=remote, opener=connections)
        answer = await connections.ask(remote, info.method, location(info), headers, await body())
    except LookupError:
        return unavailable("service unavailable")
    except ServiceUnavailable as error:
        return unavailable(error.message)
    return await _back(info, answer)


def unavailable(why: str) -> Answer:
    """As Go's http package writes an error."""
    return text_answer(f"{why}\n", 503)


async def _back(info: RequestInfo, answer: aiohttp.ClientResponse) -> Response:
    kind = answer.headers.get("Content-Type", "").encode("latin-1")
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()
               if name.lower() not in HOP_HEADERS and name.lower() not in _OURS]
    if info.verb == "watch":
        return Stream(answer.status, _pieces(answer, []), kind, headers, events=_events(answer))
    first: list[bytes] = []
    try:
        whole = await _read(answer, first)
    except BaseException:
        answer.close()
        raise
    if not whole or "Content-Encoding" in answer.headers:
        return Stream(answer.status, _pieces(answer, first), kind, headers)
    answer.release()
    body = b"".join(first)
    result = _decoded(body) if info.trusted_user is not None and answer.status < 300 else None
    return Answer(answer.status, body, kind, headers, result)


async def _read(answer: aiohttp.ClientResponse, pieces: list[bytes]) -> bool:
    """Read while it is short and quick; whether that is all."""
    size = 0
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            while piece := await _more(answer):
                pieces.append(piece)
                size += len(piece)
                if size >= WHOLE_BYTES:
                    return False
    except TimeoutError:
        return False
    return True


async def _more(answer: aiohttp.ClientResponse) -> bytes:
    """Some more of the body; empty at its end.

    Raises:
        ServiceUnavailable: The connection broke.
    """
    import aiohttp

    try:
        return await answer.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise ServiceUnavailable(f"error trying to reach service: {error}") from None


async def _pieces(answer: aiohttp.ClientResponse, first: list[bytes]) -> AsyncIterator[bytes]:
    try:
        for piece in first:
            yield piece
        while piece := await _more(answer):
            yield piece
    finally:
        answer.close()


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """Batches of (type, object, revision) for callers in this process."""
    rest = b""
    try:
        while piece := await _more(answer):
            *lines, rest = (rest + piece).split(b"\n")
            batch = [codec.loads(line) for line in lines if line.strip()]
            if batch:
                yield [(one["type"], one["object"], (one["object"].get("metadata") or {}).get("resourceVersion", "")) for one in batch]
    finally:
        answer.close()


def _decoded(body: bytes) -> Any:
    """A list as our own handlers have it, anything else None: it is decoded by whoever wants it."""
    try:
        value = codec.loads(body)
    except codec.DecodeError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("items"), list):
        return None
    meta = value.get("metadata") or {}
    return ListResult(value["items"], str(meta.get("resourceVersion", "")), str(meta.get("continue", "")))
