"""The runtime protocol in memory: what tests, simulated nodes and machines without containers run.

Owns: states, events, logs and counters of containers that are records, not processes. Leaves: what they do (`programs`).

A container that runs for ever is a few dicts: no task, no log, no timer, so thousands of nodes fit into one process. One
that ends, prints or listens has one task. Time is the clock's, so it may be virtual. The object outlives the agent that
uses it, as a real runtime would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.lib.clock import Identity
from sampan.node.runtimes.base import PortForwardSession, StreamSession
from sampan.node.runtimes.errors import (
    BadExec,
    CreateContainerError,
    NameTaken,
    NotFound,
    RunContainerError,
    Timeout,
)
from sampan.node.runtimes.programs import OutOfMemory, Process, Program, built_in, run_built_in
from sampan.node.runtimes.simulated_addresses import PodAddresses
from sampan.node.runtimes.simulated_images import ImageStore, SimulatedImages
from sampan.node.runtimes.simulated_streams import RELIST, EventQueue, MemoryForward, MemorySession, pipe_for
from sampan.node.runtimes.spec import ContainerSpec, Namespace, PodSandboxSpec, Resources
from sampan.node.runtimes.status import (
    Container,
    ContainerStats,
    ContainerStatus,
    EventKind,
    ExecResult,
    LogPosition,
    RuntimeEvent,
    RuntimeStatus,
    RuntimeVersion,
    Sandbox,
    SandboxStats,
    SandboxStatus,
    State,
)
from sampan.node.specs import POD_UID

LOG_BYTES = 1 << 20
MOST_OUTPUT = 16 << 20
KILLED, TERMINATED = 137, 143
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Log:
    generation: int = 0
    data: bytearray = field(default_factory=bytearray)


@dataclass
class _Container:
    id: str
    sandbox: _Sandbox
    spec: ContainerSpec
    created_at: datetime
    program: Program
    state: State = State.CREATED
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    resources: Resources | None = None
    process: Process | None = None
    task: asyncio.Task[Any] | None = None
    ended: asyncio.Event | None = None
    watchers: list[MemorySession] = field(default_factory=list)


@dataclass
class _Sandbox:
    id: str
    spec: PodSandboxSpec
    created_at: datetime
    ready: bool = True
    ip: str = ""
    containers: list[_Container] = field(default_factory=list)


class SimulatedRuntime(ImageStore):
    """A `Runtime` in memory. `faults[method]` holds errors that its next calls raise, one each."""

    def __init__(self, clock: AsyncClock, identity: Identity, images: SimulatedImages | None = None,
                 pod_cidr: str = "10.244.0.0/24", addresses: PodAddresses | None = None) -> None:
        """`addresses`: shared with other runtimes, instead of a range of its own."""
        super().__init__(clock, images or SimulatedImages())
        self._identity = identity
        self._sandboxes: dict[str, _Sandbox] = {}
        self._of_pods: dict[str, list[_Sandbox]] = {}
        self._containers: dict[str, _Container] = {}
        self._logs: dict[str, _Log] = {}
        self._names: set[tuple[str, str, int]] = set()
        self._addresses = addresses or PodAddresses(pod_cidr)
        self._subscribers: list[EventQueue] = []
        self._tasks = Tasks()

    async def version(self) -> RuntimeVersion:
        self._fault("version")
        return RuntimeVersion("simulated", "1.0.0")

    async def status(self) -> RuntimeStatus:
        self._fault("status")
        return RuntimeStatus(runtime_ready=True, network_ready=True)

    async def update_pod_cidr(self, pod_cidr: str) -> None:
        self._addresses.move(pod_cidr)

    # sandboxes

    async def run_sandbox(self, spec: PodSandboxSpec) -> str:
        self._fault("run_sandbox")
        self._reserve(spec.uid, "", spec.attempt)
        made = _Sandbox(self._id(), spec, self._clock.now())
        if spec.security.network is not Namespace.NODE:
            made.ip = self._addresses.take()
        self._sandboxes[made.id] = made
        self._of_pods.setdefault(spec.uid, []).append(made)
        self._tell(EventKind.STARTED, made.id, made.id)
        return made.id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        self._fault("stop_sandbox")
        found = self._sandboxes.get(sandbox_id)
        if found is None:
            return
        for container in found.containers:
            await self._kill(container)
        if found.ready:
            found.ready = False
            self._addresses.give_back(found.ip)
            self._tell(EventKind.STOPPED, found.id, found.id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        found = self._sandboxes.pop(sandbox_id, None)
        if found is None:
            return
        for container in list(found.containers):
            await self.remove_container(container.id)
            self._logs.pop(self._log_path(container), None)
        of_pod = self._of_pods[found.spec.uid]
        of_pod.remove(found)
        if not of_pod:
            del self._of_pods[found.spec.uid]
        self._names.discard((found.spec.uid, "", found.spec.attempt))
        self._tell(EventKind.DELETED, found.id, found.id)

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus:
        found = self._sandbox(sandbox_id)
        return SandboxStatus(_seen_sandbox(found), (found.ip,) if found.ip else ())

    async def list_sandboxes(self, labels: Mapping[str, str] | None = None) -> Sequence[Sandbox]:
        self._fault("list_sandboxes")
        return [_seen_sandbox(item) for item in self._among(labels) if _carries(item.spec.labels, labels)]

    async def update_sandbox_resources(self, sandbox_id: str, resources: Resources) -> None:
        self._sandbox(sandbox_id)

    # containers

    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: PodSandboxSpec) -> str:
        self._fault("create_container")
        owner = self._sandbox(sandbox_id)
        if not owner.ready:
            raise CreateContainerError(f"sandbox {sandbox_id} is not running")
        image = await self.image_status(spec.image)
        if image is None:
            raise CreateContainerError(f'failed to resolve image "{spec.image}": not found')
        program = self.images.find(spec.image_name or image.tags[0]) or self.images.default
        self._reserve(owner.spec.uid, spec.name, spec.attempt)
        made = _Container(self._id(), owner, spec, self._clock.now(), program)
        owner.containers.append(made)
        self._containers[made.id] = made
        self._tell(EventKind.CREATED, made.id, sandbox_id)
        return made.id

    async def start_container(self, container_id: str) -> None:
        self._fault("start_container")
        found = self._container(container_id)
        if found.state is not State.CREATED:
            raise RunContainerError(f"container {container_id} is in state {found.state.value}, not created")
        program, argv = found.program, (*found.spec.command, *found.spec.args)
        if program.start_error:
            found.message, found.started_at = program.start_error, EPOCH
            self._finish(found, 128, "StartError")
            raise RunContainerError(program.start_error)
        found.state, found.started_at = State.RUNNING, self._clock.now()
        main = program.main or (run_built_in if built_in(argv) and program.exit_after_seconds is None else None)
        if main is not None or program.output or program.exit_after_seconds is not None:
            found.process = self._process(found, argv, pipe_for(found.spec.stdin), self._emitter(found))
            found.task = self._tasks.start(self._live(found, main), f"container {found.spec.name}", keep_going=True)
        self._tell(EventKind.STARTED, container_id, found.sandbox.id)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        self._fault("stop_container")
        found = self._containers.get(container_id)
        if found is None or found.state is not State.RUNNING:
            return
        if found.program.handles_term and found.process is not None and grace_seconds > 0:
            found.process.terminated.set()
            found.ended = found.ended or asyncio.Event()
            await _first(found.ended.wait(), self._clock.sleep(grace_seconds))
            await self._kill(found)
        else:
            await self._kill(found, TERMINATED if grace_seconds > 0 else KILLED)

    async def remove_container(self, container_id: str) -> None:
        self._fault("remove_container")
        found = self._containers.get(container_id)
        if found is None:
            return
        await self._kill(found)
        self._containers.pop(container_id, None)
        found.sandbox.containers.remove(found)
        self._names.discard((found.sandbox.spec.uid, found.spec.name, found.spec.attempt))
        self._tell(EventKind.DELETED, container_id, found.sandbox.id)

    async def container_status(self, container_id: str) -> ContainerStatus:
        self._fault("container_status")
        found = self._container(container_id)
        return ContainerStatus(self._seen(found), found.exit_code, found.reason, found.message, found.started_at,
                               found.finished_at, self._log_path(found), found.resources)

    async def list_containers(self, sandbox_id: str = "",
                              labels: Mapping[str, str] | None = None) -> Sequence[Container]:
        self._fault("list_containers")
        owner = self._sandboxes.get(sandbox_id)
        owners = self._among(labels) if not sandbox_id else [owner] if owner is not None else []
        return [self._seen(item) for one in owners for item in one.containers if _carries(item.spec.labels, labels)]

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        self._fault("update_container_resources")
        self._container(container_id).resources = resources

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        queue = EventQueue()
        self._subscribers.append(queue)
        try:
            yield RELIST
            while True:
                yield await queue.get()
        finally:
            self._subscribers.remove(queue)

    # into a container

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        self._fault("exec_sync")
        outputs = (bytearray(), bytearray())

        async def emit(data: bytes, error: bool) -> None:
            outputs[error].extend(data[:max(0, MOST_OUTPUT - len(outputs[error]))])

        process = self._process(self._running(container_id), tuple(command), None, emit)
        work = self._tasks.start(self._exec(container_id, process), "exec", keep_going=True)
        try:
            await _first(asyncio.wait((work,)), *((self._clock.sleep(timeout_seconds),) if timeout_seconds else ()))
            if not work.done():
                raise Timeout(f"command {list(command)!r} timed out after {timeout_seconds:g}s")
            return ExecResult(work.result(), bytes(outputs[0]), bytes(outputs[1]))
        finally:
            work.cancel()

    async def exec(self, container_id: str, command: Sequence[str], *, stdin: bool = False, stdout: bool = True,
                   stderr: bool = True, tty: bool = False) -> StreamSession:
        self._fault("exec")
        found = self._running(container_id)
        session = MemorySession(pipe_for(stdin), stdout=stdout, stderr=stderr, tty=tty)
        process = self._process(found, tuple(command), session.stdin, session.emit)
        session.process = process
        session.run(lambda: self._exec(container_id, process))
        return session

    async def attach(self, container_id: str, *, stdin: bool = False, stdout: bool = True,
                     stderr: bool = True, tty: bool = False) -> StreamSession:
        found = self._running(container_id)
        own = found.process.stdin if stdin and found.process is not None else None
        session = MemorySession(own, stdout=stdout, stderr=stderr, tty=tty)
        session.process = found.process
        found.watchers.append(session)
        return session

    async def port_forward(self, sandbox_id: str) -> PortForwardSession:
        found = self._sandbox(sandbox_id)

        def find(port: int) -> Any:
            return next((item.process.listeners[port] for item in found.containers
                         if item.state is State.RUNNING and item.process and port in item.process.listeners), None)

        return MemoryForward(find, self._tasks)

    def answers(self, container_id: str, port: int) -> bool | None:
        """A program that listens answers on its ports; one that says nothing of ports is well on all of them."""
        found = self._containers.get(container_id)
        if found is None or found.state is not State.RUNNING:
            return False
        listeners = found.process.listeners if found.process is not None else {}
        return not listeners or port in listeners

    # logs and counters

    async def log_end(self, path: str) -> LogPosition:
        log = self._logs.get(path)
        if log is None:
            if not any(self._log_path(item) == path and item.started_at for item in self._containers.values()):
                raise NotFound(f"no log at {path}")
            return LogPosition(0, "0")
        return LogPosition(len(log.data), str(log.generation))

    async def read_log(self, path: str, offset: int, most_bytes: int) -> bytes:
        await self.log_end(path)
        return bytes(self._logs[path].data[offset:offset + most_bytes]) if path in self._logs else b""

    async def reopen_log(self, container_id: str) -> None:
        path = self._log_path(self._container(container_id))
        if log := self._logs.get(path):
            self._logs[path] = _Log(log.generation + 1)

    async def stats(self) -> Sequence[SandboxStats]:
        self._fault("stats")
        now, made = self._clock.now(), []
        for item in self._sandboxes.values():
            if item.ready:
                parts = tuple(_counters(container, now) for container in item.containers
                              if container.state is State.RUNNING)
                used = sum(part.memory_usage_bytes for part in parts)
                made.append(SandboxStats(item.id, now, sum(part.cpu_nanoseconds for part in parts), used, used, parts,
                                         labels=item.spec.labels))
        return made

    async def close(self) -> None:
        """Containers go on; `shutdown` ends them."""

    async def shutdown(self) -> None:
        """End everything: the machine is switched off."""
        await self._tasks.stop()

    # the life of a container

    def _process(self, found: _Container, argv: tuple[str, ...], stdin: Any,
                 emit: Callable[[bytes, bool], Awaitable[None]]) -> Process:
        limits = found.resources or found.spec.resources
        return Process(argv, dict(found.spec.env), self._clock, found.id,
                       f"{found.sandbox.spec.namespace}/{found.sandbox.spec.name}", emit, limits.memory_bytes, stdin)

    async def _live(self, found: _Container, main: Callable[[Process], Awaitable[int]] | None) -> None:
        program, process = found.program, found.process
        assert process is not None
        code, reason = program.exit_code, ""
        try:
            for line in program.output.splitlines():
                await process.print(line)
            if main is not None:
                code = await main(process)
            elif program.exit_after_seconds is not None:
                await self._clock.sleep(program.exit_after_seconds)
            else:
                await asyncio.Event().wait()
        except OutOfMemory:
            code, reason = KILLED, "OOMKilled"
            self._tell(EventKind.OOM, found.id, found.sandbox.id)
        except Exception as error:  # noqa: BLE001 - a program that fails is a container that ends with 1
            await process.print(f"{type(error).__name__}: {error}", error=True)
            code = 1
        if found.state is State.RUNNING:
            self._finish(found, code, reason)

    async def _exec(self, container_id: str, process: Process) -> int:
        program = self._running(container_id).program
        if program.exec is not None:
            return await program.exec(process)
        if built_in(process.argv):
            return await run_built_in(process)
        return 0

    async def _kill(self, found: _Container, code: int = KILLED) -> None:
        if found.state is State.RUNNING:
            self._finish(found, code)
        if found.task is not None and found.task is not asyncio.current_task():
            found.task.cancel()
            await asyncio.wait((found.task,))
            found.task = None

    def _finish(self, found: _Container, code: int, reason: str = "") -> None:
        found.state, found.exit_code, found.finished_at = State.EXITED, code, self._clock.now()
        found.reason = reason or ("Completed" if code == 0 else "Error")
        if found.ended is not None:
            found.ended.set()
        for session in found.watchers:
            session.finish(0)
        found.watchers.clear()
        self._tell(EventKind.STOPPED, found.id, found.sandbox.id)

    def _emitter(self, found: _Container) -> Callable[[bytes, bool], Awaitable[None]]:
        async def emit(data: bytes, error: bool) -> None:
            log = self._logs.setdefault(self._log_path(found), _Log())
            if len(log.data) > LOG_BYTES:
                log = self._logs[self._log_path(found)] = _Log(log.generation + 1)
            stamp = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            for line in data.splitlines(keepends=True):
                whole = b"F" if line.endswith(b"\n") else b"P"
                name = b"stderr" if error else b"stdout"
                log.data += b"%s %s %s %s\n" % (stamp.encode(), name, whole, line.rstrip(b"\n"))
            found.watchers[:] = [session for session in found.watchers if not session.closed]
            for session in tuple(found.watchers):
                await session.emit(data, error)
        return emit

    # records

    def _among(self, labels: Mapping[str, str] | None) -> list[_Sandbox]:
        """Those that may carry the labels: of one pod, if they name it."""
        uid = labels.get(POD_UID) if labels else None
        return list(self._sandboxes.values()) if uid is None else self._of_pods.get(uid, [])

    def _sandbox(self, sandbox_id: str) -> _Sandbox:
        if (found := self._sandboxes.get(sandbox_id)) is None:
            raise NotFound(f"no sandbox {sandbox_id}")
        return found

    def _container(self, container_id: str) -> _Container:
        if (found := self._containers.get(container_id)) is None:
            raise NotFound(f"no container {container_id}")
        return found

    def _running(self, container_id: str) -> _Container:
        found = self._container(container_id)
        if found.state is not State.RUNNING:
            raise BadExec(f"container {container_id} is in state {found.state.value}, not running")
        return found

    def _seen(self, found: _Container) -> Container:
        spec = found.spec
        image = self._pulled.get(spec.image)
        return Container(found.id, found.sandbox.id, spec.name, spec.attempt, found.state,
                         image.tags[0] if image else spec.image, image.digests[0] if image else spec.image,
                         found.created_at, spec.labels, spec.annotations)

    def _log_path(self, found: _Container) -> str:
        folder, name = found.sandbox.spec.log_directory, found.spec.log_path
        return f"{folder}/{name}" if folder and name else f"/simulated/{found.id}.log"

    def _reserve(self, uid: str, name: str, attempt: int) -> None:
        if (uid, name, attempt) in self._names:
            raise NameTaken(f"name {name or 'sandbox'}_{uid}_{attempt} is reserved")
        self._names.add((uid, name, attempt))

    def _id(self) -> str:
        return f"{self._identity.chance.getrandbits(256):064x}"

    def _tell(self, kind: EventKind, id: str, sandbox_id: str) -> None:
        for queue in self._subscribers:
            queue.put(RuntimeEvent(kind, id, sandbox_id))


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str] | None) -> bool:
    return not wanted or wanted.items() <= labels.items()


def _seen_sandbox(found: _Sandbox) -> Sandbox:
    spec = found.spec
    return Sandbox(found.id, spec.name, spec.namespace, spec.uid, spec.attempt, found.ready, found.created_at,
                   spec.labels, spec.annotations)


def _counters(found: _Container, now: datetime) -> ContainerStats:
    lived = (now - found.started_at).total_seconds() if found.started_at else 0.0
    memory = (found.process.memory_bytes if found.process else 0) or found.program.memory_bytes
    return ContainerStats(found.id, found.spec.name, found.sandbox.id, now, int(lived * found.program.cpu_milli * 1e6),
                          memory, memory, memory, labels=found.spec.labels)


async def _first(*work: Coroutine[Any, Any, Any]) -> None:
    """Return when the first of these has ended; the others are cancelled."""
    async with Tasks() as tasks:
        await asyncio.wait([tasks.start(item, "wait") for item in work], return_when=asyncio.FIRST_COMPLETED)
