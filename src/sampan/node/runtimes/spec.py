"""What goes into a `Runtime`: sandboxes, containers, mounts, security, limits. Zero values mean "not set".

Source: the CRI's `PodSandboxConfig` and `ContainerConfig`, Kubernetes 1.36.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct, field


class Namespace(Enum):
    """Whose namespace a container uses; `TARGET` is that of `SecuritySpec.target_id` (ephemeral containers)."""

    POD = 0
    CONTAINER = 1
    NODE = 2
    TARGET = 3


class Propagation(Enum):
    """How mounts travel between host and container (`None`, `HostToContainer`, `Bidirectional` of a volumeMount)."""

    PRIVATE = 0
    HOST_TO_CONTAINER = 1
    BIDIRECTIONAL = 2


class PortMapping(Struct, frozen=True, gc=False):
    """A hostPort. `protocol` is TCP, UDP or SCTP."""

    container_port: int
    host_port: int = 0
    protocol: str = "TCP"
    host_ip: str = ""


class DNSConfig(Struct, frozen=True, gc=False):
    """What resolv.conf says; all empty keeps the host's."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Profile(Struct, frozen=True, gc=False):
    """A seccomp or AppArmor profile: `kind` is RuntimeDefault, Unconfined or Localhost with `localhost_ref`."""

    kind: str
    localhost_ref: str = ""


class Resources(Struct, frozen=True, gc=False):
    """Limits as the kernel wants them; 0 and "" mean unset. `memory_bytes` is the hard limit."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    oom_score_adj: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    hugepages: Mapping[str, int] = field(default_factory=dict)
    """Page size as the kernel names it (`2MB`, `1GB`) to a limit in bytes."""
    unified: Mapping[str, str] = field(default_factory=dict)
    """cgroup v2 files, by name."""


class Security(Struct, frozen=True, gc=False):
    """A sandbox's or container's security context, already merged from pod and container."""

    uid: int | None = None
    username: str = ""
    gid: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_strict: bool = False
    privileged: bool = False
    readonly_root: bool = False
    no_new_privileges: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    seccomp: Profile | None = None
    apparmor: Profile | None = None
    selinux: Mapping[str, str] = field(default_factory=dict)
    """Keys user, role, type, level."""
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    """None takes the runtime's usual list (procMount: Default); an empty tuple masks nothing (Unmasked)."""
    network: Namespace = Namespace.POD
    pid: Namespace = Namespace.CONTAINER
    ipc: Namespace = Namespace.POD
    target_id: str = ""


class PodSandboxSpec(Struct, frozen=True, gc=False):
    """A pod's surroundings: its namespaces, cgroup, network and log folder.

    `cgroup_parent` is a cgroupfs path (`/kubepods/burstable/pod<UID>`) that the agent has made, or "".
    `hostname` must be empty where `security.network` is NODE. `log_directory` holds the containers' log files.
    """

    name: str
    namespace: str
    uid: str
    attempt: int = 0
    hostname: str = ""
    log_directory: str = ""
    dns: DNSConfig | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    security: Security = Security(pid=Namespace.CONTAINER)
    resources: Resources = Resources()
    overhead: Resources = Resources()
    runtime_handler: str = ""


class Mount(Struct, frozen=True, gc=False):
    """A bind mount; `host_path` exists already (a runtime makes missing ones as folders, so check the type first)."""

    container_path: str
    host_path: str
    readonly: bool = False
    recursive_readonly: bool = False
    propagation: Propagation = Propagation.PRIVATE
    selinux_relabel: bool = False


class Device(Struct, frozen=True, gc=False):
    """A device node; `permissions` of r, w, m."""

    container_path: str
    host_path: str
    permissions: str = "rwm"


class ContainerSpec(Struct, frozen=True, gc=False):
    """One container. Empty `command` and `args` take the image's entrypoint and cmd, as in a pod.

    `image` is what `pull_image` returned (or any reference that is present); `image_name` what the user wrote.
    `log_path` is relative to the sandbox's `log_directory`.
    """

    name: str
    image: str
    image_name: str = ""
    attempt: int = 0
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    security: Security = Security()
    resources: Resources = Resources()
    stop_signal: str = ""


@dataclasses.dataclass(frozen=True)
class Credential:
    """What a registry wants; from a dockerconfigjson entry. Never printed."""

    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    auth: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)
    registry_token: str = dataclasses.field(default="", repr=False)
    server: str = ""
