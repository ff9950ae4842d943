"""The client over HTTPS: typed objects in and out, watches as streams, errors as `ApiError`.

Owns one connection pool. A watch has a connection of its own and ends with `ServiceUnavailable` when it breaks;
going on from the last revision is the caller's (`sampan.control.informer`).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import aiohttp
import msgspec

from sampan.api import codec
from sampan.api.errors import ApiError, OtherStatus, ServiceUnavailable, from_status
from sampan.api.meta.v1 import ListMeta
from sampan.api.resourceinfo import Resource
from sampan.client import requests
from sampan.client.base import MERGE_PATCH, Answer, DeleteOptions, Listing, PatchType, WatchEvent
from sampan.client.kubeconfig import Access
from sampan.lib.errors import ConfigError

T = TypeVar("T")

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 65.0
SILENT_WATCH_SECONDS = 600.0  # bookmarks come about once a minute: a watch this silent is dead
MOST_EVENT_BYTES = 16 * 1024 * 1024


class _List(msgspec.Struct, Generic[T]):
    items: list[T] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class _Frame(msgspec.Struct):
    type: str
    object: msgspec.Raw


_frame = msgspec.json.Decoder(_Frame)


def tls_context(access: Access) -> ssl.SSLContext:
    """What an access says about certificates.

    Raises:
        ConfigError: A certificate or key cannot be used.
    """
    context = ssl.create_default_context()
    try:
        if access.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif access.ca:
            context.load_verify_locations(cadata=access.ca.decode())
        if access.client_certificate:
            # OpenSSL reads keys from files only: one that has no name on any disk
            descriptor = os.memfd_create("sampan-client", os.MFD_CLOEXEC)
            try:
                os.write(descriptor, access.client_certificate + b"\n" + access.client_key)
                context.load_cert_chain(f"/proc/self/fd/{descriptor}")
            finally:
                os.close(descriptor)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"the certificates for {access.server} cannot be used: {error}", hint="get a fresh kubeconfig") from None
    return context


class RemoteClient:
    """A `Client` of one server as one user."""

    def __init__(self, access: Access, *, agent: str = "sampan") -> None:
        self.access, self._agent = access, agent
        self._tls = tls_context(access) if access.server.startswith("https://") else None
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The connection pool; made on first use, in the running loop."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=0, ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": self._agent}, auto_decompress=True)
        return self._session

    def _headers(self, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        token = self.access.token
        if self.access.token_file:
            token = Path(self.access.token_file).read_text().strip()  # rotated by whoever mounts it
        return {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}

    @asynccontextmanager
    async def _request(self, method: str, target: str, body: bytes = b"", kind: str = requests.JSON, *, streaming: bool = False,
                       headers: Mapping[str, str] | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(
            total=None if streaming else ANSWER_SECONDS, sock_connect=CONNECT_SECONDS,
            sock_read=SILENT_WATCH_SECONDS if streaming else None)
        own = self._headers(headers)
        if body:
            own["Content-Type"] = kind
        try:
            async with self.session().request(method, _url(self.access.server, target), data=body or None, headers=own, timeout=timeout,
                                              server_hostname=self.access.server_name or None) as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"{self.access.server} does not answer: {error or type(error).__name__}") from error

    async def _ask(self, method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> bytes:
        async with self._request(method, target, body, kind) as answer:
            data = await answer.read()
            if answer.status >= 300:
                raise _error(answer.status, data)
            return data

    async def get(self, resource: Resource[T], name: str, namespace: str = "", *, subresource: str = "") -> T:
        return cast("T", _decoded(resource.wire, await self._ask("GET", requests.path(resource, namespace, name, subresource))))

    async def list(
        self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
        limit: int = 0, continue_: str = "", resource_version: str = "",
    ) -> Listing[T]:
        target = requests.path(resource, namespace) + requests.query(
            labelSelector=labels, fieldSelector=fields, limit=limit, resourceVersion=resource_version, **{"continue": continue_})
        data = await self._ask("GET", target)
        if resource.wire is dict:
            raw = codec.loads(data)
            meta = raw.get("metadata") or {}
            return Listing(raw.get("items") or [], str(meta.get("resourceVersion", "")), str(meta.get("continue", "")))
        found: _List[Any] = codec.decode(_List[resource.wire], data)  # type: ignore[name-defined]
        items = found.items or []
        for item in items:  # lists of built-in kinds leave these out of their items
            item.kind, item.apiVersion = resource.kind, resource.group_version
        return Listing(items, found.metadata.resourceVersion, found.metadata.continue_)

    async def watch(
        self, resource: Resource[T], namespace: str = "", *, since: str = "", labels: str = "", fields: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent[T]]:
        target = requests.path(resource, namespace) + requests.query(
            watch=True, resourceVersion=since, labelSelector=labels, fieldSelector=fields, timeoutSeconds=timeout_seconds,
            allowWatchBookmarks=True)
        async with self._request("GET", target, streaming=True) as answer:
            if answer.status >= 300:
                raise _error(answer.status, await answer.read())
            rest = b""
            async for piece in answer.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > MOST_EVENT_BYTES:
                    raise ServiceUnavailable(f"{self.access.server} sent a watch event of over {MOST_EVENT_BYTES} bytes")
                for line in lines:
                    if line.strip():
                        yield _event(resource, line)

    async def create(self, resource: Resource[T], obj: Any, namespace: str = "", *, name: str = "",
                     subresource: str = "", field_manager: str = "") -> Any:
        own, own_name = requests.where(obj)
        target = requests.path(resource, namespace or own, (name or own_name) if subresource else "", subresource)
        body = requests.encoded(resource, obj, typed=not subresource)
        data = await self._ask("POST", target + requests.query(fieldManager=field_manager), body)
        return _decoded(type(obj) if subresource else resource.wire, data)

    async def update(self, resource: Resource[T], obj: T, *, subresource: str = "", field_manager: str = "") -> T:
        namespace, name = requests.where(obj)
        target = requests.path(resource, namespace, name, subresource) + requests.query(fieldManager=field_manager)
        return cast("T", _decoded(type(obj), await self._ask("PUT", target, requests.encoded(resource, obj, typed=not subresource))))

    async def patch(
        self, resource: Resource[T], name: str, namespace: str, patch: Any, *, type: PatchType = MERGE_PATCH,
        subresource: str = "", field_manager: str = "", force: bool = False,
    ) -> T:
        target = requests.path(resource, namespace, name, subresource) + requests.query(fieldManager=field_manager, force=force)
        return cast("T", _decoded(resource.wire, await self._ask("PATCH", target, requests.patch_body(patch), type)))

    async def delete(self, resource: Resource[T], name: str, namespace: str = "",
                     options: DeleteOptions = DeleteOptions()) -> None:
        await self._ask("DELETE", requests.path(resource, namespace, name), requests.delete_body(options))

    async def delete_all(self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
                         options: DeleteOptions = DeleteOptions()) -> None:
        target = requests.path(resource, namespace) + requests.query(labelSelector=labels, fieldSelector=fields)
        await self._ask("DELETE", target, requests.delete_body(options))

    async def raw(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        kind = next((value for key, value in (headers or {}).items() if key.lower() == "content-type"), requests.JSON)
        rest = {key: value for key, value in (headers or {}).items() if key.lower() != "content-type"}
        async with self._request(method, path, body, kind, headers=rest) as answer:
            return Answer(answer.status, {key.lower(): value for key, value in answer.headers.items()}, await answer.read())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # transports close on the loop's next turn


def _url(server: str, target: str) -> Any:
    from yarl import URL

    return URL(server + target, encoded=True)


def _error(code: int, body: bytes) -> ApiError:
    try:
        status = codec.loads(body)
    except codec.DecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return from_status({"code": code, **status})
    return OtherStatus(body[:500].decode(errors="replace").strip() or f"the server answered {code}", code=code)


def _decoded(wire: type[Any], body: bytes) -> Any:
    try:
        return codec.decode(wire, body)
    except codec.DecodeError:
        return codec.loads(body)  # a Status where an object of another kind was sent


def _event(resource: Resource[T], line: bytes) -> WatchEvent[T]:
    try:
        frame = _frame.decode(line)
        if frame.type == "ERROR":
            raise from_status(codec.loads(bytes(frame.object)))
        if frame.type == "BOOKMARK":
            revision = str(codec.loads(bytes(frame.object))["metadata"]["resourceVersion"])
            return WatchEvent("BOOKMARK", cast("T", None), revision)
        obj: Any = codec.decode(resource.wire, bytes(frame.object))
    except (codec.DecodeError, KeyError) as error:
        raise ServiceUnavailable(f"a watch event of {resource.group_resource} cannot be read: {error}") from error
    revision = obj["metadata"]["resourceVersion"] if isinstance(obj, dict) else obj.metadata.resourceVersion
    return WatchEvent(cast("Any", frame.type), obj, revision)
