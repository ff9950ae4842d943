"""Speaks DNS over UDP and TCP: answers for the cluster's zone, forwards the rest, keeps forwarded answers a while.

Bounded: questions in work, TCP connections, cached answers, time of a forward. Source: RFC 1035, 6891, 7766.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import OrderedDict
from collections.abc import Sequence
from random import Random
from typing import Any, cast

from dnslib import AAAA, CNAME, NS, PTR, QTYPE, RCODE, RR, SOA, SRV, TXT, A, DNSRecord
from dnslib.dns import DNSError

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.lib.errors import ConfigError
from sampan.network.dns.zone import Answer, Record, Zone

log = logging.getLogger(__name__)

TTL_SECONDS = 5
CACHE_SECONDS = 30
MOST_CACHED, MOST_AT_ONCE, MOST_CONNECTIONS = 4096, 512, 128
FORWARD_SECONDS = 2.0
IDLE_SECONDS = 10.0
LEAST_UDP_BYTES = 512


class DnsServer:
    """One server on one or more addresses."""

    def __init__(self, zone: Zone, upstreams: Sequence[tuple[str, int]], *, clock: AsyncClock, rng: Random) -> None:
        self._zone, self._upstreams, self._clock, self._rng = zone, list(upstreams), clock, rng
        self._cache: OrderedDict[tuple[str, int], tuple[float, bytes]] = OrderedDict()
        self._tasks = Tasks()
        self._connections = 0

    async def run(self, addresses: Sequence[str], port: int = 53, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled.

        Raises:
            ConfigError: An address or the port is taken.
        """
        loop = asyncio.get_running_loop()
        transports: list[asyncio.DatagramTransport] = []
        servers: list[asyncio.Server] = []
        async with self._tasks as tasks:
            try:
                for address in addresses:
                    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(address, port))
                    transports.append(transport)
                    servers.append(await asyncio.start_server(self._connection, address, port, limit=1 << 16))
                if ready is not None:
                    ready.set()
                await tasks.wait()
            except OSError as error:
                raise ConfigError(f"cluster DNS cannot listen on {', '.join(addresses)} port {port}: {error.strerror or error}",
                                  hint="another server has the port: stop it, or give this cluster other ranges") from error
            finally:
                for transport in transports:
                    transport.close()
                for server in servers:
                    server.close()

    def datagram(self, data: bytes, peer: Any, transport: asyncio.DatagramTransport) -> None:
        """One question over UDP; beyond the bound questions are dropped, as the protocol allows."""
        if len(self._tasks) < MOST_AT_ONCE:
            self._tasks.start(self._answer_datagram(data, peer, transport), "dns question", keep_going=True)

    async def _answer_datagram(self, data: bytes, peer: Any, transport: asyncio.DatagramTransport) -> None:
        reply = await self.reply(data, udp=True)
        if reply is not None and not transport.is_closing():
            transport.sendto(reply, peer)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MOST_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                reply = await self.reply(data, udp=False)
                if reply is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone, or never came to its question
        finally:
            self._connections -= 1
            writer.close()

    async def reply(self, data: bytes, *, udp: bool) -> bytes | None:
        """The packed answer to a packed question; None where it is not even a question."""
        try:
            request = DNSRecord.parse(data)
        except (DNSError, struct.error, ValueError, IndexError):
            return None
        if not request.questions or request.header.qr:
            return None
        question = request.questions[0]
        name, kind = str(question.qname).rstrip(".").lower(), QTYPE.get(question.qtype)
        most = self._udp_bytes(request) if udp else 65535
        answer = self._zone.answer(name, kind)
        if answer is None:
            return await self._forward(request, data, (name, question.qtype), most)
        reply = request.reply(ra=1, aa=1)
        self._fill(reply, answer, name)
        external = next((r.value for r in answer.records if r.type == "CNAME"), None)
        if external is not None and kind in ("A", "AAAA"):
            await self._follow(reply, str(external), question.qtype)
        return _packed(reply, most)

    @staticmethod
    def _udp_bytes(request: DNSRecord) -> int:
        for extra in request.ar:
            if extra.rtype == QTYPE.OPT:
                return max(LEAST_UDP_BYTES, min(int(extra.rclass), 4096))
        return LEAST_UDP_BYTES

    def _fill(self, reply: DNSRecord, answer: Answer, name: str) -> None:
        records = list(answer.records)
        self._rng.shuffle(records)
        for record in records:
            reply.add_answer(_resource(record))
        for record in answer.additional:
            reply.add_ar(_resource(record))
        if not answer.exists:
            reply.header.rcode = RCODE.NXDOMAIN
        if not answer.records:
            reply.add_auth(RR(self._zone.domain + ".", QTYPE.SOA, ttl=TTL_SECONDS, rdata=_soa(self._zone.domain)))

    async def _follow(self, reply: DNSRecord, target: str, kind: int) -> None:
        """An ExternalName's addresses beside its CNAME, for clients that do not follow themselves."""
        inside = self._zone.answer(target.lower(), QTYPE.get(kind))
        if inside is not None:
            for record in inside.records:
                reply.add_answer(_resource(record))
            return
        question = DNSRecord.question(target, QTYPE.get(kind))
        data = await self._forward(question, question.pack(), (target.lower(), kind), 65535)
        for record in DNSRecord.parse(data).rr:
            reply.add_answer(record)

    async def _forward(self, request: DNSRecord, data: bytes, key: tuple[str, int], most: int) -> bytes:
        cached = self._cache.get(key)
        if cached is not None and cached[0] > self._clock.monotonic():
            return _fitting(data[:2] + cached[1][2:], request, most)
        for host, port in self._upstreams:
            try:
                answer = await asyncio.wait_for(_ask(host, port, data), FORWARD_SECONDS)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                log.info("upstream resolver does not answer", extra={"resolver": host, "error": str(error)})
                continue
            self._keep(key, answer)
            return _fitting(answer, request, most)
        reply = request.reply(ra=1)
        reply.header.rcode = RCODE.SERVFAIL
        return bytes(reply.pack())

    def _keep(self, key: tuple[str, int], answer: bytes) -> None:
        self._cache[key] = (self._clock.monotonic() + CACHE_SECONDS, answer)
        self._cache.move_to_end(key)
        while len(self._cache) > MOST_CACHED:
            self._cache.popitem(last=False)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own is none by name

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.datagram(data, addr, self._transport)


class _Once(asyncio.DatagramProtocol):
    """Waits for the datagram that answers the question with this id."""

    def __init__(self, answer: asyncio.Future[bytes], id: bytes) -> None:
        self._answer, self._id = answer, id

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data[:2] == self._id and not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


async def _ask(host: str, port: int, data: bytes) -> bytes:
    """One question to one resolver over UDP, over TCP when the answer was cut."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Once(answer, data[:2]), remote_addr=(host, port))
    try:
        transport.sendto(data)
        reply = await answer
    finally:
        transport.close()
    if len(reply) > 2 and reply[2] & 0x02:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(struct.pack("!H", len(data)) + data)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            reply = await reader.readexactly(length)
        finally:
            writer.close()
    return reply


def _fitting(answer: bytes, request: DNSRecord, most: int) -> bytes:
    if len(answer) <= most:
        return answer
    return _packed(DNSRecord.parse(answer), most)


def _packed(reply: DNSRecord, most: int) -> bytes:
    data = bytes(reply.pack())
    if len(data) <= most:
        return data
    return bytes(reply.truncate().pack())


def _soa(domain: str) -> SOA:
    return SOA(f"ns.dns.{domain}.", f"hostmaster.{domain}.", (1, 7200, 1800, 86400, TTL_SECONDS))


def _resource(record: Record) -> RR:
    value: Any = record.value
    makers = {
        "A": lambda: A(value), "AAAA": lambda: AAAA(value), "CNAME": lambda: CNAME(value + "."), "TXT": lambda: TXT(value),
        "PTR": lambda: PTR(value + "."), "NS": lambda: NS(value + "."), "SOA": lambda: _soa(record.name),
        "SRV": lambda: SRV(value[0], value[1], value[2], value[3] + "."),
    }
    return RR(record.name + ".", getattr(QTYPE, record.type), ttl=TTL_SECONDS, rdata=makers[record.type]())


