"""Short words for asking a server in a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.api import codec
from sampan.apiserver.server import Settings
from sampan.testing.server import LEAN, RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS


class Asker:
    """Asks with paths and dicts, answers with a code and a dict."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        raw = b"" if body is None else body if isinstance(body, bytes) else codec.encode(body)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.server.client.raw(method, path, body=raw, headers=sent)
        try:
            return answer.code, codec.loads(answer.body)
        except codec.DecodeError:
            return answer.code, answer.body.decode()

    async def merge(self, path: str, patch: Any) -> tuple[int, Any]:
        return await self.ask("PATCH", path, patch, content_type="application/merge-patch+json")

    async def must(self, method: str, path: str, body: Any = None) -> Any:
        code, value = await self.ask(method, path, body)
        assert code < 300, value
        return value


def with_server(test: Callable[[Asker], Awaitable[None]], *, settings: Settings = LEAN, clock: AsyncClock | None = None) -> None:
    """Run a test with a fresh server, within a deadline; the clock is the system's where none is given."""

    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), running_server(settings=settings, clock=clock) as server:
            await test(Asker(server))

    asyncio.run(whole())


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
