"""The server's side of WebSockets, with the client's certificate in the scope."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from sampan.cluster.connection import KEY, certificate_of


class PeerWebSocket(WSProtocol):
    """As `connection.PeerHttp`, for WebSockets."""

    def connection_made(self, transport: Any) -> None:
        self._peer = certificate_of(transport)
        super().connection_made(transport)

    async def run_asgi(self) -> None:
        self.scope[KEY] = self._peer  # type: ignore[literal-required]
        await super().run_asgi()
