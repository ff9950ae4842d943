"""Validation of containers: regular ones, init containers with their sidecars, ephemeral ones.

Source: kubernetes `pkg/apis/core/validation` (`validateContainers`, `validateInitContainers`, `validateEphemeralContainers`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api import field, names
from sampan.api.core.v1 import Container, ContainerPort, EphemeralContainer, PodSpec, ResourceRequirements, Volume
from sampan.api.errors import FieldError
from sampan.kinds.core.pod_spec import env, mounts, probes, resources, security
from sampan.kinds.core.pod_spec.volumes import PULL_POLICIES

Errors = list[FieldError]

PROTOCOLS = ("SCTP", "TCP", "UDP")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_ONLY_SIDECARS = "may not be set for init containers without restartPolicy=Always"
_ONLY_RESTARTED = "must not be set to 'RestartContainer' for non-sidecar initContainers"
_RESIZE_POLICIES = ("NotRequired", "RestartContainer")
_NO_POLICY = "must specify restartPolicy when restart rules are used"
_MAX_RULES, _MAX_EXIT_CODES = 20, 255
_DEBUG = "cannot be set for an Ephemeral Container"
# in the order of upstream's type
_NOT_FOR_EPHEMERAL = ("ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe",
                      "readinessProbe", "startupProbe", "lifecycle")


@dataclass(frozen=True, slots=True)
class Context:
    """What containers are checked against."""

    spec: PodSpec
    volumes: Mapping[str, Volume]
    claims: Collection[str]
    host_users: bool
    is_pod: bool


def containers(errors: Errors, context: Context, path: str) -> None:
    """Findings about the three lists of containers; `path` is the spec's."""
    spec = context.spec
    regular = spec.containers or []
    if not regular:
        errors.append(field.required(f"{path}.containers"))
    seen: set[str] = set()
    grace = spec.terminationGracePeriodSeconds
    for index, one in enumerate(regular):
        at = f"{path}.containers[{index}]"
        _common(errors, one, at, context)
        if one.name in seen:
            errors.append(field.duplicate(f"{at}.name", one.name))
        seen.add(one.name)
        if one.lifecycle is not None:
            probes.lifecycle(errors, one.lifecycle, grace, f"{at}.lifecycle")
        if one.livenessProbe is not None or one.readinessProbe is not None or one.startupProbe is not None:
            probes.probes(errors, one, grace, at)
        if one.restartPolicy is not None or one.restartPolicyRules:
            _restart(errors, one, at)
    if regular:
        host_ports(errors, regular, f"{path}.containers")
    if spec.initContainers:
        _init(errors, context, path)
    if spec.ephemeralContainers:
        _ephemeral(errors, context, path)


def _init(errors: Errors, context: Context, path: str) -> None:
    spec = context.spec
    seen = {one.name for one in spec.containers or ()}
    grace = spec.terminationGracePeriodSeconds
    for index, one in enumerate(spec.initContainers):
        at = f"{path}.initContainers[{index}]"
        _common(errors, one, at, context)
        if one.restartPolicy is not None:
            _restart(errors, one, at)
        elif one.restartPolicyRules:
            errors.append(field.required(f"{at}.restartPolicy", _NO_POLICY))
        if one.name in seen:
            errors.append(field.duplicate(f"{at}.name", one.name))
        elif one.name:
            seen.add(one.name)
        host_ports(errors, [one], f"{path}.initContainers")
        if one.restartPolicy == "Always":
            if one.lifecycle is not None:
                probes.lifecycle(errors, one.lifecycle, grace, f"{at}.lifecycle")
            probes.probes(errors, one, grace, at)
        else:
            errors += [field.forbidden(f"{at}.{name}", _ONLY_SIDECARS)
                       for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
                       if getattr(one, name) is not None]
            errors += [field.invalid(f"{at}.resizePolicy[{position}].restartPolicy", policy.restartPolicy, _ONLY_RESTARTED)
                       for position, policy in enumerate(one.resizePolicy) if policy.restartPolicy == "RestartContainer"]


def _ephemeral(errors: Errors, context: Context, path: str) -> None:
    spec = context.spec
    others = {one.name for one in (*(spec.containers or ()), *spec.initContainers)}
    seen = set(others)
    for index, one in enumerate(spec.ephemeralContainers):
        at = f"{path}.ephemeralContainers[{index}]"
        _common(errors, one, at, context)
        image_space(errors, one, at)
        if one.name in seen:
            errors.append(field.duplicate(f"{at}.name", one.name))
        seen.add(one.name)
        if one.targetContainerName and one.targetContainerName not in others:
            errors.append(field.not_found(f"{at}.targetContainerName", one.targetContainerName))
        errors += [field.forbidden(f"{at}.{name}", _DEBUG) for name in _NOT_FOR_EPHEMERAL if _is_set(getattr(one, name))]
        for position, mount in enumerate(one.volumeMounts):
            errors += [field.forbidden(f"{at}.volumeMounts[{position}].{name}", _DEBUG)
                       for name in ("subPath", "subPathExpr") if getattr(mount, name)]


def _is_set(value: Any) -> bool:
    if isinstance(value, ResourceRequirements):
        return bool(value.limits or value.requests or value.claims)
    return value not in (None, [], "")


def image_space(errors: Errors, container: Container | EphemeralContainer, path: str) -> None:
    """Blanks around an image: refused in pods, not in templates."""
    if container.image != container.image.strip():
        errors.append(field.invalid(f"{path}.image", container.image, "must not have leading or trailing whitespace"))


def _common(errors: Errors, one: Container | EphemeralContainer, path: str, context: Context) -> None:
    if not one.name:
        errors.append(field.required(f"{path}.name"))
    elif messages := names.dns1123_label(one.name):
        errors += field.invalid_each(f"{path}.name", one.name, messages)
    if not one.image:
        errors.append(field.required(f"{path}.image"))
    if one.terminationMessagePolicy not in _MESSAGE_POLICIES:
        errors.append(field.not_supported(f"{path}.terminationMessagePolicy", one.terminationMessagePolicy, _MESSAGE_POLICIES)
                      if one.terminationMessagePolicy else field.required(f"{path}.terminationMessagePolicy"))
    if one.ports:
        _ports(errors, one.ports, f"{path}.ports")
    if one.env:
        env.variables(errors, one.env, f"{path}.env")
    if one.envFrom:
        env.whole_sources(errors, one.envFrom, f"{path}.envFrom")
    if one.volumeMounts:
        mounts.mounts(errors, one, context.volumes, f"{path}.volumeMounts")
    if one.volumeDevices:
        mounts.devices(errors, one, context.volumes, f"{path}.volumeDevices")
    if one.imagePullPolicy not in PULL_POLICIES:
        errors.append(field.not_supported(f"{path}.imagePullPolicy", one.imagePullPolicy, PULL_POLICIES)
                      if one.imagePullPolicy else field.required(f"{path}.imagePullPolicy"))
    wanted = one.resources
    if wanted.limits or wanted.requests or wanted.claims:
        resources.requirements(errors, wanted, f"{path}.resources", context.claims)
    if one.resizePolicy:
        _resize_policy(errors, one, f"{path}.resizePolicy", context.spec.restartPolicy)
    if one.securityContext is not None:
        security.container_context(errors, one.securityContext, f"{path}.securityContext", host_users=context.host_users)


def _ports(errors: Errors, ports: list[ContainerPort], path: str) -> None:
    seen: set[str] = set()
    for index, one in enumerate(ports):
        if one.name:
            if messages := names.port_name(one.name):
                errors += field.invalid_each(f"{path}[{index}].name", one.name, messages)
            elif one.name in seen:
                errors.append(field.duplicate(f"{path}[{index}].name", one.name))
            seen.add(one.name)
        if not 1 <= one.containerPort <= 65535:
            errors += (field.invalid_each(f"{path}[{index}].containerPort", one.containerPort,
                                          names.port_number(one.containerPort))
                       if one.containerPort else [field.required(f"{path}[{index}].containerPort")])
        if one.hostPort and not 1 <= one.hostPort <= 65535:
            errors += field.invalid_each(f"{path}[{index}].hostPort", one.hostPort, names.port_number(one.hostPort))
        if one.protocol not in PROTOCOLS:
            errors.append(field.not_supported(f"{path}[{index}].protocol", one.protocol, PROTOCOLS) if one.protocol
                          else field.required(f"{path}[{index}].protocol"))


def host_ports(errors: Errors, all_containers: list[Container], path: str) -> None:
    """A host port given twice."""
    seen: set[str] = set()
    for index, container in enumerate(all_containers):
        for position, port in enumerate(container.ports):
            if port.hostPort:
                key = f"{port.protocol}/{port.hostIP}/{port.hostPort}"
                if key in seen:
                    errors.append(field.duplicate(f"{path}[{index}].ports[{position}].hostPort", key))
                seen.add(key)


def _resize_policy(errors: Errors, container: Container | EphemeralContainer, path: str, restart_policy: str) -> None:
    seen: set[str] = set()
    for index, one in enumerate(container.resizePolicy):
        if one.resourceName in seen:
            errors.append(field.duplicate(f"{path}[{index}]", one.resourceName))
        seen.add(one.resourceName)
        for value, supported in ((one.resourceName, ("cpu", "memory")), (one.restartPolicy, _RESIZE_POLICIES)):
            if value not in supported:
                errors.append(field.not_supported(path, value, supported) if value else field.required(path))
        if restart_policy == "Never" and one.restartPolicy != "NotRequired":
            errors.append(field.invalid(path, one.restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))


def _restart(errors: Errors, container: Container, path: str) -> None:
    policies = ("Always", "Never", "OnFailure")
    if container.restartPolicy is None:
        errors.append(field.required(f"{path}.restartPolicy", _NO_POLICY))
    elif container.restartPolicy not in policies:
        errors.append(field.not_supported(f"{path}.restartPolicy", container.restartPolicy, policies))
    rules = container.restartPolicyRules
    if len(rules) > _MAX_RULES:
        errors.append(field.too_many(f"{path}.restartPolicyRules", len(rules), _MAX_RULES))
    for index, rule in enumerate(rules):
        at = f"{path}.restartPolicyRules[{index}]"
        if rule.action not in ("Restart", "RestartAllContainers"):
            errors.append(field.not_supported(f"{at}.action", rule.action, ("Restart", "RestartAllContainers")))
        codes = rule.exitCodes
        if codes is None:
            errors.append(field.required(f"{at}.exitCodes", "must be specified"))
            continue
        if codes.operator not in ("In", "NotIn"):
            errors.append(field.not_supported(f"{at}.exitCodes.operator", codes.operator, ("In", "NotIn")))
        if len(codes.values) > _MAX_EXIT_CODES:
            errors.append(field.too_many(f"{at}.exitCodes.values", len(codes.values), _MAX_EXIT_CODES))
