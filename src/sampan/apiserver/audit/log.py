"""The audit log: stands around the pipeline and tells every request that the policy asks for.

A line is written before its answer is sent. RequestReceived is told, with its own time, when the request is answered:
who asked is not known before. Answers that go on (watches, logs, exec) are told when they start and when they end.
Leaves files to `file`. Source: apiserver `pkg/endpoints/filters/audit.go`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from sampan.apiserver.audit import events
from sampan.apiserver.audit.events import UNAUTHORIZED, Told
from sampan.apiserver.audit.policy import Policy, telling
from sampan.apiserver.handlers.base import Body
from sampan.apiserver.pipeline import Handles
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Response, Stream, Tunnel
from sampan.lib.clock import Clock, Identity

LONGEST_ID = 64


class Audited:
    """A pipeline whose requests are told."""

    def __init__(self, pipeline: Handles, policy: Policy, write: Callable[[bytes], None], clock: Clock, identity: Identity) -> None:
        self._pipeline, self._policy, self._write, self._clock, self._identity = pipeline, policy, write, clock, identity
        self._bodies = any(rule.level in ("Request", "RequestResponse") for rule in policy.rules)

    async def handle(self, info: RequestInfo, body: Body) -> Response:
        """Answer and tell."""
        received, read = self._clock.now(), bytearray()

        async def kept() -> bytes:
            content = await body()
            read[:] = content
            return content

        response = await self._pipeline.handle(info, kept if self._bodies else body)
        told = Told(info, telling(self._policy, info, info.authenticated or info.user), self._id(info), received, bytes(read), response)
        if told.telling.level == "None":
            return response
        named = (b"audit-id", told.identity.encode())
        if isinstance(response, Answer):
            response = replace(response, headers=[*response.headers, named])  # answers of documents are kept and shared
        elif isinstance(response, Stream):
            response.headers.append(named)
        if info.authenticated is None and response.code == UNAUTHORIZED:  # upstream knows no more of such a request
            self._tell(told, "ResponseStarted", self._clock.now())
            return response
        self._tell(told, "RequestReceived", received)
        if isinstance(response, Stream):
            self._tell(told, "ResponseStarted", self._clock.now())
            response.chunks = _Watched(response.chunks, lambda: self._complete(told))
            if response.events is not None:
                response.events = _Watched(response.events, lambda: self._complete(told))
        elif isinstance(response, Tunnel):
            self._tell(told, "ResponseStarted", self._clock.now())
            response.ended = lambda: self._complete(told)
        else:
            self._complete(told)
        return response

    def _id(self, info: RequestInfo) -> str:
        given = info.headers.get("audit-id", "")
        return given[:LONGEST_ID] if given.isascii() and given.isprintable() and given else self._identity.uid()

    def _complete(self, told: Told) -> None:
        self._tell(told, "ResponseComplete", self._clock.now())

    def _tell(self, told: Told, stage: str, now: Any) -> None:
        if stage not in told.telling.omitted:
            self._write(events.line(told, stage, now))


class _Watched:
    """An iterator, and word of its end."""

    def __init__(self, inner: AsyncIterator[Any], ended: Callable[[], None]) -> None:
        self._inner, self._ended, self._over = inner, ended, False

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._inner)
        except StopAsyncIteration:
            self._end()
            raise

    async def aclose(self) -> None:
        """End it, if it has not ended."""
        close = getattr(self._inner, "aclose", None)
        if close is not None:
            await close()
        self._end()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._ended()
