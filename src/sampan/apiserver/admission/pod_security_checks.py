"""The Pod Security Standards: the checks of `baseline` and `restricted`, pure, in upstream's words.

Owns what a pod violates, by the rules of a minor version. Leaves which namespace wants which level to `pod_security`.
Source: `k8s.io/pod-security-admission/policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from sampan.api import goprint
from sampan.api.core.v1 import PodSpec
from sampan.api.meta.v1 import ObjectMeta
from sampan.kinds.core.pod_spec.marks import SECCOMP_CONTAINER, SECCOMP_POD

Level = Literal["privileged", "baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")


class Violation(NamedTuple):
    """`reason (detail)`."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[ObjectMeta, PodSpec], Violation | None]


class Rule(NamedTuple):
    """A check and the minor versions that it is for."""

    check: Check
    since: int = 0
    before: int = 1 << 31


def violations(level: Level, meta: ObjectMeta, spec: PodSpec, minor: int | None = None) -> list[Violation]:
    """What forbids the pod at that level of version 1.`minor` (None: the latest), in upstream's order."""
    if level == "privileged":
        return []
    version = NEWEST if minor is None else min(minor, NEWEST)
    rules = _BASELINE if level == "baseline" else _RESTRICTED
    return [found for rule in rules if rule.since <= version < rule.before and (found := rule.check(meta, spec)) is not None]


# --- words -----------------------------------------------------------------------------------------------------------


def _quote(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)  # what is in it stays as it is


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


def _sparing(spared: Callable[[PodSpec], bool], check: Check) -> Check:
    return lambda meta, spec: None if spared(spec) else check(meta, spec)


# --- baseline --------------------------------------------------------------------------------------------------------

_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_DEFAULT_CAPABILITIES = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT"))
_SELINUX_TYPES = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_SYSCTLS = frozenset((
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start"))
_SYSCTLS_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29 = _SYSCTLS_27 | {"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
                             "net.ipv4.tcp_keepalive_probes"}
_SYSCTLS_32 = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def _app_armor(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    whole = spec.securityContext.appArmorProfile if spec.securityContext is not None else None
    pod, bad, types = _profiles(whole, [(name, context.appArmorProfile) for name, context in _with_context(spec)])
    notes = sorted(f"{key}={goprint.quote(value)}" for key, value in meta.annotations.items()
                   if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/"))
    setters = ([_setters(pod, bad)] if pod or bad else []) + ([_plural("annotation", "annotations", len(notes))] if notes else [])
    if not setters:
        return None
    return Violation(_plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(types) + len(notes)),
                     f"{' and '.join(setters)} must not set AppArmor profile type to {_quote([*types, *notes])}")


def _profiles(whole: Any, owns: list[tuple[str, Any]]) -> tuple[bool, list[str], list[str]]:
    """(whether the pod's own profile is of a bad type, the containers whose are, these types)."""
    found = [(name, profile.type) for name, profile in owns
             if profile is not None and profile.type not in ("RuntimeDefault", "Localhost")]
    pod = whole is not None and whole.type not in ("RuntimeDefault", "Localhost")
    return pod, [name for name, _ in found], sorted({type for _, type in found} | ({whole.type} if pod else set()))


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
    return Violation("hostPort", f"{_containers(bad)} {_plural('uses', 'use', len(bad))} {word} {shown}")


def _host_probes(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    bad: list[str] = []
    hosts: set[str] = set()
    for container in _all(spec):
        actions = [container.livenessProbe, container.readinessProbe, container.startupProbe]
        if container.lifecycle is not None:
            actions += [container.lifecycle.postStart, container.lifecycle.preStop]
        named = {part.host for action in actions if action is not None for part in (action.httpGet, action.tcpSocket)
                 if part is not None and part.host}
        if named:
            bad.append(container.name)
            hosts |= named
    if not bad:
        return None
    word = _plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    return Violation("probe or lifecycle host", f"{_containers(sorted(bad))} {_plural('uses', 'use', len(bad))} {word} {_quote(sorted(hosts))}")


def _privileged(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    bad = [name for name, context in _with_context(spec) if context.privileged]
    return Violation("privileged", f"{_containers(bad)} must not set securityContext.privileged=true") if bad else None


def _proc_mount(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    found = [(name, context.procMount) for name, context in _with_context(spec) if context.procMount not in (None, "", "Default")]
    if not found:
        return None
    return Violation("procMount", f"{_containers([name for name, _ in found])} must not set securityContext.procMount to "
                                  f"{_quote(sorted({mount for _, mount in found}))}")


def _se_linux(allowed: frozenset[str]) -> Check:
    return lambda _, spec: _se_linux_options(spec, allowed)


def _se_linux_options(spec: PodSpec, allowed: frozenset[str]) -> Violation | None:
    types: set[str] = set()
    user = role = False

    def judge(options: Any) -> bool:
        nonlocal user, role
        if options is None:
            return False
        bad = options.type not in allowed
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
    return Violation("seLinuxOptions", f"{_setters(pod, bad)} set forbidden securityContext.seLinuxOptions: {'; '.join(parts)}")


def _seccomp_annotations(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    keys = {SECCOMP_POD, *(f"{SECCOMP_CONTAINER}{one.name}" for one in _all(spec))} & meta.annotations.keys()
    bad = sorted(f"{key}={goprint.quote(value)}" for key in keys if (value := meta.annotations[key]) not in (
        "runtime/default", "docker/default") and not value.startswith("localhost/"))
    return Violation("seccompProfile", f"forbidden {_plural('annotation', 'annotations', len(bad))} {', '.join(bad)}") if bad else None


def _seccomp(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    whole = spec.securityContext.seccompProfile if spec.securityContext is not None else None
    pod, bad, types = _profiles(whole, [(name, context.seccompProfile) for name, context in _with_context(spec)])
    return Violation("seccompProfile", f"{_setters(pod, bad)} must not set securityContext.seccompProfile.type to "
                                       f"{_quote(types)}") if pod or bad else None


def _sysctls(allowed: frozenset[str]) -> Check:
    return lambda _, spec: _sysctls_beyond(spec, allowed)


def _sysctls_beyond(spec: PodSpec, allowed: frozenset[str]) -> Violation | None:
    found = [one.name for one in (spec.securityContext.sysctls if spec.securityContext is not None else ())
             if one.name not in allowed]
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
    bad = [one.name for one in _all(spec)
           if one.securityContext is None or one.securityContext.allowPrivilegeEscalation is not False]
    return Violation("allowPrivilegeEscalation != false",
                     f"{_containers(bad)} must set securityContext.allowPrivilegeEscalation=false") if bad else None


def _capabilities_restricted(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
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
    pod = spec.securityContext is not None and spec.securityContext.runAsUser == 0
    bad = [name for name, context in _with_context(spec) if context.runAsUser == 0]
    return Violation("runAsUser=0", f"{_setters(pod, bad)} must not set runAsUser=0") if pod or bad else None


def _seccomp_restricted(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    if (found := _seccomp(meta, spec)) is not None:
        return found
    if spec.securityContext is not None and spec.securityContext.seccompProfile is not None:
        return None
    bad = [one.name for one in _all(spec) if one.securityContext is None or one.securityContext.seccompProfile is None]
    return Violation("seccompProfile", f"pod or {_containers(bad)} must set securityContext.seccompProfile.type to "
                                       '"RuntimeDefault" or "Localhost"') if bad else None


_proc_mount_outside = _sparing(_in_user_namespace, _proc_mount)

# in the order of upstream's ids
_BASELINE: tuple[Rule, ...] = (
    Rule(_app_armor), Rule(_capabilities_baseline), Rule(_host_namespaces), Rule(_host_paths), Rule(_host_ports), Rule(_host_probes, 34),
    Rule(_privileged), Rule(_proc_mount, before=35), Rule(_proc_mount_outside, 35),
    Rule(_se_linux(_SELINUX_TYPES), before=31), Rule(_se_linux(_SELINUX_TYPES | {"container_engine_t"}), 31),
    Rule(_seccomp_annotations, before=19), Rule(_seccomp, 19),
    Rule(_sysctls(_SYSCTLS), before=27), Rule(_sysctls(_SYSCTLS_27), 27, 29), Rule(_sysctls(_SYSCTLS_29), 29, 32),
    Rule(_sysctls(_SYSCTLS_32), 32), Rule(_windows_host_process))
# from these versions on a restricted check takes the place of the baseline's
_OVERRIDDEN: dict[Check, int] = {_capabilities_baseline: 22, _host_paths: 0, _proc_mount_outside: 35, _seccomp: 19}
_RESTRICTED: tuple[Rule, ...] = (
    *(rule._replace(before=min(rule.before, _OVERRIDDEN.get(rule.check, rule.before))) for rule in _BASELINE),
    Rule(_privilege_escalation, 8, 25), Rule(_sparing(_is_windows, _privilege_escalation), 25),
    Rule(_capabilities_restricted, 22, 25), Rule(_sparing(_is_windows, _capabilities_restricted), 25),
    Rule(_proc_mount, 35), Rule(_restricted_volumes),
    Rule(_run_as_non_root, before=35), Rule(_sparing(_in_user_namespace, _run_as_non_root), 35),
    Rule(_run_as_user, 23, 35), Rule(_sparing(_in_user_namespace, _run_as_user), 35),
    Rule(_seccomp_restricted, 19, 25), Rule(_sparing(_is_windows, _seccomp_restricted), 25))
NEWEST = max(rule.since for rule in _RESTRICTED)
"""The newest minor version that has rules of its own: later ones have the same."""
