"""The audit log: stands around the pipeline, tells every request that the policy asks for, keeps files small.

A line is written before its answer is sent. RequestReceived is told, with its own time, when the request is answered:
who asked is not known before. Files are 0600, append only, renamed when they are full.
Source: apiserver `pkg/endpoints/filters/audit.go`, `plugin/pkg/audit/log`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sampan.apiserver.audit import events
from sampan.apiserver.audit.events import Told
from sampan.apiserver.audit.policy import Policy, telling
from sampan.apiserver.handlers.base import Body
from sampan.apiserver.pipeline import Handles
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Response, Stream
from sampan.lib.clock import Clock, Identity

LONGEST_ID = 64


class AuditFile:
    """Lines at the end of a file, `-` for the standard output."""

    def __init__(self, path: str, clock: Clock, *, most_megabytes: int = 100, backups: int = 10) -> None:
        self._path, self._clock, self._most, self._backups = path, clock, most_megabytes << 20, backups
        self._file = -1
        self._size = 0

    def write(self, text: bytes) -> None:
        """Append.

        Raises:
            OSError: The file can't be written.
        """
        if self._path == "-":
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
            return
        if self._file < 0:
            self._open()
        if self._size and self._size + len(text) > self._most:
            self._rotate()
        left = memoryview(text)
        while left:
            left = left[os.write(self._file, left):]
        self._size += len(text)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        self.close()
        path = Path(self._path)
        path.rename(path.with_name(f"{path.stem}-{self._clock.now():%Y-%m-%dT%H-%M-%S.%f}{path.suffix}"))
        old = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))
        for one in old[:max(len(old) - self._backups, 0)]:
            one.unlink(missing_ok=True)
        self._open()


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
        self._tell(told, "RequestReceived", received)
        if isinstance(response, Stream):
            self._tell(told, "ResponseStarted", self._clock.now())
            response.chunks = _Watched(response.chunks, lambda: self._complete(told))
            if response.events is not None:
                response.events = _Watched(response.events, lambda: self._complete(told))
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
