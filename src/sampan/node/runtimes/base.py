"""The protocol between the node agent and whatever runs its containers.

Owns: `Runtime` and the streams into a container. What goes in is in `spec`, what comes back in `status`, what it
raises in `errors`. Leaves: how pods become specs (agent), what to do next (`sync`), how it is done (`cri`,
`simulated`). Both implementations pass `sampan.testing.runtime.RuntimeConformance`.

Source: the CRI, `runtime.v1` of Kubernetes 1.36, reduced to what an agent on Linux needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from sampan.node.runtimes.spec import ContainerSpec, Credential, PodSandboxSpec, Resources
from sampan.node.runtimes.status import (
    Container,
    ContainerStatus,
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
)


class Channel(Enum):
    """The numbers of `v4.channel.k8s.io`."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4


@dataclass(frozen=True)
class Frame:
    """Bytes from one channel."""

    channel: Channel
    data: bytes


class StreamSession(Protocol):
    """A running exec or attach.

    `receive` gives STDOUT and STDERR as they come, then exactly one ERROR frame with a `Status` in JSON as upstream
    sends it (Success, or Failure with reason NonZeroExitCode and cause ExitCode), then None for ever. Nothing is
    buffered beyond the transport's window: not receiving slows the command down. `close` ends the transport, any time,
    more than once.
    """

    async def receive(self) -> Frame | None: ...

    async def send(self, data: bytes) -> None:
        """Write to stdin; waits while the far side does not read. Ignored when nobody reads any more."""
        ...

    async def close_stdin(self) -> None:
        """The command reads end of file; output goes on."""
        ...

    async def resize(self, width: int, height: int) -> None: ...

    async def close(self) -> None: ...


class ByteStream(Protocol):
    """One connection into a pod. `read` returns b"" at the end; `close_write` half-closes."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close_write(self) -> None: ...

    async def error(self) -> str:
        """After the end: what the far side said went wrong ("" if nothing), as port-forward's error stream has it."""
        ...

    async def close(self) -> None: ...


class PortForwardSession(Protocol):
    """Connections to a pod's localhost, any number, any ports."""

    async def open(self, port: int) -> ByteStream:
        """A new connection; a refused one ends at once and tells so from `error`."""
        ...

    async def close(self) -> None: ...


class Runtime(Protocol):
    """Runs containers. Safe to call concurrently; every call is bounded in time and raises only `RuntimeFault`s.

    stop and remove are idempotent: what is not there is fine. A runtime remembers its pods when the agent or the
    runtime itself restarts: list them and go on.
    """

    async def version(self) -> RuntimeVersion: ...

    async def status(self) -> RuntimeStatus: ...

    async def update_pod_cidr(self, pod_cidr: str) -> None:
        """Tell the node's pod range, for runtimes that template their network config from it."""
        ...

    # images

    async def image_status(self, image: str) -> Image | None:
        """The image of a name, digest or id; None when it is not here. Raises InvalidImageName."""
        ...

    async def pull_image(self, image: str, credential: Credential | None = None,
                         sandbox: PodSandboxSpec | None = None) -> str:
        """Fetch and return the reference to give to `ContainerSpec.image`.

        Raises:
            ErrImagePull, InvalidImageName, RegistryUnavailable: see there.
        """
        ...

    async def list_images(self) -> Sequence[Image]:
        """All that are stored. What was returned never changes: another answer is another object."""
        ...

    async def remove_image(self, image: str) -> None:
        """Drop the image with all its tags."""
        ...

    async def image_filesystem(self) -> Sequence[FilesystemStats]: ...

    # sandboxes

    async def run_sandbox(self, spec: PodSandboxSpec) -> str:
        """Make and start; return the id. Raises CreatePodSandboxError, NameTaken."""
        ...

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what still runs in it, release its network; idempotent."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Forget it and its containers, stopping them by force; idempotent."""
        ...

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus:
        """Raises NotFound."""
        ...

    async def list_sandboxes(self, labels: Mapping[str, str] | None = None) -> Sequence[Sandbox]:
        """All sandboxes that carry these labels."""
        ...

    async def update_sandbox_resources(self, sandbox_id: str, resources: Resources) -> None: ...

    # containers

    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: PodSandboxSpec) -> str:
        """Make, not start; return the id. Raises CreateContainerError, NameTaken, NotFound."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Raises RunContainerError (the container is then EXITED with reason StartError), NotFound."""
        ...

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Send the stop signal, kill after `grace_seconds` (0: at once); returns when it has exited; idempotent."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Forget a container, killing it if it runs; idempotent. Its log file stays."""
        ...

    async def container_status(self, container_id: str) -> ContainerStatus:
        """Raises NotFound."""
        ...

    async def list_containers(self, sandbox_id: str = "",
                              labels: Mapping[str, str] | None = None) -> Sequence[Container]:
        """All containers (of that sandbox, with these labels), exited ones too."""
        ...

    async def update_container_resources(self, container_id: str, resources: Resources) -> None: ...

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Changes from now on, for ever: reconnects by itself; begins with, and after every gap yields, RELIST."""
        ...

    # into a container

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        """Run and wait (0: no limit but the implementation's). Raises Timeout, BadExec, NotFound."""
        ...

    async def exec(self, container_id: str, command: Sequence[str], *, stdin: bool = False, stdout: bool = True,
                   stderr: bool = True, tty: bool = False) -> StreamSession:
        """Raises NotFound, BadExec (or the session's ERROR frame tells)."""
        ...

    async def attach(self, container_id: str, *, stdin: bool = False, stdout: bool = True,
                     stderr: bool = True, tty: bool = False) -> StreamSession: ...

    async def port_forward(self, sandbox_id: str) -> PortForwardSession: ...

    def answers(self, container_id: str, port: int) -> bool | None:
        """Whether a container answers on a port, for runtimes whose pods have no network; None: ask over the network."""
        ...

    # logs and counters

    async def log_end(self, path: str) -> LogPosition:
        """Where the log at a `ContainerStatus.log_path` ends now. Raises NotFound."""
        ...

    async def read_log(self, path: str, offset: int, most_bytes: int) -> bytes:
        """Bytes of a log from `offset` on, as many as there are, in CRI's format.

        A line is `RFC3339Nano stdout|stderr F|P text`; P marks a line that was split (16 KiB) and goes on.
        """
        ...

    async def reopen_log(self, container_id: str) -> None:
        """Begin a new file at the log's path, the old one having been renamed away; no-op on exited containers."""
        ...

    async def stats(self) -> Sequence[SandboxStats]:
        """Counters of every sandbox that is ready."""
        ...

    async def close(self) -> None:
        """Let go of connections; containers go on."""
        ...
