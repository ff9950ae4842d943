"""Probes against real servers on this machine: http, tcp, grpc."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio
import pytest
from aiohttp import web

from sampan.api.core.v1 import (
    Container,
    ContainerPort,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    Pod,
    Probe,
    TCPSocketAction,
)
from sampan.node.probes.check import Outcome, check
from sampan.testing.waiting import PATIENCE_SECONDS


async def no_exec(command: list[str], seconds: float) -> tuple[int, bytes]:
    raise AssertionError("no probe here runs a command")


async def ask(probe: Probe, port: int, seconds: int = int(PATIENCE_SECONDS)) -> Outcome:
    probe.timeoutSeconds = seconds
    container = Container(name="main", ports=[ContainerPort(name="web", containerPort=port)])
    return await check(probe, Pod(), container, "127.0.0.1", no_exec)


def with_http(scenario: Callable[[int, list[web.Request]], Awaitable[None]]) -> None:
    """A web server whose path says the status that it answers with, and where that leads."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        to = request.query.get("to")
        code = int(request.path[1:])
        return web.Response(status=code, text=None if code in (204, 304) else "said", headers={"Location": to} if to else None)

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{code}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await scenario(runner.addresses[0][1], asked)
        finally:
            await runner.cleanup()

    asyncio.run(run())


def test_http_succeeds_from_200_to_399_and_redirects_elsewhere_are_told_of() -> None:
    async def scenario(port: int, asked: list[web.Request]) -> None:
        for code, ok, told in ((200, True, False), (204, True, False), (302, True, True), (304, True, True), (404, False, False), (500, False, False)):
            outcome = await ask(Probe(httpGet=HTTPGetAction(path=f"/{code}", port="web", httpHeaders=[HTTPHeader(name="X-Who", value="probe")])), port)
            assert (outcome.success, outcome.warning) == (ok, told), code
        assert outcome.message == "HTTP probe failed with statuscode: 500"
        assert asked[0].headers["X-Who"] == "probe"
        assert asked[0].headers["User-Agent"] == "kube-probe/1.36"
        elsewhere = await ask(Probe(httpGet=HTTPGetAction(path="/302?to=http://elsewhere.example/", port=port)), port)
        assert elsewhere == Outcome(True, "Probe terminated redirects, Response body: said", warning=True)
        here = await ask(Probe(httpGet=HTTPGetAction(path="/302?to=/404", port=port)), port)
        assert here == Outcome(False, "HTTP probe failed with statuscode: 404")

    with_http(scenario)


def test_a_closed_port_fails_at_once_and_a_silent_one_in_time() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            assert (await ask(Probe(tcpSocket=TCPSocketAction(port=port)), port)).success
            late = await ask(Probe(httpGet=HTTPGetAction(path="/", port=port)), port, seconds=1)
            assert not late.success
            assert "deadline exceeded" in late.message
        closed = await ask(Probe(tcpSocket=TCPSocketAction(port=port)), port)
        assert not closed.success
        assert closed.message.startswith(f"dial tcp 127.0.0.1:{port}")
        unnamed = await ask(Probe(tcpSocket=TCPSocketAction(port="none")), port)
        assert not unnamed.success

    asyncio.run(run())


class Health(grpc.GenericRpcHandler):
    """grpc.health.v1, by hand: the service `ill` does not serve, others but the empty one are not known."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != "/grpc.health.v1.Health/Check":
            return None

        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            name = request[2:].decode()
            if name not in ("", "ill"):
                await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            return b"\x08\x02" if name == "ill" else b"\x08\x01"

        return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=bytes, response_serializer=bytes)


@pytest.mark.parametrize(("service", "ok"), [("", True), ("ill", False), ("unknown", False)])
def test_grpc_asks_the_health_service(service: str, ok: bool) -> None:
    async def run() -> None:
        server = grpc.aio.server(handlers=[Health()])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            outcome = await ask(Probe(grpc=GRPCAction(port=port, service=service)), port)
        finally:
            await server.stop(None)
        assert outcome.success == ok, outcome
        assert ok or outcome.message

    asyncio.run(run())


def test_grpc_without_a_server_fails() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        assert not (await ask(Probe(grpc=GRPCAction(port=port)), port, seconds=2)).success

    asyncio.run(run())
