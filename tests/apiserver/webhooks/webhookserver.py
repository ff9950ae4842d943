"""A real HTTPS webhook on loopback, and configurations that lead to it."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

from sampan.aio.clock import SystemClock
from sampan.api import codec
from sampan.api.resources import MUTATING_WEBHOOK_CONFIGURATIONS, VALIDATING_WEBHOOK_CONFIGURATIONS
from sampan.lib import pki
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

Reply = Callable[[dict[str, Any]], Any]
"""Makes the response of a request; bytes, or (code, bytes, headers), are sent as they are."""
SERVICE_NAME = "hook.default.svc"


@cache
def authority(name: str = "webhook-ca") -> pki.Pair:
    return pki.new_ca(name, now=SystemClock().now())


@cache
def _certificate(dns: str, address: str) -> pki.Pair:
    names = pki.Names("webhook", dns=(dns,), addresses=(address,) if address else ())
    return pki.issue(authority(), names, ("digital signature", "server auth"), now=SystemClock().now())


@dataclass
class Webhook:
    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    peers: set[Any] = field(default_factory=set)
    reply: Reply = lambda _: {"allowed": True}
    hold: asyncio.Event | None = None
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/ask"

    async def answer(self, request: web.Request) -> web.Response:
        review = codec.loads(await request.read())
        self.queries.append(request.query_string)
        self.hosts.append(request.host)
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        self.seen.append(review["request"])
        self.arrived.release()
        if self.hold is not None:
            await self.hold.wait()
        reply = self.reply(review["request"])
        if isinstance(reply, bytes):
            return web.Response(body=reply)
        if isinstance(reply, tuple):
            code, body, headers = reply
            return web.Response(status=code, body=body, headers=headers)
        body = {"kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": {"uid": review["request"]["uid"]} | reply}
        return web.Response(body=codec.encode(body), content_type="application/json")


@asynccontextmanager
async def webhook(reply: Reply = lambda _: {"allowed": True}, *, dns: str = SERVICE_NAME, address: str = "127.0.0.1") -> AsyncIterator[Webhook]:
    """A webhook that listens until the block ends."""
    hook = Webhook(reply=reply)
    pair = _certificate(dns, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="sampan-test-") as folder:
        path = Path(folder) / "pair.pem"
        path.touch(mode=0o600)
        path.write_bytes(pair.certificate + b"\n" + pair.key)
        context.load_cert_chain(path)
    app = web.Application()
    app.router.add_post("/ask", hook.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    hook.port = runner.addresses[0][1]
    try:
        yield hook
    finally:
        if hook.hold is not None:
            hook.hold.set()
        await runner.cleanup()


ANY = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}


def entry(url: str, name: str = "hook.example.com", **more: Any) -> dict[str, Any]:
    """One webhook of a configuration."""
    return {
        "name": name, "clientConfig": {"url": url, "caBundle": base64.b64encode(authority().certificate).decode()}, "rules": [ANY],
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10} | more


async def configure(server: RunningServer, *entries: dict[str, Any], mutating: bool = False, name: str = "hooks") -> None:
    """Register webhooks."""
    resource = MUTATING_WEBHOOK_CONFIGURATIONS if mutating else VALIDATING_WEBHOOK_CONFIGURATIONS
    body = {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": {"name": name}, "webhooks": list(entries)}
    await server.client.create(resource, codec.convert(resource.wire, body))  # type: ignore[arg-type]


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """A response that changes the object."""
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(codec.encode(operations)).decode()}


def asked(check: Callable[[RunningServer, Webhook], Awaitable[Any]], reply: Reply = lambda _: {"allowed": True}, **certificate: str) -> Any:
    """Run a check on a server and a webhook."""

    async def run() -> Any:
        async with webhook(reply, **certificate) as hook, running_server() as server, asyncio.timeout(PATIENCE_SECONDS):
            return await check(server, hook)

    return asyncio.run(run())


async def post(server: RunningServer, path: str, body: dict[str, Any], method: str = "POST") -> tuple[int, dict[str, Any], dict[str, str]]:
    """Code, body and headers of a write."""
    answer = await server.client.raw(method, path, body=codec.encode(body), headers={"Content-Type": "application/json"})
    return answer.code, codec.loads(answer.body), dict(answer.headers)


MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name} | more.pop("metadata", {}), **more}
