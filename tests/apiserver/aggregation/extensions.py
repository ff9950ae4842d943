"""API servers behind a Service: another Sampan over TLS, and a small one of metrics; both real, on loopback."""

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

from aiohttp import WSMsgType, web

from api_asking import Asker
from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.apiserver.aggregation.connections import AggregationSettings
from sampan.apiserver.auth.authenticators import Sources
from sampan.apiserver.auth.requestheader import RequestHeaders
from sampan.apiserver.server import Settings
from sampan.cluster import listener
from sampan.lib import pki
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

SERVICE = "extension"
HOST = f"{SERVICE}.default.svc"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


@cache
def authority(name: str) -> pki.Pair:
    return pki.new_ca(name, now=SystemClock().now())


@cache
def _pair(issuer: str, name: str, use: str) -> pki.Pair:
    dns = (name,) if use == "server auth" else ()
    return pki.issue(authority(issuer), pki.Names(name, dns=dns), ("digital signature", use), now=SystemClock().now())


@dataclass(frozen=True)
class Files:
    """Certificates in a folder of the test's."""

    folder: Path

    def write(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)

    def pair(self, issuer: str, name: str, use: str) -> tuple[str, str]:
        made = _pair(issuer, name, use)
        return self.write(f"{issuer}-{name}.crt", made.certificate), self.write(f"{issuer}-{name}.key", made.key)

    def front_proxy(self) -> AggregationSettings:
        """What the aggregating server shows."""
        return AggregationSettings(*self.pair("front-proxy-ca", "front-proxy-client", "client auth"),
                                   self.write("front-proxy-ca.crt", authority("front-proxy-ca").certificate))


@asynccontextmanager
async def files() -> AsyncIterator[Files]:
    with tempfile.TemporaryDirectory(prefix="sampan-test-") as name:
        yield Files(Path(name))


@asynccontextmanager
async def front(there: Files, *, full: bool = False, **settings: Any) -> AsyncIterator[Asker]:
    """The server in front."""
    made = Settings(bootstrap_rbac=full, bootstrap_full=full, disabled_admission=frozenset(("ServiceAccount",)),
                    aggregation=there.front_proxy(), **settings)
    async with running_server(settings=made) as server:
        yield Asker(server)


# -- another Sampan -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def sampan(there: Files) -> AsyncIterator[tuple[RunningServer, int]]:
    """A whole API server that believes the front proxy, and its port."""
    settings = Settings(
        bootstrap_full=False, disabled_admission=frozenset(("ServiceAccount",)), client_ca=authority("other-ca").certificate,
        sources=Sources(headers=RequestHeaders(authority("front-proxy-ca").certificate, ("front-proxy-client",), uid=("X-Remote-Uid",))))
    certificate, key = there.pair("extension-ca", HOST, "server auth")
    trusted = there.write("clients.crt", authority("front-proxy-ca").certificate)
    async with running_server(settings=settings, seed=2) as running, Tasks() as tasks:
        listening = listener.bind("127.0.0.1", 0)
        server = listener.Server(listener.configure(running.app, certificate=certificate, key=key, client_ca=trusted), running.server.stop)
        task = tasks.start(server.serve(sockets=[listening]), "extension")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag only
                await asyncio.sleep(0.005)
        try:
            yield running, listening.getsockname()[1]
        finally:
            server.stop()
            await task


# -- a small one --------------------------------------------------------------------------------------------------

METRICS = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1", "resources": [
    {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["get", "list"]},
    {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
    {"name": "pods/top", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get"]}]}
NODES = {"kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {"resourceVersion": "7"},
         "items": [{"metadata": {"name": "n1"}, "usage": {"cpu": "100m"}}]}
OPENAPI_V2 = {"swagger": "2.0", "paths": {"/apis/metrics.k8s.io/v1beta1/nodes": {"get": {"responses": {"200": {
    "schema": {"$ref": "#/definitions/io.k8s.metrics.NodeMetricsList"}}}}}, "/apis/other/": {}},
    "definitions": {"io.k8s.metrics.NodeMetricsList": {"properties": {"meta": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"}}},
                    "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta": {"type": "object", "description": "another one"}, "unused": {}}}
OPENAPI_V3 = {"openapi": "3.0.0", "paths": {"/apis/metrics.k8s.io/v1beta1/nodes": {}}}


@dataclass
class Small:
    """A server of metrics.k8s.io that remembers what it was asked."""

    port: int = 0
    seen: list[tuple[str, str, dict[str, list[str]], bytes]] = field(default_factory=list)
    code: int = 200
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        self.seen.append((request.method, request.path_qs, headers, await request.read()))
        path = request.path
        if self.code != 200:
            return web.Response(status=self.code, text="no")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._echo(request)
        if request.query.get("watch"):
            return await self._watch(request)
        pages: dict[str, Any] = {
            "/apis/metrics.k8s.io/v1beta1": METRICS, "/apis/metrics.k8s.io/v1beta1/nodes": NODES, "/openapi/v2": OPENAPI_V2,
            "/openapi/v3": {"paths": {"apis/metrics.k8s.io/v1beta1": {"serverRelativeURL": "/openapi/v3/apis/metrics.k8s.io/v1beta1?hash=1"},
                                      "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}},
            "/openapi/v3/apis/metrics.k8s.io/v1beta1": OPENAPI_V3}
        if path in pages:
            return web.json_response(pages[path], headers={"X-Kept": "yes"})
        if path.endswith("/echo"):
            return web.Response(status=201, body=await request.read(), content_type="text/x-echo")
        return web.Response(status=404, text="404 page not found\n")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        await stream.write(b'{"type":"ADDED","object":{"metadata":{"name":"n1","resourceVersion":"8"}}}\n')
        await self.hold.wait()
        await stream.write(b'{"type":"DELETED","object":{"metadata":{"name":"n1","resourceVersion":"9"}}}\n')
        return stream

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"heard {message.data}")
        return socket


@asynccontextmanager
async def serving(there: Files, answer: Callable[[web.Request], Awaitable[web.StreamResponse]], *, name: str = HOST) -> AsyncIterator[int]:
    """A server that listens until the block ends, and its port; it takes nobody without a certificate of the front proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*there.pair("extension-ca", name, "server auth"))
    context.load_verify_locations(cadata=authority("front-proxy-ca").certificate.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def small(there: Files, *, name: str = HOST) -> AsyncIterator[Small]:
    """It listens until the block ends."""
    server = Small()
    async with serving(there, server.answer, name=name) as server.port:
        try:
            yield server
        finally:
            server.hold.set()


# -- announcing them ----------------------------------------------------------------------------------------------


async def announce(asker: Asker, port: int, *versions: str, ca: bytes | None = None, **spec: Any) -> None:
    """A Service that leads to a port of this machine, and APIServices (`VERSION.GROUP`) behind it."""
    await asker.ask("POST", "/api/v1/namespaces/default/services", {
        "kind": "Service", "apiVersion": "v1", "metadata": {"name": SERVICE}, "spec": {"type": "ExternalName", "externalName": "127.0.0.1"}})
    bundle = authority("extension-ca").certificate if ca is None else ca
    trust = {"caBundle": base64.b64encode(bundle).decode()} if bundle else {}
    for name in versions:
        version, _, group = name.partition(".")
        await asker.must("POST", APISERVICES, {
            "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1", "metadata": {"name": name},
            "spec": {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                     "service": {"namespace": "default", "name": SERVICE, "port": port}} | trust | spec})


async def condition(asker: Asker, name: str, status: str) -> dict[str, Any]:
    """Wait until Available has this status."""
    while True:
        value = await asker.must("GET", f"{APISERVICES}/{name}")
        found = [one for one in (value.get("status") or {}).get("conditions") or () if one["type"] == "Available" and one["status"] == status]
        if found:
            return dict(found[0])
        await asyncio.sleep(0.01)
