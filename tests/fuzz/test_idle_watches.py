"""Idle watches cost little, keep nothing when they go, and hinder nobody: 200 in `make test`, 10,000 in `make soak`."""

from __future__ import annotations

import asyncio
import statistics
from itertools import pairwise
from pathlib import Path

import pytest

from crash.process import Server
from fuzz.world import SOAK
from sampan.client.tls import tls_context
from sampan.cluster.connection import raise_file_limit
from sampan.testing import require

pytestmark = [pytest.mark.e2e, pytest.mark.soak]
WATCHES = 10_000 if SOAK else 200
ROUNDS = 5 if SOAK else 9
AT_ONCE = 50
MOST_KIB = 160
"""Of the server's memory for one watch over TLS."""
REQUEST = (b"GET /api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dnews HTTP/1.1\r\nHost: localhost\r\n\r\n")


def memory_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


async def watches(server: Server, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    access = server.client.access
    host, port = access.server.removeprefix("https://").split(":")
    tls = tls_context(access)
    turn = asyncio.Semaphore(AT_ONCE)

    async def one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with turn:
            reader, writer = await asyncio.open_connection(host, int(port), ssl=tls, limit=1 << 12, ssl_handshake_timeout=300)
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            return reader, writer

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def told(server: Server, number: int, lines: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    """Everybody hears the news."""
    path = "/api/v1/namespaces/default/configmaps"
    body = b'{"metadata":{"name":"news"},"data":{"number":"%d"}}' % number
    assert (await server.client.raw("POST", path, body=body)).code == 201
    for reader, _ in lines:
        while b'"ADDED"' not in (line := await reader.readuntil(b"\n")):
            assert b"ERROR" not in line
    assert (await server.client.raw("DELETE", f"{path}/news")).code == 200


def test_idle_watches_are_cheap_and_leave_nothing_behind(tmp_path: Path) -> None:
    limit = raise_file_limit()
    if limit and limit < WATCHES + 100:
        require.missing(f"{WATCHES + 100} open files", f"this process may have {limit} (ulimit -n)")

    async def test() -> None:
        server = Server(tmp_path, "--store", "memory")
        await server.start()
        try:
            used = [memory_kib(server.pid)]
            for number in range(ROUNDS):
                lines = await watches(server, WATCHES)
                used.append(memory_kib(server.pid))
                # others are served meanwhile, and everybody is told what they watch
                assert (await server.client.raw("GET", "/version")).code == 200
                await told(server, number, lines)
                for _, writer in lines:
                    writer.transport.abort()
            each = (used[1] - used[0]) / WATCHES
            print(f"{WATCHES} watches: {each:.0f} KiB each; memory in MiB: {[one // 1024 for one in used]}")  # noqa: T201
            assert each < MOST_KIB + 20_000 / WATCHES
            # and later ones take room that the first had. One round may add a little (an allocator's new arena): what the middle one
            # of the later rounds adds is what each leaves behind
            left = statistics.median(after - before for before, after in pairwise(used[2:]))
            assert left < 0.1 * (used[1] - used[0]), used
        finally:
            await server.kill()

    asyncio.run(asyncio.wait_for(test(), 900))
