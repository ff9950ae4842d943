"""Validation of what belongs to Windows or to Linux: options, host process containers, fields that one of them lacks.

Source: kubernetes `pkg/apis/core/validation` (`validateWindows`, `validateLinux`, `validateWindowsHostProcessPod`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sampan.api import field, names
from sampan.api.core.v1 import Container, EphemeralContainer, PodSpec, WindowsSecurityContextOptions
from sampan.api.errors import FieldError

Errors = list[FieldError]

_MAX_SPEC_KIB = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NET_BIOS = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_DNS = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*")
_BAD_USER = re.compile(r'["/\\:;|=,+*?<>@\[\]]')

# in upstream's order, each with where it is: the pod's spec or its security context
_NOT_ON_WINDOWS = (
    ("securityContext", "appArmorProfile"), ("securityContext", "seLinuxOptions"), ("spec", "hostUsers"), ("spec", "hostPID"),
    ("spec", "hostIPC"), ("securityContext", "seccompProfile"), ("securityContext", "fsGroup"),
    ("securityContext", "fsGroupChangePolicy"), ("securityContext", "sysctls"), ("spec", "shareProcessNamespace"),
    ("securityContext", "runAsUser"), ("securityContext", "runAsGroup"), ("securityContext", "supplementalGroups"),
    ("securityContext", "supplementalGroupsPolicy"), ("securityContext", "seLinuxChangePolicy"),
)
_CONTAINER_NOT_ON_WINDOWS = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)
_NO_WINDOWS = "cannot be set for a windows pod"


def every_container(spec: PodSpec, path: str) -> Iterator[tuple[Container | EphemeralContainer, str]]:
    """All containers with their paths, init containers first, as upstream visits them."""
    lists: tuple[tuple[str, Sequence[Container | EphemeralContainer]], ...] = (
        ("initContainers", spec.initContainers), ("containers", spec.containers or ()),
        ("ephemeralContainers", spec.ephemeralContainers),
    )
    for name, containers in lists:
        for index, container in enumerate(containers):
            yield container, f"{path}.{name}[{index}]"


def operating_system(errors: Errors, spec: PodSpec, path: str) -> None:
    """`spec.os`, and what the system named there lacks."""
    if spec.os is None:
        return
    if not spec.os.name:
        errors.append(field.required(f"{path}.os.name"))
    elif spec.os.name == "linux":
        _linux(errors, spec, path)
    elif spec.os.name == "windows":
        _windows(errors, spec, path)
    else:
        errors.append(field.not_supported(f"{path}.os", spec.os.name, ("linux", "windows")))


def _linux(errors: Errors, spec: PodSpec, path: str) -> None:
    detail = "windows options cannot be set for a linux pod"
    if spec.securityContext is not None and spec.securityContext.windowsOptions is not None:
        errors.append(field.forbidden(f"{path}.securityContext.windowsOptions", detail))
    for container, at in every_container(spec, path):
        context = container.securityContext
        if context is not None and context.windowsOptions is not None:
            errors.append(field.forbidden(f"{at}.securityContext.windowsOptions", detail))


def _windows(errors: Errors, spec: PodSpec, path: str) -> None:
    context = spec.securityContext
    if context is not None:
        for where, name in _NOT_ON_WINDOWS:
            value = getattr(spec if where == "spec" else context, name)
            if value not in (None, []) and (value is not False or name not in ("hostPID", "hostIPC")):
                at = f"{path}.{name}" if where == "spec" else f"{path}.securityContext.{name}"
                errors.append(field.forbidden(at, _NO_WINDOWS))
    for container, at in every_container(spec, path):
        own = container.securityContext
        if own is not None:
            errors += [field.forbidden(f"{at}.securityContext.{name}", _NO_WINDOWS)
                       for name in _CONTAINER_NOT_ON_WINDOWS if getattr(own, name) is not None]


def _asked_host_process(container: Container | EphemeralContainer) -> bool | None:
    context = container.securityContext
    return None if context is None or context.windowsOptions is None else context.windowsOptions.hostProcess


def host_process(errors: Errors, spec: PodSpec, path: str) -> None:
    """Host process containers: all or none, with the host's network."""
    context = spec.securityContext
    whole = context.windowsOptions.hostProcess if context is not None and context.windowsOptions is not None else None
    if whole is None and all(_asked_host_process(one) is None for one, _ in every_container(spec, path)):
        return
    count = total = 0
    for container, at in every_container(spec, path):
        total += 1
        own = _asked_host_process(container)
        if whole is not None and own is not None and whole != own:
            errors.append(field.invalid(f"{at}.securityContext.windowsOptions.hostProcess", own,
                                        "pod hostProcess value must be identical if both are specified, "
                                        f"was {'true' if whole else 'false'}"))
        count += bool(whole if own is None else own)
    if not count:
        return
    if count != total:
        errors.append(field.invalid(path, "", "If pod contains any hostProcess containers then all containers must be "
                                              "HostProcess containers"))
    if not spec.hostNetwork:
        errors.append(field.invalid(f"{path}.hostNetwork", spec.hostNetwork,
                                    "hostNetwork must be true if pod contains any hostProcess containers"))


def options(errors: Errors, wanted: WindowsSecurityContextOptions, path: str) -> None:
    """Findings about `windowsOptions` at `path`."""
    if wanted.gmsaCredentialSpecName is not None:
        errors += field.invalid_each(f"{path}.gmsaCredentialSpecName", wanted.gmsaCredentialSpecName,
                                     names.dns1123_subdomain(wanted.gmsaCredentialSpecName))
    spec = wanted.gmsaCredentialSpec
    if spec is not None:
        if not spec:
            errors.append(field.invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string"))
        elif len(spec.encode()) > _MAX_SPEC_KIB * 1024:
            errors.append(field.invalid(f"{path}.gmsaCredentialSpec", spec,
                                        f"gmsaCredentialSpec size must be under {_MAX_SPEC_KIB} KiB"))
    if wanted.runAsUserName is not None:
        at = f"{path}.runAsUserName"
        errors += [field.invalid(at, wanted.runAsUserName, detail) for detail in _user_name_problems(wanted.runAsUserName)]


def _user_name_problems(name: str) -> list[str]:
    if not name:
        return ["runAsUserName cannot be an empty string"]
    if _CONTROL.search(name):
        return ["runAsUserName cannot contain control characters"]
    parts = name.split("\\")
    if len(parts) > 2:
        return ["runAsUserName cannot contain more than one backslash"]
    found = []
    domain, user = parts if len(parts) == 2 else ("", name)
    if len(domain) >= 256:
        found.append("runAsUserName's Domain length must be under 256 characters")
    if len(parts) == 2 and not (_NET_BIOS.fullmatch(domain) or _DNS.fullmatch(domain)):
        found.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        found.append("runAsUserName's User cannot be empty")
    elif len(user) > 104:
        found.append("runAsUserName's User length must not be longer than 104 characters")
    if user and not user.strip(". "):
        found.append("runAsUserName's User cannot contain only periods or spaces")
    if _BAD_USER.search(user):
        found.append('runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]')
    return found
