"""The runtime protocol on a real container runtime, over the CRI.

Owns: which call does what, which of its failures is which of our errors, and when an event may be told. Leaves: messages
(`cri_render`), the wire (`sampan.drivers.cri`), containerd's life (`sampan.drivers.containerd`).

Source: kubelet's `kuberuntime`, `cri-client`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.drivers.cri.client import PULL_SECONDS, CriClient, CriError, table
from sampan.drivers.cri.streaming import PORT_FORWARD, PortForward, RemoteCommand, StreamRefused, connect
from sampan.drivers.oci.image import full_name
from sampan.lib.errors import ConfigError
from sampan.node.runtimes import cri_render as render
from sampan.node.runtimes.base import Channel, Frame, PortForwardSession, StreamSession
from sampan.node.runtimes.errors import (
    BadExec,
    CreateContainerError,
    CreatePodSandboxError,
    ErrImagePull,
    InvalidImageName,
    NameTaken,
    NotFound,
    RegistryUnavailable,
    RunContainerError,
    RuntimeFault,
    Timeout,
    Unavailable,
)
from sampan.node.runtimes.spec import ContainerSpec, Credential, PodSandboxSpec, Resources
from sampan.node.runtimes.status import (
    Container,
    ContainerStatus,
    EventKind,
    ExecResult,
    FilesystemStats,
    Image,
    LogPosition,
    RuntimeEvent,
    RuntimeStatus,
    RuntimeVersion,
    Sandbox,
    SandboxStats,
    SandboxStatus,
    State,
)

EXEC_SECONDS = 600.0
SETTLE_SECONDS = 5.0  # of a loaded machine; whoever is told too early has to find out by itself
_TOPICS = {"/tasks/start": EventKind.STARTED, "/tasks/exit": EventKind.STOPPED, "/tasks/oom": EventKind.OOM,
           "/containers/create": EventKind.CREATED, "/containers/delete": EventKind.DELETED}
_KINDS = (EventKind.CREATED, EventKind.STARTED, EventKind.STOPPED, EventKind.DELETED)
_SHARED: Mapping[str, type[RuntimeFault]] = {
    "NOT_FOUND": NotFound, "ALREADY_EXISTS": NameTaken, "UNAVAILABLE": Unavailable, "DEADLINE_EXCEEDED": Timeout}


class CriRuntime:
    """A `Runtime` at a CRI endpoint (`unix:///run/….sock`). Make it inside the loop that uses it."""

    def __init__(self, endpoint: str, clock: AsyncClock) -> None:
        self._client = CriClient(endpoint)
        self._clock = clock
        self._backoff = Backoff(0.1, 5.0)
        self._polled = False

    async def _call(self, method: str, otherwise: type[RuntimeFault] = RuntimeFault, **fields: Any) -> Any:
        """Call; what fails becomes one of our errors, `otherwise` where gRPC's code says nothing better."""
        try:
            return await self._client.call(method, **fields)
        except CriError as error:
            raise _SHARED.get(error.code, otherwise)(_words(error)) from error

    async def _gone(self, method: str, **fields: Any) -> None:
        """Call something that is content when its object is not there."""
        try:
            await self._call(method, **fields)
        except NotFound:
            return

    async def version(self) -> RuntimeVersion:
        answer = await self._call("Version", timeout_seconds=5.0)
        return RuntimeVersion(answer.runtime_name, answer.runtime_version.lstrip("v"))

    async def status(self) -> RuntimeStatus:
        answer = await self._call("Status", timeout_seconds=10.0)
        found = {item.type: item for item in answer.status.conditions}
        runtime, network = found.get("RuntimeReady"), found.get("NetworkReady")
        return RuntimeStatus(bool(runtime and runtime.status), bool(network and network.status),
                             _condition("container runtime status check may not have completed yet", runtime),
                             _condition("container runtime network not ready", network))

    async def update_pod_cidr(self, pod_cidr: str) -> None:
        await self._call("UpdateRuntimeConfig", runtime_config={"network_config": {"pod_cidr": pod_cidr}})

    # images

    async def image_status(self, image: str) -> Image | None:
        answer = await self._call("ImageStatus", image={"image": _reference(image)})
        return render.image(answer.image) if answer.HasField("image") else None

    async def pull_image(self, image: str, credential: Credential | None = None,
                         sandbox: PodSandboxSpec | None = None) -> str:
        fields: dict[str, Any] = {"image": {"image": _reference(image)}}
        if credential is not None:
            fields["auth"] = render.auth_config(credential)
        if sandbox is not None:
            fields["sandbox_config"] = render.sandbox_config(sandbox)
        try:
            answer = await self._client.call("PullImage", timeout_seconds=PULL_SECONDS, **fields)
        except CriError as error:
            dead = error.code == "UNAVAILABLE"
            kind = RegistryUnavailable if "no route to host" in error.details and not dead else ErrImagePull
            raise (Unavailable if dead else kind)(_words(error)) from error
        return str(answer.image_ref)

    async def list_images(self) -> Sequence[Image]:
        return [render.image(item) for item in (await self._call("ListImages")).images]

    async def remove_image(self, image: str) -> None:
        await self._gone("RemoveImage", image={"image": _reference(image)})

    async def image_filesystem(self) -> Sequence[FilesystemStats]:
        return [render.filesystem(item) for item in (await self._call("ImageFsInfo")).image_filesystems]

    # sandboxes

    async def run_sandbox(self, spec: PodSandboxSpec) -> str:
        answer = await self._named("RunPodSandbox", CreatePodSandboxError, timeout_seconds=240.0,
                                   config=render.sandbox_config(spec), runtime_handler=spec.runtime_handler)
        return str(answer.pod_sandbox_id)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._gone("StopPodSandbox", pod_sandbox_id=sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        await self._gone("RemovePodSandbox", pod_sandbox_id=sandbox_id)

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus:
        answer = await self._call("PodSandboxStatus", pod_sandbox_id=sandbox_id, verbose=True)
        return render.sandbox_status(answer.status, _network_namespace(answer.info.get("info", "")))

    async def list_sandboxes(self, labels: Mapping[str, str] | None = None) -> Sequence[Sandbox]:
        answer = await self._call("ListPodSandbox", filter={"label_selector": labels or {}})
        return [render.sandbox(item) for item in answer.items]

    async def update_sandbox_resources(self, sandbox_id: str, resources: Resources) -> None:
        try:
            await self._client.call("UpdatePodSandboxResources", pod_sandbox_id=sandbox_id,
                                    resources=render.resources(resources))
        except CriError as error:
            if error.code != "UNIMPLEMENTED":  # older runtimes have nothing to be told
                raise _SHARED.get(error.code, RuntimeFault)(_words(error)) from error

    # containers

    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: PodSandboxSpec) -> str:
        config = render.container_config(spec, table().enum("runtime.v1.Signal"))
        answer = await self._named("CreateContainer", CreateContainerError, pod_sandbox_id=sandbox_id, config=config,
                                   sandbox_config=render.sandbox_config(sandbox))
        return str(answer.container_id)

    async def start_container(self, container_id: str) -> None:
        try:
            await self._client.call("StartContainer", container_id=container_id)
        except CriError as error:
            # runc's "no such file" is NOT_FOUND to some runtimes
            kind = RunContainerError if "OCI runtime" in error.details else _SHARED.get(error.code, RunContainerError)
            raise kind(_words(error)) from error

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        await self._gone("StopContainer", container_id=container_id, timeout=math.ceil(grace_seconds),
                         timeout_seconds=grace_seconds + 120.0)

    async def remove_container(self, container_id: str) -> None:
        await self._gone("RemoveContainer", container_id=container_id)

    async def container_status(self, container_id: str) -> ContainerStatus:
        answer = await self._call("ContainerStatus", container_id=container_id, verbose=True)
        sandbox_id = json.loads(answer.info.get("info") or "{}").get("sandboxID", "")
        return render.container_status(answer.status, sandbox_id)

    async def list_containers(self, sandbox_id: str = "",
                              labels: Mapping[str, str] | None = None) -> Sequence[Container]:
        answer = await self._call("ListContainers", filter={"pod_sandbox_id": sandbox_id, "label_selector": labels or {}})
        return [render.container(item) for item in answer.containers]

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        await self._call("UpdateContainerResources", container_id=container_id, linux=render.resources(resources))

    # events

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        failures = 0
        while True:
            try:
                version = await self.version()
                yield RuntimeEvent(EventKind.RELIST)
                async for event in self._stream(version):
                    failures = 0
                    yield event
            except (RuntimeFault, CriError) as error:
                if isinstance(error, CriError) and error.code == "UNIMPLEMENTED":
                    self._polled = True
            failures += 1
            await self._clock.sleep(1.0 if self._polled else self._backoff.delay_seconds(failures))

    async def _stream(self, version: RuntimeVersion) -> AsyncIterator[RuntimeEvent]:
        if self._polled:
            return
        if version.name == "containerd" and _before_1_7(version.version):
            async for topic, message in self._client.containerd_events():
                event = _from_containerd(topic, message)
                if event is not None:
                    await self._settled(event)
                    yield event
            return
        async for message in self._client.container_events():
            yield RuntimeEvent(_KINDS[message.container_event_type], message.container_id,
                               message.pod_sandbox_status.id)

    async def _settled(self, event: RuntimeEvent) -> None:
        """Wait until the CRI knows what containerd's own event says: its store is some milliseconds behind."""
        if event.kind is not EventKind.STOPPED:
            return
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        while await self._still_running(event.id) and self._clock.monotonic() < deadline:
            await self._clock.sleep(0.005)

    async def _still_running(self, id: str) -> bool:
        try:
            return (await self.container_status(id)).container.state is State.RUNNING
        except NotFound:
            try:
                return (await self.sandbox_status(id)).sandbox.ready
            except NotFound:
                return False

    # into a container

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        limit = math.ceil(timeout_seconds)
        answer = await self._call("ExecSync", BadExec, container_id=container_id, cmd=command, timeout=limit,
                                  timeout_seconds=(limit or EXEC_SECONDS) + 10.0)
        return ExecResult(answer.exit_code, answer.stdout, answer.stderr)

    async def exec(self, container_id: str, command: Sequence[str], *, stdin: bool = False, stdout: bool = True,
                   stderr: bool = True, tty: bool = False) -> StreamSession:
        answer = await self._call("Exec", BadExec, container_id=container_id, cmd=command, stdin=stdin, stdout=stdout,
                                  stderr=stderr and not tty, tty=tty)
        return await _remote(answer.url, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)

    async def attach(self, container_id: str, *, stdin: bool = False, stdout: bool = True,
                     stderr: bool = True, tty: bool = False) -> StreamSession:
        answer = await self._call("Attach", BadExec, container_id=container_id, stdin=stdin, stdout=stdout,
                                  stderr=stderr and not tty, tty=tty)
        return await _remote(answer.url, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)

    async def port_forward(self, sandbox_id: str) -> PortForwardSession:
        answer = await self._call("PortForward", pod_sandbox_id=sandbox_id)
        try:
            return PortForward(await connect(answer.url, PORT_FORWARD))
        except StreamRefused as error:
            raise RuntimeFault(error.message) from error

    def answers(self, container_id: str, port: int) -> bool | None:
        return None

    # logs and counters

    async def log_end(self, path: str) -> LogPosition:
        try:
            facts = os.stat(path)
        except FileNotFoundError as error:
            raise NotFound(f"no log at {path}") from error
        return LogPosition(facts.st_size, f"{facts.st_dev}:{facts.st_ino}")

    async def read_log(self, path: str, offset: int, most_bytes: int) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError as error:
            raise NotFound(f"no log at {path}") from error
        try:
            return os.pread(descriptor, most_bytes, offset)
        finally:
            os.close(descriptor)

    async def reopen_log(self, container_id: str) -> None:
        try:
            await self._call("ReopenContainerLog", container_id=container_id)
        except RuntimeFault:
            if (await self.container_status(container_id)).container.state is State.RUNNING:
                raise

    async def stats(self) -> Sequence[SandboxStats]:
        try:
            answer = await self._call("ListPodSandboxStats", filter={})
        except Unavailable:
            raise
        except RuntimeFault:
            # containerd 1.6 fails whole when one sandbox is about to go, or has no cgroup parent: add up containers
            return await self._stats_of_containers()
        return [render.sandbox_stats(item) for item in answer.stats]

    async def _stats_of_containers(self) -> Sequence[SandboxStats]:
        answer = await self._call("ListContainerStats", filter={})
        owners = {item.id: item.sandbox_id for item in await self.list_containers()}
        stats = [render.container_stats(item, owners.get(item.attributes.id, "")) for item in answer.stats]
        return [render.summed_stats(item, [part for part in stats if part.sandbox_id == item.id])
                for item in await self.list_sandboxes() if item.ready]

    async def close(self) -> None:
        await self._client.close()

    async def _named(self, method: str, otherwise: type[RuntimeFault], **fields: Any) -> Any:
        """Call something that reserves a name; a taken one comes as UNKNOWN from some runtimes."""
        try:
            return await self._call(method, otherwise, **fields)
        except RuntimeFault as error:
            if "is reserved for" in error.message and not isinstance(error, NameTaken):
                raise NameTaken(error.message) from error
            raise


class _Session:
    """A `RemoteCommand` as a `StreamSession`: frames, and a status even when the runtime went away."""

    def __init__(self, command: RemoteCommand) -> None:
        self._command = command
        self.send = command.send
        self.close_stdin = command.close_stdin
        self.resize = command.resize
        self.close = command.close

    async def receive(self) -> Frame | None:
        frame = await self._command.receive()
        if frame is None:
            return None
        channel, data = frame
        if channel == Channel.ERROR.value and not data:
            lost = {"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                    "message": "the connection to the container runtime was lost"}
            data = json.dumps(lost).encode()
        return Frame(Channel(channel), data)


async def _remote(url: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> StreamSession:
    try:
        return _Session(await RemoteCommand.open(url, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty))
    except StreamRefused as error:
        raise BadExec(error.message) from error


def _words(error: CriError) -> str:
    """As a Go client prints it, which is what users search for."""
    code = "".join(part.capitalize() for part in error.code.split("_"))
    return f"rpc error: code = {code} desc = {error.details}"


def _condition(prefix: str, condition: Any) -> str:
    if condition is None:
        return prefix
    return "" if condition.status else f"{prefix}: {condition.type} reason:{condition.reason} message:{condition.message}"


def _reference(image: str) -> str:
    """A full name; ids and digests stay as they are."""
    if image.startswith("sha256:") or (len(image) == 64 and all(letter in "0123456789abcdef" for letter in image)):
        return image
    try:
        return full_name(image)
    except ConfigError as error:
        raise InvalidImageName(f'Failed to apply default image tag "{image}": couldn\'t parse image name '
                               f'"{image}": invalid reference format') from error


def _network_namespace(info: str) -> str:
    """The path in containerd's verbose answer."""
    namespaces = json.loads(info or "{}").get("runtimeSpec", {}).get("linux", {}).get("namespaces", [])
    return next((str(item.get("path", "")) for item in namespaces if item.get("type") == "network"), "")


def _before_1_7(version: str) -> bool:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return major == "1" and minor.isdigit() and int(minor) < 7


def _from_containerd(topic: str, message: Any) -> RuntimeEvent | None:
    kind = _TOPICS.get(topic)
    if kind is None:
        return None
    id = message.id if topic.startswith("/containers/") else message.container_id
    if topic == "/tasks/exit" and message.id != message.container_id:
        return None  # an exec ended, not the container
    return RuntimeEvent(kind, id)
