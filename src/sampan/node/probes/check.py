"""One probe, once: HTTP, TCP, gRPC health or a command in the container.

Source: kubelet `pkg/probe/{http,tcp,grpc,exec}`. A check never raises for what the workload does; it answers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from sampan.api.core.v1 import Container, HTTPGetAction, Pod, Probe

BODY_BYTES = 10 * 1024
# (command, timeout in seconds) → (exit code, output); raises TimeoutError
ExecSync = Callable[[list[str], float], Awaitable[tuple[int, bytes]]]


class Outcome(NamedTuple):
    """Whether the workload answered well, and in which words it did not."""

    success: bool
    message: str = ""


def port_number(port: int | str, container: Container) -> int | None:
    """A port by number, by text or by the name of a container port; None where there is no such name."""
    if isinstance(port, int):
        return port
    if port.isdigit():
        return int(port)
    return next((p.containerPort for p in container.ports if p.name == port), None)


def network_port(probe: Probe, container: Container) -> int | None:
    """The port that a probe over the network asks; None for a command, or where there is no such port."""
    if probe.grpc is not None:
        return probe.grpc.port
    action = probe.httpGet or probe.tcpSocket
    return port_number(action.port, container) if action is not None else None


async def check(probe: Probe, pod: Pod, container: Container, pod_ip: str, exec_sync: ExecSync) -> Outcome:
    """Ask once, within `timeoutSeconds`."""
    timeout = float(probe.timeoutSeconds or 1)
    try:
        if probe.exec is not None:
            code, output = await exec_sync(list(probe.exec.command), timeout)
            text = output[:BODY_BYTES].decode(errors="replace")
            return Outcome(code == 0, text)
        async with asyncio.timeout(timeout):
            if probe.httpGet is not None:
                return await _http(probe.httpGet, container, pod_ip)
            if probe.tcpSocket is not None:
                return await _tcp(probe.tcpSocket.host or pod_ip, port_number(probe.tcpSocket.port, container))
            if probe.grpc is not None:
                return await _grpc(pod_ip, probe.grpc.port, probe.grpc.service or "", timeout)
    except TimeoutError:
        what = f"command timed out: {' '.join(probe.exec.command)!r}" if probe.exec is not None else "context deadline exceeded"
        return Outcome(False, f"{what} (timeout {timeout:g}s)")
    except OSError as error:
        return Outcome(False, str(error))
    return Outcome(False, "the probe names no action")


async def _tcp(host: str, port: int | None) -> Outcome:
    if port is None:
        return Outcome(False, "the probe names a port that the container does not have")
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: {error.strerror or error}")
    writer.close()
    return Outcome(True)


async def http_get(action: HTTPGetAction, container: Container, pod_ip: str) -> tuple[int, str]:
    """(status, beginning of the body) of one request; redirects are not followed.

    Raises:
        OSError: No connection, or no HTTP on it.
    """
    port = port_number(action.port, container)
    if port is None:
        raise OSError(f"the container has no port named {action.port!r}")
    host = action.host or pod_ip
    secure = (action.scheme or "HTTP").upper() == "HTTPS"
    context = None
    if secure:
        # as upstream: a probe does not verify the workload's certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(_request(action, host, port))
        await writer.drain()
        return await _response(reader, host, port)
    finally:
        writer.close()


def _request(action: HTTPGetAction, host: str, port: int) -> bytes:
    parts = urlsplit("//x" + (action.path if action.path.startswith("/") else f"/{action.path}"))
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    headers = {"host": f"{host}:{port}", "user-agent": "kube-probe/1.36", "accept": "*/*"}
    for header in action.httpHeaders:
        headers[header.name.lower()] = header.value
    lines = [f"GET {target or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def _response(reader: asyncio.StreamReader, host: str, port: int) -> tuple[int, str]:
    try:
        first = await reader.readline()
        code = int(first.split(b" ", 2)[1])
        while (await reader.readline()).strip():
            pass
    except (ValueError, IndexError) as error:
        raise OSError(f"{host}:{port} does not answer in HTTP") from error
    body = await reader.read(BODY_BYTES)
    return code, body.decode(errors="replace")


async def _http(action: HTTPGetAction, container: Container, pod_ip: str) -> Outcome:
    try:
        code, body = await http_get(action, container, pod_ip)
    except OSError as error:
        scheme = (action.scheme or "HTTP").lower()
        return Outcome(False, f'Get "{scheme}://{action.host or pod_ip}:{action.port}{action.path}": {error.strerror or error}')
    if 200 <= code < 400:
        return Outcome(True, body)
    return Outcome(False, f"HTTP probe failed with statuscode: {code}")


async def _grpc(host: str, port: int, service: str, timeout: float) -> Outcome:
    import grpc.aio  # heavy, and few pods use it

    # grpc.health.v1: HealthCheckRequest{service=1 string}, HealthCheckResponse{status=1 enum, SERVING=1}
    name = service.encode()
    length = bytes([len(name)]) if len(name) < 128 else bytes([len(name) & 0x7F | 0x80, len(name) >> 7])  # a varint
    request = b"\x0a" + length + name if name else b""
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
        try:
            answer = await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return Outcome(False, f'error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {error.details()}')
            return Outcome(False, f'timeout: failed to connect service "{host}:{port}" within {timeout:g}s: {error.details()}')
    status = answer[1] if len(answer) >= 2 and answer[0] == 0x08 else 0
    if status == 1:
        return Outcome(True)
    return Outcome(False, f"service unhealthy (responded with {['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'][min(status, 3)]!r})")
