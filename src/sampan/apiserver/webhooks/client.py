"""Calls to webhooks: where they are, whom they must prove to be, and what went wrong, in the words of upstream's client.

Owns connections (kept and reused), TLS, limits of time and size. Redirects are not followed: what a webhook is sent is for
nobody else. Leaves the bodies to `review`. The client library is imported with the first call.
Source: apiserver `pkg/util/webhook/client.go`; kube-aggregator `pkg/apiserver/resolvers.go`; client-go `rest/request.go`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from sampan.api import codec, goprint
from sampan.api.admissionregistration.v1 import ServiceReference, WebhookClientConfig
from sampan.api.resources import SERVICES
from sampan.apiserver.watchcache import Readers

if TYPE_CHECKING:
    import aiohttp

MOST_ANSWER_BYTES = 8 << 20
MOST_CONNECTIONS = 256
KEPT_CONTEXTS = 200
IDLE_SECONDS = 90.0
SHOWN_BYTES = 2048

_UNKNOWN_AUTHORITY = frozenset((2, 18, 19, 20, 21))  # X509_V_ERR_*: no issuer, self-signed, not verifiable
_EXPIRED, _WRONG_NAME = frozenset((9, 10)), 62
_CODES = {
    400: "the server rejected our request for an unknown reason", 401: "the server has asked for the client to provide credentials",
    403: "the server does not allow access to the requested resource", 404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource", 409: "the server reported a conflict",
    413: "request entity too large", 422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


class NoClient(Exception):
    """The configuration leads nowhere."""


class CallFailed(Exception):
    """The webhook could not be asked, or its answer is an error."""


class Target(NamedTuple):
    """Where to connect to, and under what name: `shown` is the URL as messages tell it."""

    url: str
    shown: str
    server_name: str = ""
    host: str = ""


class WebhookClient:
    """Posts JSON. One for all webhooks of a server."""

    def __init__(self, readers: Readers) -> None:
        self._services = readers.of(SERVICES)
        self._session: aiohttp.ClientSession | None = None
        self._contexts: OrderedDict[bytes, ssl.SSLContext] = OrderedDict()

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, config: WebhookClientConfig, body: bytes, timeout_seconds: int) -> bytes:
        """The body of the answer.

        Raises:
            NoClient: The configuration has no address, or its authorities can't be read.
            CallFailed: No answer came in time, or it is an error.
        """
        context = self._context(bytes(config.caBundle))
        url = _shown(config, timeout_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._post(self._target(config, url), body, context)
        except TimeoutError:
            raise CallFailed(f"{_post(url)}: context deadline exceeded") from None

    def _target(self, config: WebhookClientConfig, shown: str) -> Target:
        service = config.service
        if service is None:
            return Target(shown, shown)
        try:
            host, port = resolve(self._services.get(service.namespace, service.name), service)
        except LookupError as error:
            raise CallFailed(f"{_post(shown)}: {error.args[0]}") from None
        parts = urlsplit(shown)
        address = f"[{host}]" if ":" in host else host
        return Target(parts._replace(netloc=f"{address}:{port}").geturl(), shown, f"{service.name}.{service.namespace}.svc", parts.netloc)

    async def _post(self, target: Target, body: bytes, context: ssl.SSLContext) -> bytes:
        import aiohttp

        for last in (False, True):
            try:
                return await self._once(target, body, context)
            except aiohttp.ServerDisconnectedError:
                if last:  # the first time it may have been a kept connection that the other side had just given up
                    raise CallFailed(f"{_post(target.shown)}: EOF") from None
            except aiohttp.ClientError as error:
                raise CallFailed(f"{_post(target.shown)}: {explain(error)}") from error
        raise AssertionError  # unreachable

    async def _once(self, target: Target, body: bytes, context: ssl.SSLContext) -> bytes:
        import yarl

        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        more: dict[str, Any] = {}
        if target.server_name:
            headers["Host"], more["server_hostname"] = target.host, target.server_name
        async with self._client().post(yarl.URL(target.url, encoded=True), data=body, headers=headers, ssl=context,
                                       allow_redirects=False, **more) as answer:
            got = bytearray()
            async for piece in answer.content.iter_any():
                got += piece
                if len(got) > MOST_ANSWER_BYTES:
                    answer.close()
                    raise CallFailed(f"the answer is larger than {MOST_ANSWER_BYTES} bytes")
            if not 200 <= answer.status <= 206:
                raise CallFailed(refused(answer.status, bytes(got)))
            return bytes(got)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": "kube-apiserver-admission"}, skip_auto_headers=("User-Agent",))
        return self._session

    def _context(self, bundle: bytes) -> ssl.SSLContext:
        """Connections are kept by context, so one bundle has one."""
        if bundle in self._contexts:
            self._contexts.move_to_end(bundle)
            return self._contexts[bundle]
        try:
            context = ssl.create_default_context(cadata=bundle.decode() if bundle else None)
        except (ssl.SSLError, UnicodeDecodeError):
            raise NoClient("unable to load root certificates: unable to parse bytes as PEM block") from None
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Go's client is not that strict either
        self._contexts[bundle] = context
        if len(self._contexts) > KEPT_CONTEXTS:
            self._contexts.popitem(last=False)
        return context


def _post(shown: str) -> str:
    return f"Post {goprint.quote(shown)}"


def _shown(config: WebhookClientConfig, timeout_seconds: int) -> str:
    query = f"timeout={timeout_seconds}s"
    if (service := config.service) is not None:
        path = (service.path or "").lstrip("/")
        return f"https://{service.name}.{service.namespace}.svc:{service.port or 443}/{path}?{query}"
    if not config.url:
        raise NoClient("webhook configuration must have either service or URL")
    parts = urlsplit(config.url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{query}"


def resolve(entry: Any, wanted: ServiceReference) -> tuple[str, int]:
    """Host and port behind a Service (its entry, None where it is not there).

    Raises:
        LookupError: There is no way to it; the text is upstream's.
    """
    if entry is None:
        raise LookupError(f'service "{wanted.name}" not found')
    spec, port = entry.object.spec, wanted.port or 443
    if spec.type == "ExternalName":
        return str(spec.externalName), port
    if spec.clusterIP in ("", "None", None):
        raise LookupError(f'cannot route to service with ClusterIP "{spec.clusterIP}"')
    if all(one.port != port for one in spec.ports or ()):
        raise LookupError(f'no service port {port} found for service "{wanted.name}"')
    return str(spec.clusterIP), port


def explain(error: Exception) -> str:
    """What happened to the connection."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {_why_untrusted(error.certificate_error)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"tls: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        host = f"[{error.host}]" if ":" in str(error.host) else error.host
        return f"dial tcp {host}:{error.port}: connect: {_os_error(error.os_error)}"
    if isinstance(error, aiohttp.ClientOSError):
        return _os_error(error)
    return str(error) or type(error).__name__


def _why_untrusted(error: Exception) -> str:
    code = getattr(error, "verify_code", 0)
    if code in _UNKNOWN_AUTHORITY:
        return "x509: certificate signed by unknown authority"
    if code in _EXPIRED:
        return "x509: certificate has expired or is not yet valid"
    message = str(getattr(error, "verify_message", error))
    if code == _WRONG_NAME:
        return f"x509: {message[:1].lower()}{message[1:].rstrip('.')}"
    return f"x509: {message}"


def _os_error(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)


def refused(code: int, body: bytes) -> str:
    """What an answer that is no success says: the message of a Status, else what upstream's client makes of its code."""
    try:
        status = codec.loads(body)
    except (codec.DecodeError, UnicodeDecodeError, RecursionError):
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status" and isinstance(status.get("message"), str) and status["message"]:
        return str(status["message"])
    if code in _CODES:
        return _CODES[code]
    if code >= 500:
        text = body[:SHOWN_BYTES].decode("utf-8", "replace").strip() or "unknown"
        return f"an error on the server ({goprint.quote(text)}) has prevented the request from succeeding"
    return f"the server responded with the status code {code} but did not return more information"
