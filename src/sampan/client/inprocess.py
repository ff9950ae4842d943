"""The client for code in the API server's own process: calls the ASGI application, no sockets, no copies.

Objects, lists and watch events come back as the server's own decoded, shared objects through the application's
in-process extension (see `sampan.apiserver.asgi`); errors come as the `ApiError` that a remote client would raise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from sampan.api import codec
from sampan.api.errors import InternalError
from sampan.api.resourceinfo import Resource
from sampan.client import requests
from sampan.client.base import MERGE_PATCH, Answer, DeleteOptions, Listing, PatchType, WatchEvent

T = TypeVar("T")
Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class InProcessClient:
    """A `Client` on an ASGI application. With `user` None the application authenticates by `headers` instead."""

    def __init__(self, app: AsgiApp, user: Any, *, agent: str = "sampan", headers: Mapping[str, str] | None = None) -> None:
        self._app, self._user = app, user
        self._headers = [(b"user-agent", agent.encode())] + [
            (key.lower().encode(), value.encode()) for key, value in (headers or {}).items()]

    async def _ask(self, method: str, target: str, body: bytes = b"", kind: str = requests.JSON,
                   headers: Mapping[str, str] | None = None) -> Any:
        path, _, query = target.partition("?")
        own = self._headers
        if body:
            own = [*own, (b"content-type", kind.encode())]
        if headers:
            own = [*own, *((key.lower().encode(), value.encode()) for key, value in headers.items())]
        scope: Message = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https",
            "path": unquote(path) if "%" in path else path, "raw_path": path.encode(), "query_string": query.encode(), "headers": own,
            "client": None, "server": None, "root_path": "", "extensions": {"sampan": {"user": self._user}},
        }
        found: list[Any] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            found.append(message["response"])

        await self._app(scope, receive, send)
        return found[0]

    async def _object(self, wire: type[Any], method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> Any:
        answer = await self._ask(method, target, body, kind)
        if answer.code >= 300:
            raise requests.error_of(answer.code, answer.joined())
        if answer.entry is not None:
            return answer.entry.object
        if answer.result is not None and (isinstance(answer.result, wire) or not isinstance(answer.result, dict)):
            return answer.result
        return _decoded(wire, answer.joined())

    async def get(self, resource: Resource[T], name: str, namespace: str = "", *, subresource: str = "") -> T:
        target = requests.path(resource, namespace, name, subresource)
        return cast("T", await self._object(resource.wire, "GET", target))

    async def list(
        self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
        limit: int = 0, continue_: str = "", resource_version: str = "",
    ) -> Listing[T]:
        target = requests.path(resource, namespace) + requests.query(
            labelSelector=labels, fieldSelector=fields, limit=limit, resourceVersion=resource_version, **{"continue": continue_})
        answer = await self._ask("GET", target)
        if answer.code >= 300:
            raise requests.error_of(answer.code, answer.joined())
        found = answer.result
        return Listing([getattr(one, "object", one) if hasattr(one, "revision") else one for one in found.objects],
                       found.revision, found.continue_)

    async def watch(
        self, resource: Resource[T], namespace: str = "", *, since: str = "", labels: str = "", fields: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent[T]]:
        target = requests.path(resource, namespace) + requests.query(
            watch=True, resourceVersion=since, labelSelector=labels, fieldSelector=fields, timeoutSeconds=timeout_seconds,
            allowWatchBookmarks=True)
        stream = await self._ask("GET", target)
        if stream.code >= 300:
            raise requests.error_of(stream.code, stream.joined())
        events = stream.events
        try:
            async for batch in events:
                for kind, obj, revision in batch:
                    yield WatchEvent(kind, obj, str(revision))
        finally:
            await events.aclose()

    async def create(self, resource: Resource[T], obj: Any, namespace: str = "", *, name: str = "",
                     subresource: str = "", field_manager: str = "") -> Any:
        own, own_name = requests.where(obj)
        target = requests.path(resource, namespace or own, (name or own_name) if subresource else "", subresource)
        body = requests.encoded(resource, obj, typed=not subresource)
        wire = type(obj) if subresource else resource.wire
        return await self._object(wire, "POST", target + requests.query(fieldManager=field_manager), body)

    async def update(self, resource: Resource[T], obj: T, *, subresource: str = "", field_manager: str = "") -> T:
        namespace, name = requests.where(obj)
        target = requests.path(resource, namespace, name, subresource) + requests.query(fieldManager=field_manager)
        wire = type(obj)
        return cast("T", await self._object(wire, "PUT", target, requests.encoded(resource, obj, typed=not subresource)))

    async def patch(
        self, resource: Resource[T], name: str, namespace: str, patch: Any, *, type: PatchType = MERGE_PATCH,
        subresource: str = "", field_manager: str = "", force: bool = False,
    ) -> T:
        target = requests.path(resource, namespace, name, subresource) + requests.query(fieldManager=field_manager, force=force)
        return cast("T", await self._object(resource.wire, "PATCH", target, requests.patch_body(patch), type))

    async def delete(self, resource: Resource[T], name: str, namespace: str = "",
                     options: DeleteOptions = DeleteOptions()) -> None:
        answer = await self._ask("DELETE", requests.path(resource, namespace, name), requests.delete_body(options))
        if answer.code >= 300:
            raise requests.error_of(answer.code, answer.joined())

    async def delete_all(self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
                         options: DeleteOptions = DeleteOptions()) -> None:
        target = requests.path(resource, namespace) + requests.query(labelSelector=labels, fieldSelector=fields)
        answer = await self._ask("DELETE", target, requests.delete_body(options))
        if answer.code >= 300:
            raise requests.error_of(answer.code, answer.joined())

    async def raw(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        kind = next((value for key, value in (headers or {}).items() if key.lower() == "content-type"), requests.JSON)
        rest = {key: value for key, value in (headers or {}).items() if key.lower() != "content-type"}
        answer = await self._ask(method, path, body, kind, rest)
        found = {key.decode(): value.decode() for key, value in answer.headers} | {"content-type": answer.content_type.decode()}
        if not hasattr(answer, "joined"):
            await answer.chunks.aclose()
            if answer.ended is not None:
                answer.ended()
            raise InternalError("the answer is a stream: use watch, or a remote client")
        return Answer(answer.code, found, answer.joined())

    async def close(self) -> None:
        """Nothing is held."""


def _decoded(wire: type[Any], body: bytes) -> Any:
    try:
        return codec.decode(wire, body)
    except codec.DecodeError:
        return codec.loads(body)  # a Status where an object of another kind was sent
