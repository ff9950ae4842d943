"""Connections to API servers behind Services: where they are, whom they must prove to be, and as whom we ask.

Owns the TLS of each (its `caBundle`, or none), our client certificate (`front-proxy-client`) and the headers that carry
who asks. Leaves what is asked to `proxy` and `documents`. The client library is imported with the first connection.
Source: kube-aggregator `pkg/apiserver/{handler_proxy,resolvers}.go`, client-go `transport/round_trippers.go`.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sampan.api.admissionregistration.v1 import ServiceReference
from sampan.api.errors import ServiceUnavailable
from sampan.api.resources import ENDPOINT_SLICES, SERVICES
from sampan.apiserver.aggregation.table import Remote, Target
from sampan.apiserver.nodes import Refused
from sampan.apiserver.request import User
from sampan.apiserver.response import Tunnel
from sampan.apiserver.watchcache import Readers
from sampan.apiserver.webhooks.client import explain, resolve
from sampan.lib.clock import Identity

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS = 10.0
KEPT_CONTEXTS = 200
MOST_MESSAGE_BYTES = 16 * 1024 * 1024
MOST_ERROR_BYTES = 64 * 1024
EXTRA = "X-Remote-Extra-"
_NAME_SAFE = "!#$&'*+-.^_`|~"  # with letters and digits: what a header's name may have, but for %
SERVICE_NAME = "kubernetes.io/service-name"

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class AggregationSettings:
    """What is shown to API servers behind ours: file names, empty for none."""

    certificate: str = ""
    key: str = ""
    authority: str = ""
    """Whose certificate that is: API servers behind ours are told in a config map."""
    to_endpoints: bool = False
    """Connect to a ready endpoint of the Service, not to its address (upstream's --enable-aggregator-routing)."""


def identity_headers(user: User) -> Headers:
    """Who asks, as a proxy that is trusted tells it."""
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found += [("X-Remote-Group", group) for group in user.groups]
    found += [(EXTRA + quote(key.lower(), safe=_NAME_SAFE), value) for key, values in user.extra.items() for value in values]
    return found


class Connections:
    """Asks other API servers."""

    def __init__(self, readers: Readers, identity: Identity, settings: AggregationSettings = AggregationSettings()) -> None:
        self._services, self._slices = readers.of(SERVICES), readers.of(ENDPOINT_SLICES)
        self._identity, self._settings = identity, settings
        self._session: aiohttp.ClientSession | None = None
        self._contexts: OrderedDict[tuple[bytes, bool], ssl.SSLContext] = OrderedDict()

    async def close(self) -> None:
        """End all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def authority(self) -> bytes:
        """Who has issued our certificate, PEM; empty where there is none."""
        return Path(self._settings.authority).read_bytes() if self._settings.authority else b""

    def renewed(self) -> None:
        """The files of our certificate are new: connections from now on show it."""
        self._contexts.clear()

    def base(self, target: Target) -> str:
        """`https://host:port` behind a Service.

        Raises:
            LookupError: There is no way to it.
        """
        entry = self._services.get(target.namespace, target.name)
        if self._settings.to_endpoints and entry is not None and entry.object.spec.type != "ExternalName":
            host, port = self._endpoint(entry.object, target)
        else:
            host, port = resolve(entry, ServiceReference(namespace=target.namespace, name=target.name, port=target.port))
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    def slices(self, target: Target) -> list[Any]:
        """The Service's EndpointSlices."""
        return [entry.object for entry in self._slices.entries(target.namespace)
                if entry.labels.get(SERVICE_NAME) == target.name]

    def _endpoint(self, service: Any, target: Target) -> tuple[str, int]:
        names = [port.name or "" for port in service.spec.ports or () if port.port == target.port]
        if not names:
            raise LookupError(f'no service port {target.port} found for service "{target.name}"')
        found = [(address, port.port) for one in self.slices(target) for port in one.ports or () if (port.name or "") == names[0] and port.port
                 for endpoint in one.endpoints or () if endpoint.conditions.ready is not False for address in endpoint.addresses or ()]
        if not found:
            raise LookupError(f'no endpoints available for service "{target.name}"')
        return self._identity.rng.choice(found)

    async def ask(self, remote: Remote, method: str, location: str, headers: Iterable[tuple[str, str]], body: bytes = b"", *,
                  checked: bool = True) -> aiohttp.ClientResponse:
        """Ask for a path with its query; the answer's body is the caller's to read or release.

        Without `checked` any certificate will do: whether somebody is there is not worth more.

        Raises:
            LookupError: There is no way to it.
            ServiceUnavailable: Nobody answers; the text is upstream's client's.
        """
        import aiohttp
        import yarl

        url = yarl.URL(self.base(remote.target) + location, encoded=True)
        try:
            return await self._client().request(
                method, url, headers=list(headers), data=body or None, ssl=self._context(remote, checked=checked),
                server_hostname=remote.target.host, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(explain(error)) from None

    async def open(self, tunnel: Tunnel, protocols: tuple[str, ...]) -> aiohttp.ClientWebSocketResponse:
        """Open the far side of a WebSocket; `tunnel.through` is the `Remote`.

        Raises:
            Refused: The far end said no.
            ServiceUnavailable: It can't be reached.
        """
        import aiohttp
        import yarl

        remote: Remote = tunnel.through
        try:
            return await self._client().ws_connect(
                yarl.URL(tunnel.url, encoded=True), protocols=protocols, headers=tunnel.headers, autoclose=True, autoping=True,
                ssl=self._context(remote, checked=True), server_hostname=remote.target.host, max_msg_size=MOST_MESSAGE_BYTES, compress=0)
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status, str(error.message).encode(), "text/plain; charset=utf-8") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"error dialing backend: {explain(error)}") from None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"))
        return self._session

    def _context(self, remote: Remote, *, checked: bool) -> ssl.SSLContext:
        """Connections are kept by context, so one bundle has one.

        Raises:
            ServiceUnavailable: The authorities or our certificate can't be read.
        """
        key = (remote.ca_bundle, checked and not remote.insecure)
        if key in self._contexts:
            self._contexts.move_to_end(key)
            return self._contexts[key]
        try:
            context = ssl.create_default_context(cadata=remote.ca_bundle.decode() if remote.ca_bundle and key[1] else None)
            if self._settings.certificate:
                context.load_cert_chain(self._settings.certificate, self._settings.key)
        except (ssl.SSLError, UnicodeDecodeError):
            raise ServiceUnavailable("unable to load root certificates: unable to parse bytes as PEM block") from None
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Go's client is not that strict either
        if not key[1]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._contexts[key] = context
        if len(self._contexts) > KEPT_CONTEXTS:
            self._contexts.popitem(last=False)
        return context
