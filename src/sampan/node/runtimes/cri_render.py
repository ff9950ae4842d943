"""Between our specs and the CRI's messages, both ways; pure.

Owns: the translation. Leaves: calls (`cri`). Requests are dicts, as message constructors take them; answers are read
from messages. Source: CRI `runtime.v1`, Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sampan.node.runtimes.spec import ContainerSpec, Credential, PodSandboxSpec, Profile, Resources, Security
from sampan.node.runtimes.status import (
    Container,
    ContainerStats,
    ContainerStatus,
    FilesystemStats,
    Image,
    Sandbox,
    SandboxStats,
    SandboxStatus,
    State,
)

_PROTOCOLS = {"TCP": 0, "UDP": 1, "SCTP": 2}
_PROFILES = {"RuntimeDefault": 0, "Unconfined": 1, "Localhost": 2}
_STATES = (State.CREATED, State.RUNNING, State.EXITED, State.UNKNOWN)
READY = 0

Message = dict[str, Any]


def sandbox_config(spec: PodSandboxSpec) -> Message:
    """A `PodSandboxConfig`."""
    config: Message = {
        "metadata": {"name": spec.name, "namespace": spec.namespace, "uid": spec.uid, "attempt": spec.attempt},
        "hostname": spec.hostname, "log_directory": spec.log_directory,
        "port_mappings": [{"protocol": _PROTOCOLS[item.protocol], "container_port": item.container_port,
                           "host_port": item.host_port, "host_ip": item.host_ip} for item in spec.port_mappings],
        "labels": spec.labels, "annotations": spec.annotations,
        "linux": {"cgroup_parent": spec.cgroup_parent, "sysctls": spec.sysctls,
                  "security_context": _security(spec.security, sandbox=True)},
    }
    if spec.dns is not None:
        config["dns_config"] = {"servers": spec.dns.servers, "searches": spec.dns.searches, "options": spec.dns.options}
    for name, value in (("resources", spec.resources), ("overhead", spec.overhead)):
        if value != Resources():
            config["linux"][name] = resources(value)
    return config


def container_config(spec: ContainerSpec, signals: Mapping[str, int]) -> Message:
    """A `ContainerConfig`; `signals` is the CRI's enum of stop signals."""
    return {
        "metadata": {"name": spec.name, "attempt": spec.attempt},
        "image": {"image": spec.image, "user_specified_image": spec.image_name},
        "command": spec.command, "args": spec.args, "working_dir": spec.working_dir,
        "envs": [{"key": name, "value": value.encode()} for name, value in spec.env],
        "mounts": [{"container_path": item.container_path, "host_path": item.host_path, "readonly": item.readonly,
                    "recursive_read_only": item.recursive_readonly, "propagation": item.propagation.value,
                    "selinux_relabel": item.selinux_relabel} for item in spec.mounts],
        "devices": [{"container_path": item.container_path, "host_path": item.host_path,
                     "permissions": item.permissions} for item in spec.devices],
        "CDI_devices": [{"name": name} for name in spec.cdi_devices],
        "labels": spec.labels, "annotations": spec.annotations, "log_path": spec.log_path,
        "stdin": spec.stdin, "stdin_once": spec.stdin_once, "tty": spec.tty,
        "stop_signal": signals.get(spec.stop_signal, 0),
        "linux": {"resources": resources(spec.resources), "security_context": _security(spec.security, sandbox=False)},
    }


def resources(value: Resources) -> Message:
    """A `LinuxContainerResources`."""
    return {
        "cpu_period": value.cpu_period, "cpu_quota": value.cpu_quota, "cpu_shares": value.cpu_shares,
        "memory_limit_in_bytes": value.memory_bytes, "memory_swap_limit_in_bytes": value.memory_swap_bytes,
        "oom_score_adj": value.oom_score_adj, "cpuset_cpus": value.cpuset_cpus, "cpuset_mems": value.cpuset_mems,
        "hugepage_limits": [{"page_size": size, "limit": limit} for size, limit in value.hugepages.items()],
        "unified": value.unified,
    }


def auth_config(credential: Credential) -> Message:
    """An `AuthConfig`."""
    return {"username": credential.username, "password": credential.password, "auth": credential.auth,
            "server_address": credential.server, "identity_token": credential.identity_token,
            "registry_token": credential.registry_token}


def _security(value: Security, *, sandbox: bool) -> Message:
    made: Message = {
        "privileged": value.privileged, "readonly_rootfs": value.readonly_root,
        "supplemental_groups": value.supplemental_groups,
        "supplemental_groups_policy": int(value.supplemental_groups_strict),
        "namespace_options": {"network": value.network.value, "pid": value.pid.value, "ipc": value.ipc.value,
                              "target_id": value.target_id},
        # an unset profile means the runtime's own choice; the API's default is Unconfined
        "seccomp": _profile(value.seccomp or Profile("Unconfined")),
    }
    if value.uid is not None:
        made["run_as_user"] = {"value": value.uid}
    if value.gid is not None:
        made["run_as_group"] = {"value": value.gid}
    if value.selinux:
        made["selinux_options"] = dict(value.selinux)
    if value.apparmor is not None:
        made["apparmor"] = _profile(value.apparmor)
    if sandbox:
        return made
    made |= {"run_as_username": value.username, "no_new_privs": value.no_new_privileges,
             "masked_paths": value.masked_paths or (), "readonly_paths": value.readonly_paths or (),
             "capabilities": {"add_capabilities": value.add_capabilities, "drop_capabilities": value.drop_capabilities}}
    return made


def _profile(profile: Profile) -> Message:
    return {"profile_type": _PROFILES[profile.kind], "localhost_ref": profile.localhost_ref}


# what comes back


def moment(nanoseconds: int) -> datetime:
    """A CRI time."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def image(message: Any) -> Image:
    """From an `Image`."""
    return Image(message.id, tuple(message.repo_tags), tuple(message.repo_digests), message.size,
                 message.uid.value if message.HasField("uid") else None, message.username, message.pinned)


def sandbox(message: Any) -> Sandbox:
    """From a `PodSandbox` or `PodSandboxStatus`."""
    about = message.metadata
    return Sandbox(message.id, about.name, about.namespace, about.uid, about.attempt, message.state == READY,
                   moment(message.created_at), dict(message.labels), dict(message.annotations))


def sandbox_status(message: Any, network_namespace: str) -> SandboxStatus:
    """From a `PodSandboxStatus`."""
    ips = [message.network.ip, *(item.ip for item in message.network.additional_ips)]
    return SandboxStatus(sandbox(message), tuple(ip for ip in ips if ip), network_namespace)


def container(message: Any, sandbox_id: str = "") -> Container:
    """From a `Container`, or from a `ContainerStatus` and its sandbox's id."""
    return Container(
        message.id, sandbox_id or message.pod_sandbox_id, message.metadata.name, message.metadata.attempt,
        _STATES[message.state], message.image.image, message.image_ref, moment(message.created_at),
        dict(message.labels), dict(message.annotations))


def container_status(message: Any, sandbox_id: str) -> ContainerStatus:
    """From a `ContainerStatus`."""
    limits = message.resources.linux if message.HasField("resources") and message.resources.HasField("linux") else None
    return ContainerStatus(
        container(message, sandbox_id), message.exit_code, message.reason, message.message,
        moment(message.started_at) if message.started_at else None,
        moment(message.finished_at) if message.finished_at else None,
        message.log_path, _limits(limits) if limits is not None else None)


def _limits(message: Any) -> Resources:
    return Resources(
        message.cpu_shares, message.cpu_quota, message.cpu_period, message.memory_limit_in_bytes,
        message.memory_swap_limit_in_bytes, message.oom_score_adj, message.cpuset_cpus, message.cpuset_mems,
        {item.page_size: item.limit for item in message.hugepage_limits}, dict(message.unified))


def filesystem(message: Any) -> FilesystemStats:
    """From a `FilesystemUsage`."""
    return FilesystemStats(message.fs_id.mountpoint, message.used_bytes.value, message.inodes_used.value)


def container_stats(message: Any, sandbox_id: str) -> ContainerStats:
    """From a `ContainerStats`."""
    memory = message.memory
    return ContainerStats(
        message.attributes.id, message.attributes.metadata.name, sandbox_id, moment(message.cpu.timestamp),
        message.cpu.usage_core_nano_seconds.value, memory.usage_bytes.value, memory.working_set_bytes.value,
        memory.rss_bytes.value, memory.page_faults.value, memory.major_page_faults.value,
        filesystem(message.writable_layer) if message.HasField("writable_layer") else None,
        dict(message.attributes.labels))


def sandbox_stats(message: Any) -> SandboxStats:
    """From a `PodSandboxStats`."""
    linux, network = message.linux, message.linux.network.default_interface
    sandbox_id = message.attributes.id
    return SandboxStats(
        sandbox_id, moment(linux.cpu.timestamp), linux.cpu.usage_core_nano_seconds.value,
        linux.memory.usage_bytes.value, linux.memory.working_set_bytes.value,
        tuple(container_stats(item, sandbox_id) for item in linux.containers), linux.memory.rss_bytes.value,
        network.name, network.rx_bytes.value, network.tx_bytes.value, linux.process.process_count.value,
        dict(message.attributes.labels))


def summed_stats(owner: Sandbox, parts: Sequence[ContainerStats]) -> SandboxStats:
    """A sandbox's counters where only its containers' are known; nothing of its network."""
    return SandboxStats(
        owner.id, max((part.at for part in parts), default=owner.created_at),
        sum(part.cpu_nanoseconds for part in parts), sum(part.memory_usage_bytes for part in parts),
        sum(part.memory_working_set_bytes for part in parts), tuple(parts), labels=owner.labels)
