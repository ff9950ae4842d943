"""The client over HTTPS: kubeconfig or service account, streaming watches, WebSockets for exec and port-forward.

Requests go over `connections`, watches over a connection each, WebSockets over aiohttp, which few processes load. Reconnecting is the
callers' (informers list and watch again); a request that never reached the server is `ServiceUnavailable`, one that
the server wants later is made again (`retrying`).
Source: client-go `rest`, `tools/watch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from sampan.aio.clock import AsyncClock, SystemClock
from sampan.api import codec
from sampan.api.errors import InternalError, OtherStatus, ServiceUnavailable, from_status
from sampan.api.resourceinfo import Resource
from sampan.client import requests
from sampan.client.base import Answer, Listing, WatchEvent
from sampan.client.connections import CONNECT_SECONDS, MOST_AT_ONCE, Connections
from sampan.client.kubeconfig import Access
from sampan.client.retrying import insist, wait_seconds
from sampan.client.streams import Stream
from sampan.client.tls import tls_context
from sampan.client.verbs import Verbs

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
REQUEST_SECONDS = 60.0
MOST_EVENT_BYTES = 64 * 1024 * 1024
TOKEN_SECONDS = 60.0
"""How long a token file's content is kept: it is rewritten long before the token in it ends."""


class Way:
    """How a server is reached: by one client, or by several that share it."""

    def __init__(self, access: Access, at_once: int = MOST_AT_ONCE) -> None:
        """`at_once`: how many requests."""
        self.access, self.tls, self._at_once = access, tls_context(access), at_once
        self._connections: Connections | None = None

    @property
    def connections(self) -> Connections:
        """Those that requests go over now."""
        if self._connections is None:
            self._connections = Connections(self.access.server, self.tls, self.access.server_name, self._at_once)
        return self._connections

    def renew(self, access: Access) -> None:
        """Use this access from now on."""
        self.access, self.tls = access, tls_context(access)
        self.end()  # a connection shows the certificate that it was made with: none is used again

    def end(self) -> None:
        """Use none of the connections again."""
        if self._connections is not None:
            self._connections.close()
        self._connections = None


class RemoteClient(Verbs):
    """A `Client` for one API server. Make it inside a running loop, `close` it at the end.

    With `trim`, objects of lists and watches come without `metadata.managedFields`: an update leaves those of the server as they
    are, and copies of whole resources are a good part smaller. Source: kube-controller-manager `app/controllermanager.go` and
    kube-scheduler `app/server.go`, the transform of their informers.
    """

    def __init__(self, access: Access, *, agent: str = "sampan", trim: bool = False, at_once: int = MOST_AT_ONCE, way: Way | None = None,
                 clock: AsyncClock | None = None) -> None:
        """`at_once`: how many requests. `way`: another client's connections, which stay when this one is closed. `clock`: whose time is
        waited where the server asks to come back later; the system's unless given.
        """
        self._clock = clock or SystemClock()
        self._trim, self._borrowed = trim, way is not None
        self._way = way or Way(access, at_once)
        self._headers = {"User-Agent": agent, "Accept": requests.JSON}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        self._token_read = float("-inf")
        self._sessions: list[aiohttp.ClientSession] = []  # of WebSockets, which may outlive the access that they began with

    @property
    def access(self) -> Access:
        """What it was made with, or renewed to."""
        return self._way.access

    def naming(self, user: str, group: str = "") -> RemoteClient:
        """A client of another user, over the connections of this one, which shows the certificate of a front proxy: such a one
        says for whom it asks. It follows this one's renewals.

        Source: Kubernetes documentation, "Authenticating Proxy".
        """
        return NamedClient(self.access, user, group, trim=self._trim, way=self._way, clock=self._clock)

    async def renew(self, access: Access) -> None:
        """Use this access for every request from now on; what is under way ends as it began."""
        self._way.renew(access)
        self._token_read = float("-inf")
        self._headers.pop("Authorization", None)
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"

    async def _own_headers(self) -> dict[str, str]:
        """The headers of every request, with the token as the file has it now."""
        if self.access.token_file:
            now = asyncio.get_running_loop().time()
            if now - self._token_read >= TOKEN_SECONDS:
                token = await asyncio.to_thread(Path(self.access.token_file).read_text)
                self._headers["Authorization"] = f"Bearer {token.strip()}"
                self._token_read = now
        return self._headers

    async def _ask(self, method: str, target: str, body: bytes = b"", kind: str = requests.JSON,
                   headers: Mapping[str, str] | None = None) -> Answer:
        sent = {**await self._own_headers(), **(headers or {})}
        if body:
            sent.setdefault("Content-Type", kind)
        try:
            return await self._way.connections.ask(method, target, sent, body, REQUEST_SECONDS)
        except (TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def _served(self, method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> Answer:
        """The answer of a request that was not refused, asked again where the server wants that."""
        answer = await self._ask(method, target, body, kind)
        if answer.code >= 300:
            answer = await insist(answer, lambda: self._ask(method, target, body, kind), _asked, self._clock)
            if answer.code >= 300:
                raise requests.error_of(answer.code, answer.body)
        return answer

    def _unreachable(self, error: BaseException) -> ServiceUnavailable:
        return ServiceUnavailable(f"{self.access.server} can't be reached: {str(error) or type(error).__name__}")

    async def _object(self, wire: type[Any], method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> Any:
        return requests.decoded(wire, (await self._served(method, target, body, kind)).body)

    async def _done(self, method: str, target: str, body: bytes, kind: str = requests.JSON) -> None:
        await self._served(method, target, body, kind)

    async def list(
        self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
        limit: int = 0, continue_: str = "", resource_version: str = "",
    ) -> Listing[T]:
        target = requests.path(resource, namespace) + requests.query(
            labelSelector=labels, fieldSelector=fields, limit=limit, resourceVersion=resource_version, **{"continue": continue_})
        return listing(resource, (await self._served("GET", target)).body, trim=self._trim)

    async def watch(
        self, resource: Resource[T], namespace: str = "", *, since: str = "", labels: str = "", fields: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent[T]]:
        target = requests.path(resource, namespace) + requests.query(
            watch=True, resourceVersion=since, labelSelector=labels, fieldSelector=fields, timeoutSeconds=timeout_seconds,
            allowWatchBookmarks=True)
        try:
            stream = await self._opened(target)
            try:
                async for line in _lines(stream):
                    yield event_of(resource, line, trim=self._trim)
            finally:
                stream.close()
        except (TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def _opened(self, target: str) -> Stream:
        async def ask() -> tuple[Stream, bytes]:
            stream = await self._way.connections.stream(target, await self._own_headers())
            try:
                return stream, await stream.refusal() if stream.code >= 300 else b""
            except BaseException:
                stream.close()
                raise

        stream, refusal = await insist(await ask(), ask, lambda found: wait_seconds(found[0].code, found[0].retry_after), self._clock)
        if stream.code >= 300:
            raise requests.error_of(stream.code, refusal)
        return stream

    async def raw(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return await self._ask(method, path, body, headers=headers)

    async def websocket(self, path: str, protocols: Sequence[str]) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket to a subresource (exec, attach, port-forward); the caller closes it.

        Raises:
            ApiError: The server refused.
        """
        import aiohttp
        import yarl

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._way.tls), cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS))
        self._sessions.append(session)  # it ends with us: when the caller closes the WebSocket, nobody tells us
        try:
            return await session.ws_connect(
                yarl.URL(self.access.server + path, encoded=True), protocols=tuple(protocols), headers=await self._own_headers(),
                server_hostname=self.access.server_name or None, max_msg_size=MOST_EVENT_BYTES, compress=0)
        except aiohttp.WSServerHandshakeError as error:
            raise OtherStatus(f"the server refused the connection: {error.message}", code=error.status) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def close(self) -> None:
        """End all connections that are its own."""
        if not self._borrowed:
            self._way.end()
        while self._sessions:
            await self._sessions.pop().close()


class NamedClient(RemoteClient):
    """One of several that a front proxy asks for (`RemoteClient.naming`)."""

    def __init__(self, access: Access, user: str, group: str, *, trim: bool, way: Way, clock: AsyncClock) -> None:
        super().__init__(access, trim=trim, way=way, clock=clock)
        self._headers["X-Remote-User"] = user
        if group:
            self._headers["X-Remote-Group"] = group


def _asked(answer: Answer) -> int | None:
    return wait_seconds(answer.code, answer.headers.get("Retry-After", ""))


class _Page(msgspec.Struct):
    """A list whose items are not read yet."""

    metadata: dict[str, Any] | None = None
    items: list[msgspec.Raw] | None = None


class _Line(msgspec.Struct):
    """An event whose object is not read yet."""

    type: str
    object: msgspec.Raw


_page, _line = msgspec.json.Decoder(_Page), msgspec.json.Decoder(_Line)


def listing(resource: Resource[T], body: bytes, *, trim: bool = False) -> Listing[T]:
    """A list's items as objects; kind and apiVersion are put back where the list leaves them out."""
    page = _page.decode(body)
    meta = page.metadata or {}
    items: list[Any] = [codec.decode(resource.wire, item) for item in page.items or ()]
    for item in items:
        if isinstance(item, dict):
            item.setdefault("kind", resource.kind)
            item.setdefault("apiVersion", resource.group_version)
        else:
            item.kind, item.apiVersion = item.kind or resource.kind, item.apiVersion or resource.group_version
        if trim:
            _trim(item)
    return Listing(items, str(meta.get("resourceVersion") or ""), str(meta.get("continue") or ""))


def event_of(resource: Resource[T], line: bytes, *, trim: bool = False) -> WatchEvent[T]:
    """One event.

    Raises:
        ApiError: It is an error: the watch is over.
    """
    event = _line.decode(line)
    if event.type == "ERROR":
        raise from_status(codec.loads(event.object))
    obj: Any = codec.decode(resource.wire, event.object)
    if isinstance(obj, dict):
        revision = str((obj.get("metadata") or {}).get("resourceVersion") or "")
    else:
        revision = obj.metadata.resourceVersion
    if trim:
        _trim(obj)
    return WatchEvent(cast("Any", event.type), obj, revision)


def _trim(obj: Any) -> None:
    if isinstance(obj, dict):
        (obj.get("metadata") or {}).pop("managedFields", None)
    else:
        obj.metadata.managedFields = []


async def _lines(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in content:
        first, *more = chunk.split(b"\n")
        rest += first
        if not more:
            if len(rest) > MOST_EVENT_BYTES:
                raise InternalError("an event of the watch is too large")
            continue
        lines, rest = [bytes(rest), *more[:-1]], bytearray(more[-1])
        for line in lines:
            if line.strip():
                yield line
