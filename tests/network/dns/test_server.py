"""The DNS server over real sockets on loopback, forwarding to a resolver of ours."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable

from dnslib import RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSServer
from tests.network.dns.test_zone import ZONE

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.network.dns.server import DnsServer, _ask
from sampan.testing.ports import free_port
from sampan.testing.waiting import PATIENCE_SECONDS


class Upstream(BaseResolver):  # type: ignore[misc]
    """Knows one name; counts questions."""

    def __init__(self) -> None:
        self.asked = 0

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        self.asked += 1
        reply = request.reply()
        for number in range(40 if "many" in str(request.q.qname) else 1):
            reply.add_answer(RR(request.q.qname, ttl=60, rdata=A(f"192.0.2.{number + 1}")))
        return reply


def with_server(test: Callable[[int, Upstream], Awaitable[None]]) -> None:
    async def run() -> None:
        upstream, up_port, port = Upstream(), free_port(), free_port()
        servers = [DNSServer(upstream, port=up_port, address="127.0.0.1", tcp=tcp) for tcp in (False, True)]
        for one in servers:
            one.start_thread()
        server = DnsServer(ZONE, [("127.0.0.1", up_port)], clock=SystemClock(), rng=random.Random(1))
        ready = asyncio.Event()
        try:
            async with Tasks() as tasks:
                tasks.start(server.run(["127.0.0.1"], port, ready), "server")
                await ready.wait()
                await test(port, upstream)
        finally:
            for one in servers:
                one.stop()
                one.server.server_close()

    asyncio.run(run())


async def ask(port: int, name: str, kind: str = "A") -> DNSRecord:
    return DNSRecord.parse(await asyncio.wait_for(_ask("127.0.0.1", port, DNSRecord.question(name, kind).pack()), PATIENCE_SECONDS))


def test_cluster_names_are_answered_and_unknown_ones_denied() -> None:
    async def check(port: int, upstream: Upstream) -> None:
        answer = await ask(port, "WEB.shop.svc.cluster.local")
        assert [str(r.rdata) for r in answer.rr] == ["10.96.0.5"]
        denied = await ask(port, "nothing.shop.svc.cluster.local")
        assert denied.header.rcode == 3
        assert len(denied.auth) == 1
        assert upstream.asked == 0

    with_server(check)


def test_other_names_are_forwarded_and_kept() -> None:
    async def check(port: int, upstream: Upstream) -> None:
        for _ in range(3):
            assert [str(r.rdata) for r in (await ask(port, "example.com")).rr] == ["192.0.2.1"]
        assert upstream.asked == 1

    with_server(check)


def test_an_answer_too_long_for_udp_comes_over_tcp() -> None:
    async def check(port: int, _upstream: Upstream) -> None:
        assert len((await ask(port, "many.example.com")).rr) == 40

    with_server(check)


def test_external_names_bring_their_addresses() -> None:
    async def check(port: int, _upstream: Upstream) -> None:
        answer = await ask(port, "out.shop.svc.cluster.local")
        assert [str(r.rdata) for r in answer.rr] == ["example.com.", "192.0.2.1"]

    with_server(check)


def test_rubbish_gets_no_answer_and_does_no_harm() -> None:
    async def check(port: int, _upstream: Upstream) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rubbish:
            for data in (b"", b"\x00", b"\xff" * 40, b"\x00" * 12):
                rubbish.sendto(data, ("127.0.0.1", port))
        assert (await ask(port, "web.shop.svc.cluster.local")).rr

    with_server(check)
