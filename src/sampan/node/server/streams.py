"""Exec, attach and port-forward: a client's WebSocket on one side, the runtime's session on the other.

Owns the pumps; each ends with its connection and takes the other side down with it. Leaves framing to `channels`.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Sequence

from aiohttp import WSMsgType, web

from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.node.runtimes.base import ByteStream, Channel, PortForwardSession, StreamSession
from sampan.node.runtimes.errors import RuntimeFault
from sampan.node.server import channels

log = logging.getLogger(__name__)

MOST_MESSAGE_BYTES = 4 * 1024 * 1024
MOST_PORTS = 127  # two channels each, and a channel is a byte


async def remote_command(socket: web.WebSocketResponse, protocol: str, session: StreamSession) -> None:
    """Pump one exec or attach until the command has ended and its last output was sent, or the client went away."""
    async with Tasks() as tasks:
        writing = tasks.start(_to_client(socket, protocol, session), "stream out", keep_going=True)
        reading = tasks.start(_from_client(socket, protocol, session), "stream in", keep_going=True)
        try:
            await asyncio.wait([writing, reading], return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and not writing.done() and not socket.closed:
                await asyncio.wait([writing])
        finally:
            await session.close()


async def _to_client(socket: web.WebSocketResponse, protocol: str, session: StreamSession) -> None:
    while (frame := await session.receive()) is not None:
        data = frame.data
        if frame.channel is Channel.ERROR and channels.legacy_error(protocol):
            status = codec.loads(data) if data else {}
            if status.get("status") == "Success":
                continue
            data = str(status.get("message", "")).encode()
        await _send(socket, channels.encode(protocol, frame.channel.value, data))
    await socket.close()


async def _send(socket: web.WebSocketResponse, message: bytes | str) -> None:
    if isinstance(message, str):
        await socket.send_str(message)
    else:
        await socket.send_bytes(message)


async def _from_client(socket: web.WebSocketResponse, protocol: str, session: StreamSession) -> None:
    async for raw in socket:
        if raw.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
            break
        message = channels.decode(protocol, raw.data)
        if message is None:
            continue
        if message.kind == "close":
            if message.channel == channels.STDIN:
                await session.close_stdin()
        elif message.channel == channels.STDIN:
            await session.send(message.data)
        elif message.channel == channels.RESIZE and (size := channels.size(message.data)) is not None:
            await session.resize(*size)
    if socket.closed or socket.close_code is not None:
        await session.close()


async def port_forward_v4(socket: web.WebSocketResponse, session: PortForwardSession, ports: Sequence[int]) -> None:
    """`v4.channel.k8s.io`: two channels a port (data, error), each beginning with the port in two bytes, little-endian."""
    connections: list[ByteStream] = []
    async with Tasks() as tasks:
        try:
            for index, port in enumerate(ports):
                for channel in (2 * index, 2 * index + 1):
                    await socket.send_bytes(bytes([channel]) + struct.pack("<H", port))
                try:
                    connection = await session.open(port)
                except RuntimeFault as fault:
                    await socket.send_bytes(bytes([2 * index + 1]) + fault.message.encode())
                    return
                connections.append(connection)
                tasks.start(_forward_out(socket, connection, 2 * index), f"port {port}", keep_going=True)
            async for raw in socket:
                if raw.type is not WSMsgType.BINARY:
                    break
                if raw.data and raw.data[0] % 2 == 0 and raw.data[0] // 2 < len(connections):
                    await connections[raw.data[0] // 2].write(raw.data[1:])
        finally:
            await session.close()
            await socket.close()


async def _forward_out(socket: web.WebSocketResponse, connection: ByteStream, channel: int) -> None:
    while data := await connection.read():
        await socket.send_bytes(bytes([channel]) + data)
    if problem := await connection.error():
        await socket.send_bytes(bytes([channel + 1]) + problem.encode())
    await socket.close()
