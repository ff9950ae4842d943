"""What comes back from a `Runtime`: statuses, counters, events, log positions. Times are aware, in UTC.

Source: the CRI's statuses and stats, Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from msgspec import Struct, field

from sampan.node.runtimes.spec import Resources


class RuntimeVersion(Struct, frozen=True, gc=False):
    """`name` and `version` make the node's `containerRuntimeVersion`: `containerd://1.6.20`."""

    name: str
    version: str


class RuntimeStatus(Struct, frozen=True, gc=False):
    """The runtime's own conditions; the messages go into the node's Ready condition."""

    runtime_ready: bool
    network_ready: bool
    runtime_message: str = ""
    network_message: str = ""


class Image(Struct, frozen=True, gc=False):
    """A stored image. `id` is its config's digest; `tags` and `digests` its full names."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int
    uid: int | None = None
    username: str = ""
    pinned: bool = False


class State(Enum):
    """A container's state. UNKNOWN: its shim is gone; stop and remove it."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


class Sandbox(Struct, frozen=True, gc=False):
    """A sandbox as a relist sees it. Not `ready`: its pause process or network is gone, stop and remove it."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    ready: bool
    created_at: datetime
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class SandboxStatus(Struct, frozen=True, gc=False):
    """A sandbox with its addresses (first is the primary; none on the host's network)."""

    sandbox: Sandbox
    ips: tuple[str, ...]
    network_namespace: str = ""
    """A path for `nsenter --net=`, where the runtime tells it."""


class Container(Struct, frozen=True, gc=False):
    """A container as a relist sees it."""

    id: str
    sandbox_id: str
    name: str
    attempt: int
    state: State
    image: str
    image_id: str
    created_at: datetime
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class ContainerStatus(Struct, frozen=True, gc=False):
    """All about one container.

    `reason` is Completed, Error, OOMKilled or a start's failure (StartError, ContainerCannotRun); the termination
    message file is the agent's business. `log_path` is absolute. `image_id` is a full digest reference where known.
    """

    container: Container
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    log_path: str = ""
    resources: Resources | None = None


class ExecResult(Struct, frozen=True, gc=False):
    """How a command ended; output is cut at 16 MiB each."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class FilesystemStats(Struct, frozen=True, gc=False):
    """Use of a filesystem or layer."""

    mountpoint: str
    used_bytes: int
    inodes_used: int


class ContainerStats(Struct, frozen=True, gc=False):
    """Counters, not rates: two readings make a rate (`cpu_nanoseconds` is total CPU time)."""

    id: str
    name: str
    sandbox_id: str
    at: datetime
    cpu_nanoseconds: int
    memory_usage_bytes: int
    memory_working_set_bytes: int
    memory_rss_bytes: int = 0
    page_faults: int = 0
    major_page_faults: int = 0
    filesystem: FilesystemStats | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class SandboxStats(Struct, frozen=True, gc=False):
    """A pod's counters and its containers'."""

    sandbox_id: str
    at: datetime
    cpu_nanoseconds: int
    memory_usage_bytes: int
    memory_working_set_bytes: int
    containers: tuple[ContainerStats, ...]
    memory_rss_bytes: int = 0
    network_interface: str = ""
    received_bytes: int = 0
    sent_bytes: int = 0
    process_count: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


class EventKind(Enum):
    """RELIST: events may have been missed (first connect, reconnect, a full queue): list everything again."""

    CREATED = "created"
    STARTED = "started"
    STOPPED = "stopped"
    DELETED = "deleted"
    OOM = "oom"
    RELIST = "relist"


class RuntimeEvent(Struct, frozen=True, gc=False):
    """Something changed. `id` is a container's or a sandbox's id ("" for RELIST); `sandbox_id` "" where unknown."""

    kind: EventKind
    id: str = ""
    sandbox_id: str = ""


class LogPosition(Struct, frozen=True, gc=False):
    """Where a log ends and which file it is: `identity` changes when the log was rotated."""

    size_bytes: int
    identity: str
