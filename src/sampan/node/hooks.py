"""Lifecycle hooks: postStart and preStop by exec, httpGet, tcpSocket or sleep.

Source: kubelet `pkg/kubelet/lifecycle/handlers.go`.
"""

from __future__ import annotations

import asyncio
import shlex

from sampan.aio.clock import AsyncClock
from sampan.api.core.v1 import Container, LifecycleHandler
from sampan.node.probes.check import http_get, port_number
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import RuntimeFault

HTTP_SECONDS = 60.0


class HookFailed(Exception):
    """The hook did not end well; the message is the event's."""


async def run(handler: LifecycleHandler, container: Container, container_id: str, pod_ip: str, runtime: Runtime,
              clock: AsyncClock, *, timeout_seconds: float = 0.0) -> None:
    """Run one hook to its end.

    Raises:
        HookFailed: A command failed, a request was refused.
        TimeoutError: It did not end within `timeout_seconds` (0: the runtime's own limit).
    """
    try:
        if handler.exec is not None:
            command = list(handler.exec.command)
            result = await runtime.exec_sync(container_id, command, timeout_seconds)
            if result.exit_code:
                output = (result.stdout + result.stderr)[:1024].decode(errors="replace")
                raise HookFailed(f"Exec lifecycle hook ([{shlex.join(command)}]) failed - error: command exited with "
                                 f"{result.exit_code}, message: {output!r}")
        elif (port := _network_port(handler, container)) is not None and (answers := runtime.answers(container_id, port)) is not None:
            if not answers:  # pods of this runtime have no network
                raise HookFailed(f"dial tcp {pod_ip}:{port}: connect: connection refused")
        elif handler.httpGet is not None:
            async with asyncio.timeout(HTTP_SECONDS):
                await http_get(handler.httpGet, container, pod_ip, "lifecycle")
        elif handler.tcpSocket is not None:
            port = port_number(handler.tcpSocket.port, container)
            async with asyncio.timeout(HTTP_SECONDS):
                _, writer = await asyncio.open_connection(handler.tcpSocket.host or pod_ip, port)
                writer.close()
        elif handler.sleep is not None:
            await clock.sleep(handler.sleep.seconds)
    except (OSError, RuntimeFault) as error:
        raise HookFailed(str(error)) from error


def _network_port(handler: LifecycleHandler, container: Container) -> int | None:
    action = handler.httpGet or handler.tcpSocket
    return port_number(action.port, container) if action is not None else None
