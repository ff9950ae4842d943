"""Connections to node agents (and, for proxying, to pods and services): HTTP streamed, WebSocket frames passed through.

Owns where an agent listens, the client certificate that is shown to it, and the pumping. Knows nothing of what is inside
the frames: kubectl's v5.channel.k8s.io and tunnelled SPDY, the Python client's v4 all go through as they are.
Source: kubernetes `pkg/kubelet/client`, apimachinery `pkg/util/proxy/upgradeaware.go`.
"""

from __future__ import annotations

import contextvars
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.api.errors import BadRequest, InternalError, NotFound, ServiceUnavailable
from sampan.api.resources import NODES
from sampan.apiserver.response import Stream, Tunnel
from sampan.apiserver.watchcache import Readers

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

KUBELET_PORT = 10250
ADDRESS_TYPES = ("InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS")
CONNECT_SECONDS = 10.0
MOST_MESSAGE_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 64 * 1024
MOST_ERROR_BYTES = 64 * 1024
_refusal: contextvars.ContextVar[list[tuple[bytes, str]] | None] = contextvars.ContextVar("refusal", default=None)

HOP_HEADERS = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "host",
    "content-length", "authorization", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol",
))
"""Headers that end here: they belong to one connection, or are the client's secret."""


class Refused(Exception):
    """The far end answered an upgrade with something else."""

    def __init__(self, status: int, body: bytes, content_type: str) -> None:
        self.status, self.body, self.content_type = status, body, content_type
        super().__init__(f"status {status}")


@dataclass(frozen=True)
class NodeAccess:
    """What is shown to agents and what their certificates are checked against: file names, empty for none."""

    certificate: str = ""
    key: str = ""
    ca: str = ""


class NodeConnections:
    """Opens connections; the client library is imported with the first one."""

    def __init__(self, readers: Readers, access: NodeAccess = NodeAccess()) -> None:
        self._nodes, self._access = readers.of(NODES), access
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    def url_of(self, name: str) -> str:
        """Where the node's agent listens: `https://10.0.0.7:10250`.

        Raises:
            NotFound: There is no such node.
            InternalError: It has no address.
        """
        entry = self._nodes.get("", name)
        if entry is None:
            raise NotFound.of("nodes", "", name)
        status = entry.object.status
        addresses = {address.type: address.address for address in reversed(status.addresses)}
        host = next((addresses[kind] for kind in ADDRESS_TYPES if addresses.get(kind)), "")
        if not host:
            raise InternalError(f"no preferred addresses found; known addresses: {sorted(addresses)}")
        port = status.daemonEndpoints.kubeletEndpoint.Port or KUBELET_PORT
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            trace = aiohttp.TraceConfig()
            trace.on_request_end.append(_keep_refusal)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=0), auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS), trace_configs=[trace])
        return self._session

    def _context(self, *, trusted: bool) -> ssl.SSLContext:
        """Agents are checked against the cluster's CA (their addresses move, so not by name); others not at all."""
        if not trusted:
            return _unverified()
        if self._tls is None:
            access = self._access
            context = ssl.create_default_context(cafile=access.ca) if access.ca else _unverified()
            context.check_hostname = False
            if access.certificate:
                context.load_cert_chain(access.certificate, access.key)
            self._tls = context
        return self._tls

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", trusted: bool = True) -> Stream:
        """Ask, and stream the answer back whatever its code.

        Raises:
            ServiceUnavailable: The far end can't be reached.
        """
        import aiohttp
        import yarl

        try:
            answer = await self._client().request(
                method, yarl.URL(url, encoded=True), headers=dict(headers), data=body or None, ssl=self._context(trusted=trusted),
                allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"error trying to reach service: {_text(error)}") from None
        kind = answer.headers.get("Content-Type", "")
        back = [(key.lower().encode("latin-1"), value.encode("latin-1")) for key, value in answer.headers.items()
                if key.lower() not in HOP_HEADERS and key.lower() != "content-type"]
        return Stream(answer.status, _pieces(answer), kind.encode("latin-1") or b"application/octet-stream", back)

    async def open(self, tunnel: Tunnel, protocols: tuple[str, ...]) -> aiohttp.ClientWebSocketResponse:
        """Open a tunnel's far side.

        Raises:
            Refused: The far end said no.
            ServiceUnavailable: It can't be reached.
        """
        import aiohttp
        import yarl

        seen: list[tuple[bytes, str]] = []
        token = _refusal.set(seen)
        try:
            return await self._client().ws_connect(
                yarl.URL(tunnel.url, encoded=True), protocols=protocols, headers=dict(tunnel.headers), autoclose=True, autoping=True,
                ssl=self._context(trusted=tunnel.trusted), max_msg_size=MOST_MESSAGE_BYTES, compress=0)
        except aiohttp.WSServerHandshakeError as error:
            body, kind = seen[0] if seen else (b"", "")
            raise Refused(error.status, body, kind) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"error dialing backend: {_text(error)}") from None
        finally:
            _refusal.reset(token)

    def renewed(self) -> None:
        """The files of `NodeAccess` have changed: read them for the next connection."""
        self._tls = None

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _keep_refusal(session: Any, context: Any, params: Any) -> None:
    """The client library drops the body of an answer that is no upgrade: keep it for whoever asked."""
    del session, context
    seen = _refusal.get()
    if seen is not None and params.response.status != 101:
        body = await params.response.content.read(MOST_ERROR_BYTES)
        seen.append((body, params.response.headers.get("Content-Type", "")))


async def _pieces(answer: Any) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.content.iter_chunked(PIECE_BYTES):
            yield piece
    finally:
        answer.close()


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def check_upgrade(headers: Mapping[str, str]) -> None:
    """Only WebSockets are upgraded to.

    Raises:
        BadRequest: No upgrade, or to SPDY.
    """
    upgrade = headers.get("upgrade", "").lower()
    if upgrade.startswith("spdy"):
        raise BadRequest("unable to upgrade: SPDY is not served, only WebSocket (v5.channel.k8s.io, SPDY/3.1+portforward.k8s.io): "
                         "use kubectl 1.31 or newer")
    if upgrade != "websocket":
        raise BadRequest("Upgrade request required")
