"""One probe, once: HTTP, TCP, gRPC health or a command in the container.

Source: kubelet `pkg/probe/{http,tcp,grpc,exec}`. A check never raises for what the workload does; it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sampan.api.core.v1 import Container, HTTPGetAction, Pod, Probe
from sampan.node.probes import http

VERSION = "1.36"
# (command, timeout in seconds) → (exit code, output); raises TimeoutError
ExecSync = Callable[[list[str], float], Awaitable[tuple[int, bytes]]]


class Outcome(NamedTuple):
    """Whether the workload answered well, and in which words it did not."""

    success: bool
    message: str = ""
    warning: bool = False  # a success to be told of


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
            text = output[:http.BODY_BYTES].decode(errors="replace")
            return Outcome(code == 0, text)
        async with asyncio.timeout(timeout):
            if probe.httpGet is not None:
                return await _http(probe.httpGet, container, pod_ip)
            if probe.tcpSocket is not None:
                return await _tcp(probe.tcpSocket.host or pod_ip, port_number(probe.tcpSocket.port, container))
            if probe.grpc is not None:
                return await _grpc(pod_ip, probe.grpc.port, probe.grpc.service or "", timeout)
    except TimeoutError:
        return Outcome(False, _too_late(probe, container, pod_ip, timeout))
    except OSError as error:
        return Outcome(False, str(error))
    return Outcome(False, "the probe names no action")


def _too_late(probe: Probe, container: Container, pod_ip: str, timeout: float) -> str:
    """What is said of a check that did not end in time."""
    if probe.exec is not None:
        return f"command timed out: {' '.join(probe.exec.command)!r} (timeout {timeout:g}s)"
    port = network_port(probe, container) or 0
    if probe.httpGet is not None:
        at = http.target(probe.httpGet.scheme or "http", probe.httpGet.host or pod_ip, port, probe.httpGet.path)
        return f'Get "{at.url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    host = probe.tcpSocket.host if probe.tcpSocket is not None else ""
    return f"dial tcp {host or pod_ip}:{port}: i/o timeout"


async def _tcp(host: str, port: int | None) -> Outcome:
    if port is None:
        return Outcome(False, "the probe names a port that the container does not have")
    _, writer = await http.connect(host, port)
    writer.close()
    return Outcome(True)


async def http_get(action: HTTPGetAction, container: Container, pod_ip: str, purpose: str = "probe") -> http.Answer:
    """One request with what it redirects to on the same host; `purpose` is in the agent's name.

    Raises:
        OSError: No connection, or no HTTP on it; the message is for an event.
    """
    port = port_number(action.port, container)
    if port is None:
        raise OSError(f"the container has no port named {action.port!r}")
    at = http.target(action.scheme or "http", action.host or pod_ip, port, action.path)
    return await http.get(at, action.httpHeaders, f"kube-{purpose}/{VERSION}")


async def _http(action: HTTPGetAction, container: Container, pod_ip: str) -> Outcome:
    answer = await http_get(action, container, pod_ip)
    body = answer.body.decode(errors="replace")
    if 200 <= answer.code < 300:
        return Outcome(True, body)
    if 300 <= answer.code < 400:
        return Outcome(True, f"Probe terminated redirects, Response body: {body}", warning=True)
    return Outcome(False, f"HTTP probe failed with statuscode: {answer.code}")


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
