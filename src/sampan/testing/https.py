"""An API server over TLS on loopback, for tests of what needs a network: clients, WebSockets, certificates."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.apiserver.server import Settings
from sampan.client.kubeconfig import Access
from sampan.cluster import listener
from sampan.cluster.connection import Limits
from sampan.lib import pki
from sampan.testing.server import LEAN, RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS


@cache
def _keys() -> tuple[pki.Pair, pki.Pair, pki.Pair]:
    """CA, server, client: made once a process."""
    now = SystemClock().now()
    ca = pki.new_ca("kubernetes", now=now)
    server = pki.issue(ca, pki.server_names(), ("digital signature", "server auth"), now=now)
    client = pki.issue(ca, pki.Names("kubernetes-admin", ("system:masters",)), ("digital signature", "client auth"), now=now)
    return ca, server, client


@asynccontextmanager
async def served(*, settings: Settings = LEAN, limits: Limits | None = None) -> AsyncIterator[tuple[RunningServer, Access]]:
    """A running server and how to reach it as its administrator."""
    ca, server_pair, client = _keys()
    with tempfile.TemporaryDirectory(prefix="sampan-test-") as name:
        folder = Path(name)
        (folder / "ca.crt").write_bytes(ca.certificate)
        (folder / "tls.crt").write_bytes(server_pair.certificate)
        (folder / "tls.key").write_bytes(server_pair.key)
        async with running_server(settings=settings) as running, Tasks() as tasks:
            listening = listener.bind("127.0.0.1", 0)
            port = listening.getsockname()[1]
            server = listener.Server(
                listener.configure(running.app, certificate=str(folder / "tls.crt"), key=str(folder / "tls.key"),
                                   client_ca=str(folder / "ca.crt"), limits=limits), running.server.stop)
            task = tasks.start(server.serve(sockets=[listening]), "https server")
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag only
                    await asyncio.sleep(0.005)
            try:
                yield running, Access(f"https://127.0.0.1:{port}", ca.certificate, client_certificate=client.certificate,
                                      client_key=client.key)
            finally:
                server.stop()
                await task


@asynccontextmanager
async def serving(*, settings: Settings = LEAN) -> AsyncIterator[Access]:
    """The same, for who needs no more than the address."""
    async with served(settings=settings) as (_, access):
        yield access


def identified(access: Access, user: str, *groups: str) -> Access:
    """The same server as another user, by a client certificate from the cluster's authority."""
    pair = pki.issue(_keys()[0], pki.Names(user, groups), ("digital signature", "client auth"), now=SystemClock().now())
    return replace(access, client_certificate=pair.certificate, client_key=pair.key)
