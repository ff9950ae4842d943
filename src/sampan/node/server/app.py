"""The agent's HTTPS server: routes as the kubelet has them, so that an API server finds what it expects.

Source: kubelet `pkg/kubelet/server/server.go`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aiohttp import web

from sampan.aio.clock import AsyncClock
from sampan.api import codec
from sampan.api.core.v1 import ContainerStatus, Pod
from sampan.api.errors import ApiError, BadRequest, NotFound
from sampan.lib.errors import ConfigError
from sampan.node.agent import NodeAgent
from sampan.node.runtimes import errors as runtime_errors
from sampan.node.runtimes.base import Runtime, StreamSession
from sampan.node.runtimes.errors import RuntimeFault
from sampan.node.runtimes.status import Container, State
from sampan.node.server import channels, portforward, streams
from sampan.node.server.auth import Gate
from sampan.node.server.logs import LogOptions, read
from sampan.node.server.stats import summary
from sampan.node.specs import CONTAINER_NAME, POD_UID, log_folder

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN_PATHS = ("/healthz",)


@dataclass(frozen=True)
class Served:
    """A node, what runs its containers, and who may ask it."""

    agent: NodeAgent
    runtime: Runtime
    gate: Gate


class NodeServer:
    """Serves one agent, or many behind one port, each at an address of its own."""

    def __init__(self, node: Callable[[str], Served | None], *, clock: AsyncClock) -> None:
        """`node` finds the one at the address that was asked."""
        self._node, self._clock = node, clock

    def _served(self, request: web.Request) -> Served:
        transport = request.transport
        name = transport.get_extra_info("sockname") if transport is not None else None
        served = self._node(name[0] if name else "")
        if served is None:
            raise NotFound("there is no node at this address")
        return served

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._guard], client_max_size=1 << 20)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/pods", self._pods)
        app.router.add_get("/stats/summary", self._stats)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        for method in ("GET", "POST"):
            app.router.add_route(method, "/exec/{namespace}/{pod}/{container}", self._exec)
            app.router.add_route(method, "/attach/{namespace}/{pod}/{container}", self._attach)
            app.router.add_route(method, "/portForward/{namespace}/{pod}", self._port_forward)
        return app

    async def run(self, host: str, port: int, context: ssl.SSLContext, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled.

        Raises:
            ConfigError: The port is taken.
        """
        runner = web.AppRunner(self.app(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=context).start()
            if ready is not None:
                ready.set()
            await asyncio.Event().wait()
        except OSError as error:
            raise ConfigError(f"the node agent cannot listen on {host}:{port}: {error.strerror or error}",
                              hint="another agent has the port: stop it or choose another with --node-port") from error
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in OPEN_PATHS:
                transport = request.transport
                certificate = transport.get_extra_info("peercert") if transport is not None else None
                gate = self._served(request).gate
                caller = await gate.identify(certificate, request.headers.get("Authorization", ""))
                await gate.check(caller, request.method, request.path)
            return await handler(request)
        except ApiError as error:
            return web.Response(status=error.code, body=codec.encode(error.status()), content_type="application/json")
        except RuntimeFault as error:
            code = 404 if isinstance(error, runtime_errors.NotFound) else 500
            return web.Response(status=code, text=error.message)

    async def _healthz(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def _pods(self, request: web.Request) -> web.StreamResponse:
        items = b",".join(codec.encode(pod) for pod in self._served(request).agent.pods())
        return web.Response(body=b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[' + items + b"]}",
                            content_type="application/json")

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        served = self._served(request)
        body = await summary(served.agent, served.runtime)
        return web.Response(body=codec.encode(body), content_type="application/json")

    # finding things

    def _pod(self, request: web.Request) -> Pod:
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        pod = self._served(request).agent.pod(namespace, name)
        if pod is None:
            raise NotFound(f'pod "{name}" does not exist')
        return pod

    async def _containers(self, runtime: Runtime, pod: Pod, name: str) -> list[Container]:
        """The container's attempts, the newest first."""
        labels = {POD_UID: pod.metadata.uid, CONTAINER_NAME: name}
        found = await runtime.list_containers(labels=labels)
        return sorted(found, key=lambda c: (c.attempt, c.created_at), reverse=True)

    async def _running(self, runtime: Runtime, pod: Pod, name: str) -> str:
        for container in await self._containers(runtime, pod, name):
            if container.state is State.RUNNING:
                return container.id
        raise NotFound(f'container not found ("{name}")')

    # logs

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        pod, name, served = self._pod(request), request.match_info["container"], self._served(request)
        runtime = served.runtime
        options, previous = log_options(request.query, self._clock.now())
        attempts = await self._containers(runtime, pod, name)
        wanted = attempts[1:2] if previous else attempts[:1]
        if not wanted:
            raise BadRequest(why_no_log(pod, name, previous=previous))
        container = wanted[0]
        path = str(served.agent.settings.log_root / log_folder(pod) / name / f"{container.attempt}.log")
        running = not previous and container.state is State.RUNNING
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await runtime.log_end(path)  # a 404 while the answer can still say so
        await response.prepare(request)
        if options.follow and not running:
            options = replace(options, follow=False)
        try:
            async for piece in read(runtime, path, options, lambda: _runs(runtime, container.id), self._clock):
                await response.write(piece)
        except (ConnectionError, runtime_errors.NotFound):
            return response  # the client has gone, or the log has
        await response.write_eof()
        return response

    # streams

    async def _socket(self, request: web.Request, protocols: tuple[str, ...]) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=protocols, max_msg_size=streams.MOST_MESSAGE_BYTES, heartbeat=30.0)
        await socket.prepare(request)
        return socket

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        needs_websocket(request.headers)
        pod, runtime = self._pod(request), self._served(request).runtime
        container_id = await self._running(runtime, pod, request.match_info["container"])
        stdin, stdout, stderr, tty = stream_flags(request.query)
        command = request.query.getall("command", [])
        if not command:
            raise BadRequest("you must specify at least 1 command")
        session = await runtime.exec(container_id, command, stdin=stdin, stdout=stdout, stderr=stderr and not tty, tty=tty)
        return await self._remote_command(request, session)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        needs_websocket(request.headers)
        pod, runtime = self._pod(request), self._served(request).runtime
        container_id = await self._running(runtime, pod, request.match_info["container"])
        stdin, stdout, stderr, tty = stream_flags(request.query)
        session = await runtime.attach(container_id, stdin=stdin, stdout=stdout, stderr=stderr and not tty, tty=tty)
        return await self._remote_command(request, session)

    async def _remote_command(self, request: web.Request, session: StreamSession) -> web.StreamResponse:
        try:
            socket = await self._socket(request, channels.PROTOCOLS)
            await streams.remote_command(socket, socket.ws_protocol or "channel.k8s.io", session)
        finally:
            await session.close()
        return socket

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        needs_websocket(request.headers)
        ports = ports_of([port for key in ("port", "ports") for port in request.query.getall(key, [])])
        pod, runtime = self._pod(request), self._served(request).runtime
        sandboxes = await runtime.list_sandboxes({POD_UID: pod.metadata.uid})
        ready = next((sandbox for sandbox in sandboxes if sandbox.ready), None)
        if ready is None:
            raise NotFound(f'pod not found ("{pod.metadata.name}_{pod.metadata.namespace}")')
        session = await runtime.port_forward(ready.id)
        socket = await self._socket(request, (portforward.TUNNEL, "v4.channel.k8s.io"))
        if socket.ws_protocol == portforward.TUNNEL:
            await portforward.tunnel(socket, session)
        else:
            await streams.port_forward_v4(socket, session, ports)
        return socket


def needs_websocket(headers: Mapping[str, str]) -> None:
    """Refuse what is no WebSocket before anything is started for it.

    Raises:
        BadRequest: It is none.
    """
    if headers.get("Upgrade", "").lower() != "websocket":
        raise BadRequest("you must specify at least 1 of the WebSocket protocols: SPDY upgrades are not served, use a client "
                         "that speaks WebSocket (kubectl 1.31 or newer)")


def ports_of(given: Sequence[str]) -> list[int]:
    """The ports of a query, which may have several with a comma between.

    Raises:
        BadRequest: One is none, or there are more than channels for them.
    """
    texts = [text for one in given for text in one.split(",")]
    for text in texts:
        if not (text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 1 << 16):
            raise BadRequest(f'unable to parse "{text[:20]}" as a port: it is a number from 1 to 65535')
    if len(texts) > streams.MOST_PORTS:
        raise BadRequest(f"too many ports: one connection forwards {streams.MOST_PORTS} at most")
    return [int(text) for text in texts]


async def _runs(runtime: Runtime, container_id: str) -> bool:
    try:
        return (await runtime.container_status(container_id)).container.state is State.RUNNING
    except runtime_errors.NotFound:
        return False


def _flag(query: Mapping[str, str], *names: str) -> bool:
    return any(query.get(name, "").lower() in ("1", "true") for name in names)


def stream_flags(query: Mapping[str, str]) -> tuple[bool, bool, bool, bool]:
    """(stdin, stdout, stderr, tty) from either spelling, the kubelet's or the API's."""
    return (_flag(query, "input", "stdin"), _flag(query, "output", "stdout"), _flag(query, "error", "stderr"), _flag(query, "tty"))


def log_options(query: Mapping[str, str], now: datetime) -> tuple[LogOptions, bool]:
    """The options and whether the previous attempt's log is wanted.

    Raises:
        BadRequest: A number or time is not one.
    """
    def given(name: str) -> str:
        return query.get(name, "")

    try:
        since = datetime.fromisoformat(given("sinceTime")) if given("sinceTime") else None
        if since is not None and since.tzinfo is None:
            raise ValueError("sinceTime has no time zone")
        if given("sinceSeconds"):
            since = now - timedelta(seconds=int(given("sinceSeconds")))
        options = LogOptions(
            follow=_flag(query, "follow"), timestamps=_flag(query, "timestamps"), since=since,
            tail_lines=int(given("tailLines")) if given("tailLines") else None,
            limit_bytes=int(given("limitBytes")) if given("limitBytes") else None,
            stream=given("stream") or "All")
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"unable to decode the request's query: {error}") from error
    return options, _flag(query, "previous")


def why_no_log(pod: Pod, name: str, *, previous: bool) -> str:
    """Upstream's words for a container that has no log (yet)."""
    meta = pod.metadata
    if previous:
        return f'previous terminated container "{name}" in pod "{meta.name}" not found'
    statuses: list[ContainerStatus] = [*pod.status.containerStatuses, *pod.status.initContainerStatuses, *pod.status.ephemeralContainerStatuses]
    status = next((s for s in statuses if s.name == name), None)
    reason = status.state.waiting.reason if status is not None and status.state.waiting is not None else "ContainerCreating"
    tail = {"ContainerCreating": "ContainerCreating", "PodInitializing": "PodInitializing"}.get(reason)
    if tail is not None:
        return f'container "{name}" in pod "{meta.name}" is waiting to start: {tail}'
    words = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}.get(reason, reason)
    return f'container "{name}" in pod "{meta.name}" is waiting to start: {words}'
