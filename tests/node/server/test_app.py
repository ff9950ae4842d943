"""The agent's port on an in-process API server and the simulated runtime: who may, logs, exec, port-forward."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSMsgType, web
from tests.node.one_node import OneNode, one_node

from sampan.aio.clock import SystemClock
from sampan.api import codec
from sampan.api.core.v1 import Container
from sampan.api.errors import BadRequest
from sampan.apiserver.request import ADMIN, User
from sampan.apiserver.server import Settings
from sampan.node.runtimes.programs import Process, Program
from sampan.node.server.app import NodeServer, Served, log_options, ports_of
from sampan.node.server.auth import Gate
from sampan.testing import waiting

TOKEN, STRANGER = {"Authorization": "Bearer admin"}, {"Authorization": "Bearer stranger"}
SETTINGS = Settings(bootstrap_full=False, users={"admin": ADMIN, "stranger": User("stranger", groups=("system:authenticated",))})
Check = Callable[[OneNode, ClientSession, str], Awaitable[None]]


def with_port(root: Path, check: Check, **programs: Program) -> None:
    async def run() -> None:
        async with one_node(root, programs, settings=SETTINGS) as node:
            assert node.agent is not None
            clock = SystemClock()
            served = Served(node.agent, node.runtime, Gate(node.client, "node-1", clock=clock))
            server = NodeServer({"127.0.0.1": served}.get, clock=clock)
            runner = web.AppRunner(server.app())
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            try:
                async with ClientSession() as session:
                    await check(node, session, f"http://127.0.0.1:{port}")
            finally:
                await runner.cleanup()

    waiting.run(run())


async def running(node: OneNode, image: str = "web") -> None:
    await node.create(Container(name="main", image=image))
    await node.until_phase("Running")


def test_only_those_whom_the_api_server_lets_may_ask(tmp_path: Path) -> None:
    async def check(node: OneNode, session: ClientSession, url: str) -> None:
        for headers, code in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), (STRANGER, 403), (TOKEN, 200)):
            async with session.get(f"{url}/pods", headers=headers) as answer:
                assert answer.status == code, headers
        async with session.get(f"{url}/healthz") as answer:
            assert await answer.text() == "ok"

    with_port(tmp_path, check)


def test_logs_are_told_and_a_missing_container_is_said(tmp_path: Path) -> None:
    async def check(node: OneNode, session: ClientSession, url: str) -> None:
        await running(node, "talk")
        async with session.get(f"{url}/containerLogs/default/web/main?tailLines=1", headers=TOKEN) as answer:
            assert (answer.status, await answer.text()) == (200, "two\n")
        async with session.get(f"{url}/containerLogs/default/web/main?previous=true", headers=TOKEN) as answer:
            assert answer.status == 400
            assert "previous terminated container" in await answer.text()
        async with session.get(f"{url}/containerLogs/default/nobody/main", headers=TOKEN) as answer:
            assert answer.status == 404

    with_port(tmp_path, check, talk=Program(output="one\ntwo\n"))


def test_exec_speaks_v5_and_tells_how_the_command_ended(tmp_path: Path) -> None:
    async def shout(process: Process) -> int:
        assert process.stdin is not None
        while data := await process.stdin.read():
            await process.emit(data.upper(), False)
        return 3

    async def check(node: OneNode, session: ClientSession, url: str) -> None:
        await running(node)
        target = f"{url}/exec/default/web/main?command=shout&input=1&output=1&error=1"
        async with session.ws_connect(target, headers=TOKEN, protocols=("v5.channel.k8s.io",)) as socket:
            await socket.send_bytes(b"\x00ahoy")
            await socket.send_bytes(b"\xff\x00")
            seen: dict[int, bytes] = {}
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    seen[message.data[0]] = seen.get(message.data[0], b"") + message.data[1:]
        assert seen[1] == b"AHOY"
        status = codec.loads(seen[3])
        assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]

    with_port(tmp_path, check, web=Program(exec=shout))


def test_an_upgrade_to_spdy_is_told_what_to_use(tmp_path: Path) -> None:
    async def check(node: OneNode, session: ClientSession, url: str) -> None:
        await running(node)
        headers = {**TOKEN, "Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
        async with session.post(f"{url}/exec/default/web/main?command=x&output=1", headers=headers) as answer:
            assert answer.status == 400
            assert "WebSocket" in await answer.text()

    with_port(tmp_path, check)


def test_a_request_that_is_no_websocket_starts_nothing(tmp_path: Path) -> None:
    ran: list[tuple[str, ...]] = []

    async def note(process: Process) -> int:
        ran.append(process.argv)
        return 0

    async def check(node: OneNode, session: ClientSession, url: str) -> None:
        await running(node)
        for path in ("exec/default/web/main?command=rm&output=1", "attach/default/web/main?output=1", "portForward/default/web?ports=80"):
            async with session.get(f"{url}/{path}", headers=TOKEN) as answer:
                assert answer.status == 400, path
        assert ran == []

    with_port(tmp_path, check, web=Program(exec=note))


def test_a_terminal_whose_size_is_nonsense_goes_on(tmp_path: Path) -> None:
    async def echo(process: Process) -> int:
        assert process.stdin is not None
        await process.emit(await process.stdin.read(), False)
        return 0

    async def check(node: OneNode, session: ClientSession, url: str) -> None:
        await running(node)
        async with session.ws_connect(f"{url}/exec/default/web/main?command=echo&input=1&output=1&tty=1", headers=TOKEN,
                                      protocols=("v5.channel.k8s.io",)) as socket:
            await socket.send_bytes(b"\x04not json")
            await socket.send_bytes(b"\x00ahoy")
            said = b"".join([message.data[1:] async for message in socket if message.type is WSMsgType.BINARY and message.data[0] == 1])
        assert said == b"ahoy"

    with_port(tmp_path, check, web=Program(exec=echo))


def test_a_port_that_nobody_listens_on_is_told_on_its_own_channel(tmp_path: Path) -> None:
    async def check(node: OneNode, session: ClientSession, url: str) -> None:
        await running(node)
        async with session.ws_connect(f"{url}/portForward/default/web?ports=81", headers=TOKEN, protocols=("v4.channel.k8s.io",)) as socket:
            frames = [message.data async for message in socket if message.type is WSMsgType.BINARY]
        assert frames[:2] == [b"\x00\x51\x00", b"\x01\x51\x00"]
        assert frames[2][0] == 1
        assert b"81" in frames[2]

    with_port(tmp_path, check)


@pytest.mark.parametrize("given", [["0"], ["65536"], ["²"], ["x"], ["80,"], ["999999999999"], ["80"] * 128])
def test_what_is_no_port_is_refused(given: list[str]) -> None:
    with pytest.raises(BadRequest, match="port"):
        ports_of(given)


def test_ports_come_one_by_one_or_with_commas() -> None:
    assert ports_of(["80", "443,8080"]) == [80, 443, 8080]


@pytest.mark.parametrize("query", [{"sinceTime": "2026-01-01T00:00:00"}, {"sinceSeconds": "9" * 20}, {"tailLines": "x"}])
def test_log_options_that_make_no_sense_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match="unable to decode"):
        log_options(query, datetime(2026, 1, 1, tzinfo=UTC))
