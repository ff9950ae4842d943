"""The Pod Security Standards: the checks of `baseline` and `restricted`, pure, in upstream's words.

Owns what a pod violates. Leaves which namespace wants which level to `pod_security`.
Checks are those of the newest version whatever version a namespace names.
Source: `k8s.io/pod-security-admission/policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from sampan.api import goprint
from sampan.api.core.v1 import PodSpec
from sampan.api.meta.v1 import ObjectMeta

Level = Literal["privileged", "baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")


class Violation(NamedTuple):
    """`reason (detail)`."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[ObjectMeta, PodSpec], Violation | None]


def violations(level: Level, meta: ObjectMeta, spec: PodSpec) -> list[Violation]:
    """What forbids the pod at that level, in upstream's order."""
    if level == "privileged":
        return []
    checks = _BASELINE if level == "baseline" else _RESTRICTED
    return [found for check in checks if (found := check(meta, spec)) is not None]


# --- words -----------------------------------------------------------------------------------------------------------


def _quote(values: Iterable[str]) -> str:
    return ", ".join(map(goprint.quote, values))


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _containers(names: list[str]) -> str:
    return f"{_plural('container', 'containers', len(names))} {_quote(names)}"


def _setters(pod: bool, containers: list[str]) -> str:
    return " and ".join((["pod"] if pod else []) + ([_containers(containers)] if containers else []))


def _all(spec: PodSpec) -> list[Any]:
    return [*spec.initContainers, *(spec.containers or ()), *spec.ephemeralContainers]


def _with_context(spec: PodSpec) -> list[tuple[str, Any]]:
    return [(one.name, one.securityContext) for one in _all(spec) if one.securityContext is not None]


def _is_windows(spec: PodSpec) -> bool:
    return spec.os is not None and spec.os.name == "windows"


def _in_user_namespace(spec: PodSpec) -> bool:
    """Root of a user namespace is nobody outside it: some checks need not hold."""
    return spec.hostUsers is False


# --- baseline --------------------------------------------------------------------------------------------------------

_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_DEFAULT_CAPABILITIES = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT"))
_SELINUX_TYPES = frozenset(("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"))
_SYSCTLS = frozenset((
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem"))


def _app_armor(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    values: list[str] = []
    pod = spec.securityContext.appArmorProfile if spec.securityContext is not None else None
    bad_pod = pod is not None and pod.type not in ("RuntimeDefault", "Localhost")
    if pod is not None and bad_pod:
        values.append(goprint.quote(pod.type))
    bad = []
    for name, context in _with_context(spec):
        profile = context.appArmorProfile
        if profile is not None and profile.type not in ("RuntimeDefault", "Localhost"):
            bad.append(name)
            values.append(goprint.quote(profile.type))
    setters = _setters(bad_pod, bad)
    details = [f"{setters} must not set AppArmor profile type to {', '.join(sorted(set(values)))}"] if setters else []
    notes = sorted(f"{goprint.quote(key)}={goprint.quote(value)}" for key, value in meta.annotations.items()
                   if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/"))
    if notes:
        details.append(f"{_plural('annotation', 'annotations', len(notes))} {', '.join(notes)}")
    count = len(set(values)) + len(notes)
    return Violation(_plural("forbidden AppArmor profile", "forbidden AppArmor profiles", count), " and ".join(details)) \
        if details else None


def _capabilities_baseline(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    bad, found = _added(spec, _DEFAULT_CAPABILITIES)
    return Violation("non-default capabilities", f"{_containers(bad)} must not include {_quote(found)} in "
                                                 "securityContext.capabilities.add") if bad else None


def _added(spec: PodSpec, allowed: frozenset[str]) -> tuple[list[str], list[str]]:
    bad: list[str] = []
    found: set[str] = set()
    for name, context in _with_context(spec):
        extra = [one for one in (context.capabilities.add if context.capabilities is not None else ()) if one not in allowed]
        if extra:
            bad.append(name)
            found.update(extra)
    return bad, sorted(found)


def _host_namespaces(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    found = [f"{word}=true" for word, on in (("hostNetwork", spec.hostNetwork), ("hostPID", spec.hostPID),
                                              ("hostIPC", spec.hostIPC)) if on]
    return Violation("host namespaces", ", ".join(found)) if found else None


def _host_paths(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    found = [volume.name for volume in spec.volumes if volume.hostPath is not None]
    return Violation("hostPath volumes", f"{_plural('volume', 'volumes', len(found))} {_quote(found)}") if found else None


def _host_ports(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    bad: list[str] = []
    ports: set[int] = set()
    for container in _all(spec):
        used = [port.hostPort for port in container.ports if port.hostPort]
        if used:
            bad.append(container.name)
            ports.update(used)
    if not bad:
        return None
    word = _plural("hostPort", "hostPorts", len(ports))
    shown = ", ".join(sorted(map(str, ports)))
    return Violation(word, f"{_containers(bad)} {_plural('uses', 'use', len(bad))} {word} {shown}")


def _host_probes(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    bad: list[str] = []
    hosts: set[str] = set()
    for container in _all(spec):
        actions = [container.livenessProbe, container.readinessProbe, container.startupProbe]
        if container.lifecycle is not None:
            actions += [container.lifecycle.postStart, container.lifecycle.preStop]
        named = {part.host for action in actions if action is not None for part in (action.httpGet, action.tcpSocket)
                 if part is not None and part.host not in ("", "127.0.0.1", "::1")}
        if named:
            bad.append(container.name)
            hosts |= named
    if not bad:
        return None
    word = _plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    return Violation(word, f"{_containers(bad)} {_plural('uses', 'use', len(bad))} {word} {_quote(sorted(hosts))}")


def _privileged(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    bad = [name for name, context in _with_context(spec) if context.privileged]
    return Violation("privileged", f"{_containers(bad)} must not set securityContext.privileged=true") if bad else None


def _proc_mount(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    if _in_user_namespace(spec):
        return None
    found = [(name, context.procMount) for name, context in _with_context(spec) if context.procMount not in (None, "", "Default")]
    if not found:
        return None
    return Violation("procMount", f"{_containers([name for name, _ in found])} must not set securityContext.procMount to "
                                  f"{_quote(sorted({mount for _, mount in found}))}")


def _se_linux(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    types: set[str] = set()
    user = role = False

    def judge(options: Any) -> bool:
        nonlocal user, role
        if options is None:
            return False
        bad = options.type not in _SELINUX_TYPES
        if bad:
            types.add(options.type)
        user, role = user or bool(options.user), role or bool(options.role)
        return bad or bool(options.user) or bool(options.role)

    pod = judge(spec.securityContext.seLinuxOptions if spec.securityContext is not None else None)
    bad = [name for name, context in _with_context(spec) if judge(context.seLinuxOptions)]
    if not pod and not bad:
        return None
    parts = [f"{_plural('type', 'types', len(types))} {_quote(sorted(types))}"] if types else []
    parts += ["user may not be set"] if user else []
    parts += ["role may not be set"] if role else []
    count = len(bad) + pod
    return Violation("seLinuxOptions", f"{_setters(pod, bad)} set forbidden securityContext.seLinuxOptions: {'; '.join(parts)}") \
        if count else None


def _seccomp_baseline(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    return _seccomp_explicit(spec)


def _seccomp_explicit(spec: PodSpec) -> Violation | None:
    pod = spec.securityContext.seccompProfile if spec.securityContext is not None else None
    values = {pod.type} if pod is not None and pod.type not in ("RuntimeDefault", "Localhost") else set()
    bad = []
    for name, context in _with_context(spec):
        profile = context.seccompProfile
        if profile is not None and profile.type not in ("RuntimeDefault", "Localhost"):
            bad.append(name)
            values.add(profile.type)
    if not values:
        return None
    bad_pod = pod is not None and pod.type not in ("RuntimeDefault", "Localhost")
    return Violation("seccompProfile", f"{_setters(bad_pod, bad)} must not set securityContext.seccompProfile.type to "
                                       f"{_quote(sorted(values))}")


def _sysctls(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    found = [one.name for one in (spec.securityContext.sysctls if spec.securityContext is not None else ())
             if one.name not in _SYSCTLS]
    return Violation("forbidden sysctls", ", ".join(found)) if found else None


def _windows_host_process(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    options = spec.securityContext.windowsOptions if spec.securityContext is not None else None
    pod = options is not None and bool(options.hostProcess)
    bad = [name for name, context in _with_context(spec)
           if context.windowsOptions is not None and context.windowsOptions.hostProcess]
    return Violation("hostProcess", f"{_setters(pod, bad)} must not set securityContext.windowsOptions.hostProcess=true") \
        if pod or bad else None


# --- restricted ------------------------------------------------------------------------------------------------------

_VOLUME_TYPES = frozenset(("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
                           "projected", "secret"))


def _privilege_escalation(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    if _is_windows(spec):
        return None
    bad = [one.name for one in _all(spec)
           if one.securityContext is None or one.securityContext.allowPrivilegeEscalation is not False]
    return Violation("allowPrivilegeEscalation != false",
                     f"{_containers(bad)} must set securityContext.allowPrivilegeEscalation=false") if bad else None


def _capabilities_restricted(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    if _is_windows(spec):
        return None
    keeping = []
    for container in _all(spec):
        capabilities = container.securityContext.capabilities if container.securityContext is not None else None
        if capabilities is None or "ALL" not in capabilities.drop:
            keeping.append(container.name)
    details = [f'{_containers(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    adding, found = _added(spec, frozenset(("NET_BIND_SERVICE",)))
    if adding:
        details.append(f"{_containers(adding)} must not include {_quote(found)} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _restricted_volumes(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    bad: list[str] = []
    types: set[str] = set()
    for volume in spec.volumes:
        kinds = [name for name in volume.__struct_fields__ if name != "name" and getattr(volume, name) is not None]
        if not any(kind in _VOLUME_TYPES for kind in kinds):
            bad.append(volume.name)
            types.update(kinds or ["unknown"])
    if not bad:
        return None
    words = (_plural("volume", "volumes", len(bad)), _plural("uses", "use", len(bad)),
             _plural("restricted volume type", "restricted volume types", len(types)))
    return Violation("restricted volume types", f"{words[0]} {_quote(bad)} {words[1]} {words[2]} {_quote(sorted(types))}")


def _run_as_non_root(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    if _in_user_namespace(spec):
        return None
    pod = spec.securityContext.runAsNonRoot if spec.securityContext is not None else None
    explicit, implicit = [], []
    for container in _all(spec):
        own = container.securityContext.runAsNonRoot if container.securityContext is not None else None
        if own is False:
            explicit.append(container.name)
        elif own is None and not pod:
            implicit.append(container.name)
    if pod is False or explicit:
        return Violation("runAsNonRoot != true", f"{_setters(pod is False, explicit)} must not set securityContext.runAsNonRoot=false")
    if implicit:
        return Violation("runAsNonRoot != true", f"pod or {_containers(implicit)} must set securityContext.runAsNonRoot=true")
    return None


def _run_as_user(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    if _in_user_namespace(spec):
        return None
    pod = spec.securityContext is not None and spec.securityContext.runAsUser == 0
    bad = [name for name, context in _with_context(spec) if context.runAsUser == 0]
    return Violation("runAsUser=0", f"{_setters(pod, bad)} must not set runAsUser=0") if pod or bad else None


def _seccomp_restricted(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    if _is_windows(spec):
        return None
    if (found := _seccomp_explicit(spec)) is not None:
        return found
    if spec.securityContext is not None and spec.securityContext.seccompProfile is not None:
        return None
    bad = [one.name for one in _all(spec) if one.securityContext is None or one.securityContext.seccompProfile is None]
    return Violation("seccompProfile", f"pod or {_containers(bad)} must set securityContext.seccompProfile.type to "
                                       '"RuntimeDefault" or "Localhost"') if bad else None


# in the order of upstream's ids; a restricted check takes the place of the baseline's of its sort
_BASELINE: tuple[Check, ...] = (
    _app_armor, _capabilities_baseline, _host_namespaces, _host_paths, _host_ports, _host_probes, _privileged, _proc_mount,
    _se_linux, _seccomp_baseline, _sysctls, _windows_host_process)
_RESTRICTED: tuple[Check, ...] = (
    _app_armor, _host_namespaces, _host_ports, _host_probes, _privileged, _proc_mount, _se_linux, _sysctls,
    _windows_host_process, _privilege_escalation, _capabilities_restricted, _restricted_volumes, _run_as_non_root, _run_as_user,
    _seccomp_restricted)
