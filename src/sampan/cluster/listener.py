"""uvicorn as we use it: TLS with optional client certificates that reach the application, our own signals.

Owns the server and binding; its connections are `sampan.cluster.connection`'s. The ASGI scope gets
`sampan.peer_certificate`: the DER of a certificate that the handshake has verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn

from sampan.cluster.connection import Limits, PeerHttp, raise_file_limit
from sampan.lib import memory
from sampan.lib.errors import ConfigError
from sampan.lib.memory import Ebb

GONE_CONNECTIONS = 100
"""So many connections have ended when their memory (some 50 KB each) is given back to the system."""

BUSY_TICKS, BUSY_REQUESTS = 100, 5000
"""After so many requests there may be free memory between what is kept: looked at every ten seconds."""


def web_socket(**settings: Any) -> Any:
    """Make the protocol of a WebSocket; imported with the first one."""
    from sampan.cluster.websocket import PeerWebSocket

    return PeerWebSocket(**settings)


class Server(uvicorn.Server):
    """A uvicorn server whose signals are the caller's, and that ends long answers before it waits for them."""

    def __init__(self, config: uvicorn.Config, before_shutdown: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin to stop; the second time, without waiting for open answers."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Tick once a second (uvicorn: ten times), so that an idle server sleeps."""
        ticks, connections, answered = 0, Ebb(GONE_CONNECTIONS), 0
        while not await self.on_tick(ticks):
            ticks += 10
            busy = ticks % BUSY_TICKS == 0 and self.server_state.total_requests - answered > BUSY_REQUESTS
            if connections.fell(len(self.server_state.connections)) or busy:
                answered = self.server_state.total_requests
                memory.give_back()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._before_shutdown()
        await super().shutdown(sockets)


def bind(address: str, port: int) -> socket.socket:
    """A listening socket's address taken now, so that a port in use is told before anything else is done.

    Raises:
        ConfigError: It is taken, or may not be taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((address, port))
        taken.listen(1024)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} of {address} is in use", hint="stop what listens there, or choose another with --port") from None
        raise ConfigError(f"can't listen on {address} port {port}: {error.strerror}") from None
    taken.setblocking(False)
    return taken


def configure(app: Any, *, certificate: str, key: str, client_ca: str, limits: Limits | None = None) -> uvicorn.Config:
    """How uvicorn runs the application; without `limits`, as many connections as the process may have files."""
    limits = limits or Limits(connections=raise_file_limit())
    config = uvicorn.Config(
        app, http=cast("Any", partial(PeerHttp, limits=limits)), ws=cast("Any", web_socket), lifespan="off", access_log=False, server_header=False, proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=5, ws_max_size=16 * 1024 * 1024, ws_per_message_deflate=False, backlog=1024,
        ssl_certfile=certificate, ssl_keyfile=key, ssl_ca_certs=client_ca, ssl_cert_reqs=ssl.CERT_OPTIONAL)
    config.load()
    assert config.ssl is not None
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


def renew(context: ssl.SSLContext, *, certificate: str, key: str, client_ca: str) -> None:
    """Use these files for every handshake from now on; connections that are open stay as they are.

    Authorities can only be added to a context: one that has ended is there still, and lets nobody in.
    """
    # no await below: a handshake between the two would have the key of another certificate
    context.load_verify_locations(client_ca)
    context.load_cert_chain(certificate, key)


async def serve_until_signalled(server: Server, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends waiting for open answers."""
    loop = asyncio.get_running_loop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    try:
        await server.serve(sockets=[listening])
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
