"""What specs become on the wire, and what is read back: everything that a pod can say gets there."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import fields

from sampan.drivers.cri.client import table
from sampan.node.runtimes import cri_render as render
from sampan.node.runtimes.spec import (
    ContainerSpec,
    Credential,
    Device,
    DNSConfig,
    Mount,
    Namespace,
    PodSandboxSpec,
    PortMapping,
    Profile,
    Propagation,
    Resources,
    Security,
)
from sampan.node.runtimes.status import State

LIMITS = Resources(512, 50_000, 100_000, 64 << 20, 128 << 20, 900, "0-1", "0", {"2MB": 4 << 20}, {"memory.high": "1"})
SECURITY = Security(
    uid=1000, username="app", gid=2000, supplemental_groups=(3, 4), supplemental_groups_strict=True, privileged=True,
    readonly_root=True, no_new_privileges=True, add_capabilities=("NET_ADMIN",), drop_capabilities=("ALL",),
    seccomp=Profile("Localhost", "/profiles/a.json"), apparmor=Profile("RuntimeDefault"), selinux={"level": "s0"},
    masked_paths=("/proc/kcore",), readonly_paths=("/proc/sys",), network=Namespace.NODE, pid=Namespace.TARGET,
    ipc=Namespace.NODE, target_id="t")


def message(name: str, value: dict[str, Any]) -> Any:
    kind = table().message(f"runtime.v1.{name}")
    return kind.FromString(kind(**value).SerializeToString())


def test_a_container_says_all_on_the_wire() -> None:
    # given a spec in which every field is set
    spec = ContainerSpec(
        "main", "sha256:1", "busybox", 3, ("sh",), ("-c",), "/w", (("A", "é"),),
        (Mount("/c", "/h", readonly=True, recursive_readonly=True, propagation=Propagation.BIDIRECTIONAL, selinux_relabel=True),),
        (Device("/dev/c", "/dev/h", "r"),), ("vendor/a=b",), {"l": "1"}, {"n": "2"}, "main/3.log", stdin=True,
        stdin_once=True, tty=True, security=SECURITY, resources=LIMITS, stop_signal="SIGUSR1")
    assert all(getattr(spec, item.name) for item in fields(spec))
    # when
    made = message("ContainerConfig", render.container_config(spec, table().enum("runtime.v1.Signal")))
    # then
    assert (made.metadata.name, made.metadata.attempt, made.image.image) == ("main", 3, "sha256:1")
    assert (list(made.command), list(made.args), made.working_dir) == (["sh"], ["-c"], "/w")
    assert [(item.key, item.value) for item in made.envs] == [("A", "é".encode())]
    mount, device = made.mounts[0], made.devices[0]
    assert (mount.container_path, mount.host_path, mount.readonly, mount.recursive_read_only, mount.propagation,
            mount.selinux_relabel) == ("/c", "/h", True, True, 2, True)
    assert (device.container_path, device.host_path, device.permissions) == ("/dev/c", "/dev/h", "r")
    assert [item.name for item in made.CDI_devices] == ["vendor/a=b"]
    assert (dict(made.labels), dict(made.annotations), made.log_path) == ({"l": "1"}, {"n": "2"}, "main/3.log")
    assert (made.stdin, made.stdin_once, made.tty) == (True, True, True)
    assert made.stop_signal == table().enum("runtime.v1.Signal")["SIGUSR1"]
    assert render._limits(made.linux.resources) == LIMITS
    security = made.linux.security_context
    assert (security.run_as_user.value, security.run_as_username, security.run_as_group.value) == (1000, "app", 2000)
    assert (security.privileged, security.readonly_rootfs, security.no_new_privs) == (True, True, True)
    assert (list(security.supplemental_groups), security.supplemental_groups_policy) == ([3, 4], 1)
    assert list(security.capabilities.add_capabilities) == ["NET_ADMIN"]
    assert list(security.capabilities.drop_capabilities) == ["ALL"]
    assert (security.seccomp.profile_type, security.seccomp.localhost_ref) == (2, "/profiles/a.json")
    assert security.apparmor.profile_type == 0
    assert security.selinux_options.level == "s0"
    assert (list(security.masked_paths), list(security.readonly_paths)) == (["/proc/kcore"], ["/proc/sys"])
    names = security.namespace_options
    assert (names.network, names.pid, names.ipc, names.target_id) == (2, 3, 2, "t")


def test_a_sandbox_says_all_on_the_wire() -> None:
    spec = PodSandboxSpec(
        "web", "default", "uid", 2, "host", "/logs", DNSConfig(("10.96.0.10",), ("svc",), ("ndots:5",)),
        (PortMapping(80, 8080, "UDP", "127.0.0.1"),), {"l": "1"}, {"n": "2"}, "/kubepods/poduid", {"net.x": "1"}, SECURITY,
        LIMITS, Resources(cpu_shares=2), "kata")
    assert all(getattr(spec, item.name) for item in fields(spec))
    made = message("PodSandboxConfig", render.sandbox_config(spec))
    about = made.metadata
    assert (about.name, about.namespace, about.uid, about.attempt) == ("web", "default", "uid", 2)
    assert (made.hostname, made.log_directory) == ("host", "/logs")
    assert (list(made.dns_config.servers), list(made.dns_config.searches), list(made.dns_config.options)) == (
        ["10.96.0.10"], ["svc"], ["ndots:5"])
    port = made.port_mappings[0]
    assert (port.container_port, port.host_port, port.protocol, port.host_ip) == (80, 8080, 1, "127.0.0.1")
    assert (made.linux.cgroup_parent, dict(made.linux.sysctls)) == ("/kubepods/poduid", {"net.x": "1"})
    assert render._limits(made.linux.resources) == LIMITS
    assert made.linux.overhead.cpu_shares == 2
    assert made.linux.security_context.privileged
    assert made.linux.security_context.namespace_options.network == 2


def test_what_is_not_said_is_not_sent() -> None:
    made = message("ContainerConfig", render.container_config(ContainerSpec("m", "i"), {}))
    security = made.linux.security_context
    # root is a user too: absence and zero differ
    assert not security.HasField("run_as_user")
    assert message("ContainerConfig", render.container_config(ContainerSpec("m", "i", security=Security(uid=0)), {})
                   ).linux.security_context.HasField("run_as_user")
    # nothing said means Unconfined in the API, but the runtime's own profile on the wire
    assert security.seccomp.profile_type == 1
    assert not security.HasField("apparmor")
    sandbox = message("PodSandboxConfig", render.sandbox_config(PodSandboxSpec("a", "b", "c")))
    assert not sandbox.HasField("dns_config")
    assert not sandbox.linux.HasField("resources")


def test_a_credential_is_sent_but_never_printed() -> None:
    credential = Credential("user", "hunter2", "YTpi", "identity", "registry", "https://r")
    assert "hunter2" not in repr(credential)
    assert "YTpi" not in repr(credential)
    made = message("AuthConfig", render.auth_config(credential))
    assert (made.username, made.password, made.auth, made.identity_token, made.registry_token, made.server_address) == (
        "user", "hunter2", "YTpi", "identity", "registry", "https://r")


@pytest.mark.parametrize(("number", "state"), list(enumerate((State.CREATED, State.RUNNING, State.EXITED, State.UNKNOWN))))
def test_a_containers_status_is_read(number: int, state: State) -> None:
    made = message("ContainerStatus", {
        "id": "c", "metadata": {"name": "main", "attempt": 1}, "state": number, "created_at": 1_500_000_000_000_000_000,
        "started_at": 0, "finished_at": 1_500_000_001_000_000_000, "exit_code": 137, "image": {"image": "busybox"},
        "image_ref": "sha256:1", "reason": "OOMKilled", "message": "m", "labels": {"a": "b"}, "log_path": "/l",
        "resources": {"linux": render.resources(LIMITS)}})
    status = render.container_status(made, "s")
    assert (status.container.id, status.container.sandbox_id, status.container.attempt) == ("c", "s", 1)
    assert status.container.state is state
    assert (status.exit_code, status.reason, status.message) == (137, "OOMKilled", "m")
    assert status.started_at is None
    assert status.finished_at is not None
    assert status.finished_at.isoformat() == "2017-07-14T02:40:01+00:00"
    assert status.resources == LIMITS


def test_addresses_of_both_families_are_read() -> None:
    made = message("PodSandboxStatus", {"id": "s", "network": {"ip": "10.0.0.2", "additional_ips": [{"ip": "fd00::2"}]}})
    assert render.sandbox_status(made, "/ns").ips == ("10.0.0.2", "fd00::2")
    assert render.sandbox_status(message("PodSandboxStatus", {"id": "s"}), "").ips == ()


def test_counters_are_read_and_added_up() -> None:
    usage = {"attributes": {"id": "c", "metadata": {"name": "main"}, "labels": {"a": "b"}},
             "cpu": {"timestamp": 10**18, "usage_core_nano_seconds": {"value": 7}},
             "memory": {"usage_bytes": {"value": 30}, "working_set_bytes": {"value": 20}, "rss_bytes": {"value": 10}},
             "writable_layer": {"fs_id": {"mountpoint": "/m"}, "used_bytes": {"value": 5}, "inodes_used": {"value": 2}}}
    part = render.container_stats(message("ContainerStats", usage), "s")
    assert (part.name, part.cpu_nanoseconds, part.memory_usage_bytes, part.memory_working_set_bytes) == ("main", 7, 30, 20)
    assert part.filesystem is not None
    assert (part.filesystem.used_bytes, part.filesystem.inodes_used) == (5, 2)
    whole = render.sandbox_stats(message("PodSandboxStats", {
        "attributes": {"id": "s"}, "linux": {"containers": [usage], "cpu": usage["cpu"], "memory": usage["memory"], "network": {
            "default_interface": {"name": "eth0", "rx_bytes": {"value": 1}, "tx_bytes": {"value": 2}}}}}))
    assert (whole.network_interface, whole.received_bytes, whole.sent_bytes) == ("eth0", 1, 2)
    assert whole.containers == (part,)
    owner = render.sandbox(message("PodSandbox", {"id": "s", "labels": {"x": "y"}}))
    summed = render.summed_stats(owner, [part, part])
    assert (summed.cpu_nanoseconds, summed.memory_usage_bytes, summed.labels) == (14, 60, {"x": "y"})
    assert render.summed_stats(owner, []).cpu_nanoseconds == 0
