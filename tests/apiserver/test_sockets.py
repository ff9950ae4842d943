"""exec, attach, port-forward and logs, through to a node agent: a small server that answers as one."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from sampan.api import codec
from sampan.api.core.v1 import Node, Pod
from sampan.api.errors import ApiError
from sampan.api.resources import NODES, PODS
from sampan.apiserver.audit.policy import load
from sampan.apiserver.server import Settings
from sampan.client.remote import RemoteClient
from sampan.lib import pki
from sampan.testing.https import served
from sampan.testing.server import LEAN
from sampan.testing.waiting import PATIENCE_SECONDS


async def _exec(request: web.Request) -> web.StreamResponse:
    if request.match_info["container"] == "gone":
        return web.json_response({"kind": "Status", "message": "container not found", "code": 404, "reason": "NotFound"}, status=404)
    socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"))
    await socket.prepare(request)
    await socket.send_str(",".join(f"{key}={value}" for key, value in request.query.items()))
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(b"\x01" + bytes(message.data[1:]).upper())
            if message.data[1:] == b"bye":
                break
    await socket.close()
    return socket


async def _logs(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in (b"one\n", request.query_string.encode()):
        await response.write(piece)
    return response


@asynccontextmanager
async def agent() -> AsyncIterator[int]:
    """The port of a server that speaks as an agent does."""
    app = web.Application()
    app.router.add_get("/exec/{namespace}/{pod}/{container}", _exec)
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", _logs)
    from sampan.aio.clock import SystemClock

    now = SystemClock().now()
    pair = pki.issue(pki.new_ca("node", now=now), pki.server_names(), ("server auth",), now=now)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "crt"), Path(folder, "key")
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def with_node(test: Callable[[RemoteClient], Awaitable[None]], settings: Settings = LEAN) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), agent() as port, served(settings=settings) as (running, access):
            status = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}], "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
            made = await running.client.create(NODES, codec.convert(Node, {"metadata": {"name": "n"}}))
            node = codec.clone(made)
            node.status = codec.convert(Node, {"status": status}).status
            await running.client.update(NODES, node, subresource="status")
            containers = [{"name": name, "image": "x"} for name in ("c", "gone")]
            for name, spec in (("p", {"nodeName": "n"}), ("waiting", {})):
                await running.client.create(PODS, codec.convert(Pod, {
                    "metadata": {"name": name, "namespace": "default"}, "spec": {"containers": containers, **spec}}))
            client = RemoteClient(access)
            try:
                await test(client)
            finally:
                await client.close()

    asyncio.run(whole())


POD = "/api/v1/namespaces/default/pods"


@pytest.mark.slow
def test_frames_pass_both_ways_and_the_end_comes_through() -> None:
    async def test(client: RemoteClient) -> None:
        path = f"{POD}/p/exec?container=c&command=ls&command=-l&stdin=true&stdout=true"
        socket = await client.websocket(path, ["v5.channel.k8s.io", "v4.channel.k8s.io"])
        assert socket.protocol == "v5.channel.k8s.io"
        assert await socket.receive_str() == "input=1,output=1,command=ls,command=-l"
        for word in (b"hello", b"bye"):
            await socket.send_bytes(b"\x00" + word)
            assert await socket.receive_bytes() == b"\x01" + word.upper()
        assert (await socket.receive()).type is WSMsgType.CLOSE

    with_node(test)


@pytest.mark.slow
def test_the_audit_log_tells_when_exec_starts_and_when_it_ends(tmp_path: Path) -> None:
    path, stages = tmp_path / "audit.log", []
    policy = b"{apiVersion: audit.k8s.io/v1, kind: Policy, omitStages: [RequestReceived], rules: [{level: Metadata, resources: [{group: '', resources: [pods/exec]}]}]}"

    async def test(client: RemoteClient) -> None:
        socket = await client.websocket(f"{POD}/p/exec?container=c&command=ls&stdin=true", ["v5.channel.k8s.io"])
        await socket.receive_str()
        stages.append(_stages(path))
        await socket.send_bytes(b"\x00bye")
        while (await socket.receive()).type is not WSMsgType.CLOSE:
            pass

    with_node(test, replace(LEAN, audit_policy=load(policy, "p"), audit_log=str(path)))
    started = [("pods", "exec", "ResponseStarted", 101)]
    assert stages == [started]
    assert _stages(path) == [*started, ("pods", "exec", "ResponseComplete", 101)]


def _stages(path: Path) -> list[tuple[str, str, str, int]]:
    events = map(codec.loads, path.read_bytes().splitlines())
    return [(one["objectRef"]["resource"], one["objectRef"]["subresource"], one["stage"], one["responseStatus"]["code"]) for one in events]


@pytest.mark.slow
def test_refusals_come_as_http_answers() -> None:
    async def test(client: RemoteClient) -> None:
        for path, code in ((f"{POD}/p/exec?container=gone&command=x", 404), (f"{POD}/waiting/exec?container=c&command=x", 400),
                           (f"{POD}/p/exec?container=none&command=x", 400), (f"{POD}/none/exec?command=x", 404)):
            with pytest.raises(ApiError) as refused:
                await client.websocket(path, ["v5.channel.k8s.io"])
            assert refused.value.code == code

    with_node(test)


@pytest.mark.slow
def test_logs_are_streamed_with_their_options() -> None:
    async def test(client: RemoteClient) -> None:
        answer = await client.raw("GET", f"{POD}/p/log?container=c&tailLines=5&follow=true")
        assert (answer.code, answer.body) == (200, b"one\nfollow=true&tailLines=5")
        assert (await client.raw("GET", f"{POD}/waiting/log?container=c")).code == 204
        several = await client.raw("GET", f"{POD}/p/log")
        assert codec.loads(several.body)["message"] == "a container name must be specified for pod p, choose one of: [c gone]"

    with_node(test)


@pytest.mark.slow
def test_a_plain_or_spdy_request_is_told_to_use_websockets() -> None:
    async def test(client: RemoteClient) -> None:
        plain = await client.raw("POST", f"{POD}/p/exec?container=c&command=x")
        assert codec.loads(plain.body)["message"] == "Upgrade request required"
        spdy = await client.raw("POST", f"{POD}/p/exec?container=c&command=x", headers={"Upgrade": "SPDY/3.1", "Connection": "Upgrade"})
        assert (spdy.code, "WebSocket" in codec.loads(spdy.body)["message"]) == (400, True)

    with_node(test)
