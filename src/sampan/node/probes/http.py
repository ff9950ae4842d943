"""One GET for a probe or a hook: redirects to the same host are followed, a body is read as far as it is wanted.

Owns the words in which Go's client says what went wrong, since they become events. Nothing of a pod's spec gets into the
request unquoted. Source: kubelet `pkg/probe/http/{http,request}.go`, Go `net/http` (client.go, redirects).
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from sampan.api.core.v1 import HTTPHeader

BODY_BYTES = 10 * 1024
READ_BYTES = 16 * 1024
HEAD_BYTES = 1 << 20
"""Of status line and headers at most, as Go's client."""
MOST_REQUESTS = 10
REDIRECTS = frozenset((301, 302, 303, 307, 308))
PLAIN = "http: server gave HTTP response to HTTPS client"
DEFAULT_PORTS = {"http": 80, "https": 443}
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SAFE = "/%:@!$&'()*+,;=~-._?[]"


@dataclass(frozen=True)
class Target:
    """Where and what to ask."""

    scheme: str  # http or https
    host: str
    port: int
    path: str  # with its query

    @property
    def authority(self) -> str:
        """Host and port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As messages have it."""
        return f"{self.scheme}://{self.authority}{self.path}"


@dataclass(frozen=True)
class Answer:
    """What came: the status and the beginning of the body; a redirect where it leads to another host."""

    code: int
    body: bytes = b""
    location: str = ""


def target(scheme: str, host: str, port: int, path: str) -> Target:
    """The place that a spec names, its path quoted where it has to be."""
    parts = urlsplit("//x" + (path if path.startswith("/") else f"/{path}"))
    query = f"?{quote(parts.query, _SAFE)}" if parts.query else ""
    return Target(scheme.lower() or "http", host, port, quote(parts.path or "/", _SAFE) + query)


def redirected(at: Target, answer: Answer, asked: int) -> Target | None:
    """Where the answer leads, if it is to be followed after so many requests; None: the answer is the last one. Pure.

    Raises:
        OSError: There have been too many redirects, or this one is nonsense.
    """
    if answer.code not in REDIRECTS or not answer.location:
        return None
    try:
        parts = urlsplit(urljoin(at.url, answer.location))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise OSError(f'failed to parse Location header "{answer.location}"') from None
    if host.lower() != at.host.lower():
        return None
    if asked >= MOST_REQUESTS:
        raise OSError(f"stopped after {MOST_REQUESTS} redirects")
    if parts.scheme not in DEFAULT_PORTS:
        raise OSError(f'unsupported protocol scheme "{parts.scheme}"')
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return target(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], path or "/")


async def get(first: Target, headers: Sequence[HTTPHeader], agent: str) -> Answer:
    """Ask until something else than a redirect to the same host comes.

    Raises:
        OSError: No connection, no HTTP on it, or too many redirects; the message is Go's, with the address that was asked.
    """
    at, asked, own_host = first, 0, next((h.value for h in headers if h.name.lower() == "host"), "")
    while True:
        try:
            answer = await _once(at, request(at, headers, agent, own_host or at.authority))
            asked += 1
            following = redirected(at, answer, asked)
        except OSError as error:
            raise OSError(f'Get "{at.url}": {said(error)}') from error
        if following is None:
            return answer
        if urlsplit(answer.location).scheme:  # a host of the spec's own is kept for relative redirects only
            own_host = ""
        at = following


def request(at: Target, headers: Sequence[HTTPHeader], agent: str, host: str) -> bytes:
    """The bytes of one request. Pure.

    Raises:
        OSError: A header's name or value cannot be sent.
    """
    lines = [f"GET {at.path} HTTP/1.1", f"Host: {host}"]
    given = {header.name.lower() for header in headers}
    lines += [] if "user-agent" in given else [f"User-Agent: {agent}"]
    lines += [] if "accept" in given else ["Accept: */*"]
    for header in headers:
        name = header.name.lower()
        if name in ("host", "connection") or (name == "accept" and not header.value):
            continue
        lines.append(f"{header.name}: {header.value}")
    for line in lines:
        if _UNSAFE.search(line):
            raise OSError(f'net/http: invalid header field value for "{line.partition(":")[0]}"')
    lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def said(error: OSError) -> str:
    """An error in the words of Go: those of the kernel in small letters."""
    if isinstance(error, ssl.SSLError):
        return PLAIN if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST") else f"tls: {error.reason or error}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error)


async def _once(at: Target, asking: bytes) -> Answer:
    context = None
    if at.scheme == "https":
        # as upstream: a probe does not verify the workload's certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await connect(at.host, at.port, context)
    try:
        writer.write(asking)
        await writer.drain()
        return await _answer(reader)
    finally:
        writer.close()


async def connect(host: str, port: int, context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection.

    Raises:
        OSError: There is none; the message is Go's.
    """
    try:
        return await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError:
        raise
    except OSError as error:
        at = f"[{host}]" if ":" in host else host
        raise OSError(f"dial tcp {at}:{port}: connect: {said(error)}") from error


class _Reading:
    """What the parser tells of one answer."""

    def __init__(self) -> None:
        self.parser: Any = None
        self.code = 0
        self.body = bytearray()
        self.location = ""
        self.ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self.location = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        code = self.parser.get_status_code()
        if code >= 200:  # what comes before the answer proper (100 Continue, 103 Early Hints) is passed over
            self.code = code

    def on_body(self, data: bytes) -> None:
        self.body += data[:max(0, BODY_BYTES - len(self.body))]

    def on_message_complete(self) -> None:
        self.ended = bool(self.code)


async def _answer(reader: asyncio.StreamReader) -> Answer:
    import httptools  # only nodes whose pods have such probes need it

    reading, total = _Reading(), 0
    parser = reading.parser = httptools.HttpResponseParser(reading)
    try:
        while not reading.ended and len(reading.body) < BODY_BYTES:
            data = await reader.read(READ_BYTES)
            if not data:
                break
            parser.feed_data(data)
            total += len(data)
            if total > HEAD_BYTES and not reading.code:
                raise OSError(f"net/http: server response headers exceeded {HEAD_BYTES} bytes; aborted")
    except httptools.HttpParserUpgrade:
        pass  # what comes after the head is nobody's
    except httptools.HttpParserError as error:
        raise OSError(f"net/http: HTTP/1.x transport connection broken: malformed HTTP response: {error}") from error
    if not reading.code:
        raise OSError("EOF")
    return Answer(reading.code, bytes(reading.body), reading.location)
