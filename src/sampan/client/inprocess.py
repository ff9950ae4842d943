"""The client for code in the API server's own process: calls the ASGI application, no sockets, no copies.

Objects, lists and watch events come back as the server's own decoded, shared objects through the application's
in-process extension (see `sampan.apiserver.asgi`); errors come as the `ApiError` that a remote client would raise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeVar
from urllib.parse import unquote

from sampan.aio.clock import AsyncClock
from sampan.api.errors import InternalError
from sampan.api.resourceinfo import Resource
from sampan.client import requests
from sampan.client.base import Answer, Listing, WatchEvent
from sampan.client.retrying import insist, wait_seconds
from sampan.client.verbs import Verbs

T = TypeVar("T")
Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class InProcessClient(Verbs):
    """A `Client` on an ASGI application. With `user` None the application authenticates by `headers` instead."""

    def __init__(self, app: AsgiApp, user: Any, *, agent: str = "sampan", headers: Mapping[str, str] | None = None,
                 clock: AsyncClock | None = None) -> None:
        """`clock`: whose time is waited where the server asks to come back later; without one it is an error at once."""
        self._app, self._user, self._clock = app, user, clock
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

    async def _served(self, method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> Any:
        """The answer of a request that was not refused, asked again where the server wants that."""
        answer = await self._ask(method, target, body, kind)
        if answer.code >= 300:
            if self._clock is not None:
                answer = await insist(answer, lambda: self._ask(method, target, body, kind), _asked, self._clock)
            if answer.code >= 300:
                raise requests.error_of(answer.code, answer.joined())
        return answer

    async def _object(self, wire: type[Any], method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> Any:
        answer = await self._served(method, target, body, kind)
        if answer.entry is not None:
            return answer.entry.object
        if answer.result is not None and (isinstance(answer.result, wire) or not isinstance(answer.result, dict)):
            return answer.result
        return requests.decoded(wire, answer.joined())

    async def _done(self, method: str, target: str, body: bytes, kind: str = requests.JSON) -> None:
        await self._served(method, target, body, kind)

    async def list(
        self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
        limit: int = 0, continue_: str = "", resource_version: str = "",
    ) -> Listing[T]:
        target = requests.path(resource, namespace) + requests.query(
            labelSelector=labels, fieldSelector=fields, limit=limit, resourceVersion=resource_version, **{"continue": continue_})
        found = (await self._served("GET", target)).result
        return Listing([getattr(one, "object", one) if hasattr(one, "revision") else one for one in found.objects],
                       found.revision, found.continue_)

    async def watch(
        self, resource: Resource[T], namespace: str = "", *, since: str = "", labels: str = "", fields: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent[T]]:
        target = requests.path(resource, namespace) + requests.query(
            watch=True, resourceVersion=since, labelSelector=labels, fieldSelector=fields, timeoutSeconds=timeout_seconds,
            allowWatchBookmarks=True)
        events = (await self._served("GET", target)).events
        try:
            async for batch in events:
                for kind, obj, revision in batch:
                    yield WatchEvent(kind, obj, str(revision))
        finally:
            await events.aclose()

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


def _asked(answer: Any) -> int | None:
    told = next((value for name, value in answer.headers if name == b"retry-after"), b"")
    return wait_seconds(answer.code, told.decode("latin-1"))
