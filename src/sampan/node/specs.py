"""A pod and its containers as the runtime wants them. Pure.

Source: kubelet `pkg/kubelet/kuberuntime/{kuberuntime_sandbox,kuberuntime_container,security_context}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from sampan.api.core.v1 import Container, Pod, PodSecurityContext, SecurityContext
from sampan.node.config import NodeSettings
from sampan.node.resources import cgroup_path, container_resources, pod_resources
from sampan.node.runtimes.spec import (
    ContainerSpec,
    DNSConfig,
    Mount,
    Namespace,
    PodSandboxSpec,
    PortMapping,
    Profile,
    Security,
)
from sampan.node.surroundings import host_name

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
RESTART_COUNT = "io.kubernetes.container.restartCount"


class NotRunnable(Exception):
    """The pod asks for what its image or policy forbids; becomes CreateContainerConfigError."""


def pod_labels(pod: Pod) -> dict[str, str]:
    """What finds a pod's sandboxes and containers again, after whatever restart."""
    meta = pod.metadata
    return {POD_NAME: meta.name, POD_NAMESPACE: meta.namespace, POD_UID: meta.uid}


def log_folder(pod: Pod) -> str:
    """The folder of a pod's logs below the log root."""
    meta = pod.metadata
    return f"{meta.namespace}_{meta.name}_{meta.uid}"


def sandbox_spec(pod: Pod, attempt: int, dns: DNSConfig, settings: NodeSettings, runtime_handler: str = "") -> PodSandboxSpec:
    """The pod's surroundings."""
    spec = pod.spec
    ports = () if spec.hostNetwork else tuple(
        PortMapping(port.containerPort, port.hostPort, port.protocol or "TCP", port.hostIP)
        for container in [*(spec.containers or ()), *spec.initContainers] for port in container.ports if port.hostPort)
    context = spec.securityContext or PodSecurityContext()
    return PodSandboxSpec(
        name=pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid, attempt=attempt,
        hostname="" if spec.hostNetwork else host_name(pod),
        log_directory=f"{settings.log_root}/{log_folder(pod)}",
        dns=dns, port_mappings=ports,
        labels={**pod.metadata.labels, **pod_labels(pod)},
        annotations=dict(pod.metadata.annotations),
        cgroup_parent=cgroup_path(settings.cgroup_root, pod) if settings.manage_cgroups else "",
        sysctls={entry.name: entry.value for entry in context.sysctls},
        security=Security(
            uid=context.runAsUser, gid=context.runAsGroup,
            supplemental_groups=_groups(context),
            network=Namespace.NODE if spec.hostNetwork else Namespace.POD,
            pid=_pid(pod), ipc=Namespace.NODE if spec.hostIPC else Namespace.POD,
            privileged=any(c.securityContext is not None and c.securityContext.privileged
                           for c in [*(spec.containers or ()), *spec.initContainers]),
            seccomp=Profile("RuntimeDefault"),
        ),
        resources=pod_resources(pod),
        runtime_handler=runtime_handler,
    )


def _pid(pod: Pod) -> Namespace:
    if pod.spec.hostPID:
        return Namespace.NODE
    return Namespace.POD if pod.spec.shareProcessNamespace else Namespace.CONTAINER


def _groups(context: PodSecurityContext) -> tuple[int, ...]:
    return tuple(dict.fromkeys([*context.supplementalGroups, *([context.fsGroup] if context.fsGroup is not None else [])]))


def security(pod: Pod, container: Container, target_id: str = "") -> Security:
    """The container's security context over the pod's."""
    common, own = pod.spec.securityContext or PodSecurityContext(), container.securityContext or SecurityContext()
    seccomp = own.seccompProfile or common.seccompProfile
    apparmor = own.appArmorProfile or common.appArmorProfile
    selinux = own.seLinuxOptions or common.seLinuxOptions
    capabilities = own.capabilities
    unmasked = own.procMount == "Unmasked" or bool(own.privileged)
    return Security(
        uid=own.runAsUser if own.runAsUser is not None else common.runAsUser,
        gid=own.runAsGroup if own.runAsGroup is not None else common.runAsGroup,
        supplemental_groups=_groups(common),
        supplemental_groups_strict=common.supplementalGroupsPolicy == "Strict",
        privileged=bool(own.privileged),
        readonly_root=bool(own.readOnlyRootFilesystem),
        no_new_privileges=own.allowPrivilegeEscalation is False,
        add_capabilities=tuple(capabilities.add) if capabilities is not None else (),
        drop_capabilities=tuple(capabilities.drop) if capabilities is not None else (),
        seccomp=Profile("Unconfined") if seccomp is None or own.privileged else Profile(seccomp.type, seccomp.localhostProfile or ""),
        apparmor=None if apparmor is None else Profile(apparmor.type, apparmor.localhostProfile or ""),
        selinux={} if selinux is None else {"user": selinux.user, "role": selinux.role, "type": selinux.type, "level": selinux.level},
        masked_paths=() if unmasked else None,
        readonly_paths=() if unmasked else None,
        network=Namespace.NODE if pod.spec.hostNetwork else Namespace.POD,
        pid=Namespace.TARGET if target_id else _pid(pod),
        ipc=Namespace.NODE if pod.spec.hostIPC else Namespace.POD,
        target_id=target_id,
    )


def check_user(pod: Pod, container: Container, image_uid: int | None, image_user: str) -> None:
    """Hold `runAsNonRoot` against what would run.

    Raises:
        NotRunnable: It would run as root, or nobody can tell.
    """
    common, own = pod.spec.securityContext or PodSecurityContext(), container.securityContext or SecurityContext()
    wanted = own.runAsNonRoot if own.runAsNonRoot is not None else common.runAsNonRoot
    if not wanted:
        return
    uid = own.runAsUser if own.runAsUser is not None else common.runAsUser
    about = f'(pod: "{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})", container: {container.name})'
    if uid == 0:
        raise NotRunnable(f"container's runAsUser breaks non-root policy {about}")
    if uid is None and image_user:
        raise NotRunnable(f"container has runAsNonRoot and image has non-numeric user ({image_user}), cannot verify user is non-root {about}")
    if uid is None and (image_uid is None or image_uid == 0):
        raise NotRunnable(f"container has runAsNonRoot and image will run as root {about}")


class Prepared(Struct, frozen=True):
    """What had to be looked up, pulled or mounted before a container can be made."""

    image: str
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()


def container_spec(pod: Pod, container: Container, attempt: int, prepared: Prepared, *, node_memory_bytes: int,
                   target_id: str = "") -> ContainerSpec:
    """One attempt of a container."""
    return ContainerSpec(
        name=container.name, image=prepared.image, image_name=container.image, attempt=attempt,
        command=prepared.command, args=prepared.args, working_dir=container.workingDir,
        env=tuple(prepared.env.items()), mounts=prepared.mounts,
        labels={**pod_labels(pod), CONTAINER_NAME: container.name},
        annotations={RESTART_COUNT: str(attempt)},
        log_path=f"{container.name}/{attempt}.log",
        stdin=container.stdin, stdin_once=container.stdinOnce, tty=container.tty,
        security=security(pod, container, target_id),
        resources=container_resources(pod, container, node_memory_bytes),
    )
