"""Validation of probes and lifecycle handlers.

Source: kubernetes `pkg/apis/core/validation` (`validateProbe`, `validateHandler`, `validateLifecycle`).
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.core.v1 import HTTPGetAction, Lifecycle, LifecycleHandler, Probe
from sampan.api.errors import FieldError

Errors = list[FieldError]

_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_ONE_TYPE = "may not specify more than 1 handler type"


def probes(errors: Errors, container: object, grace_seconds: int | None, path: str) -> None:
    """Findings about the three probes of a container at `path`."""
    liveness: Probe | None = container.livenessProbe  # type: ignore[attr-defined]
    readiness: Probe | None = container.readinessProbe  # type: ignore[attr-defined]
    startup: Probe | None = container.startupProbe  # type: ignore[attr-defined]
    if liveness is not None:
        _probe(errors, liveness, f"{path}.livenessProbe")
        _one_success(errors, liveness, f"{path}.livenessProbe")
    if readiness is not None:
        _probe(errors, readiness, f"{path}.readinessProbe")
        if readiness.terminationGracePeriodSeconds is not None:
            errors.append(field.invalid(f"{path}.readinessProbe.terminationGracePeriodSeconds",
                                        readiness.terminationGracePeriodSeconds, "must not be set for readinessProbes"))
    if startup is not None:
        _probe(errors, startup, f"{path}.startupProbe")
        _one_success(errors, startup, f"{path}.startupProbe")


def _one_success(errors: Errors, probe: Probe, path: str) -> None:
    if probe.successThreshold != 1:
        errors.append(field.invalid(f"{path}.successThreshold", probe.successThreshold, "must be 1"))


def _probe(errors: Errors, probe: Probe, path: str) -> None:
    _handler(errors, probe, path, None)
    if min(probe.initialDelaySeconds, probe.timeoutSeconds, probe.periodSeconds, probe.successThreshold,
           probe.failureThreshold) < 0:
        errors += [field.invalid(f"{path}.{name}", getattr(probe, name), "must be greater than or equal to 0")
                   for name in _NUMBERS if getattr(probe, name) < 0]
    if probe.terminationGracePeriodSeconds is not None and probe.terminationGracePeriodSeconds <= 0:
        errors.append(field.invalid(f"{path}.terminationGracePeriodSeconds", probe.terminationGracePeriodSeconds,
                                    "must be greater than 0"))


def lifecycle(errors: Errors, wanted: Lifecycle, grace_seconds: int | None, path: str) -> None:
    """Findings about `lifecycle` at `path`."""
    if wanted.postStart is not None:
        _handler(errors, wanted.postStart, f"{path}.postStart", grace_seconds)
    if wanted.preStop is not None:
        _handler(errors, wanted.preStop, f"{path}.preStop", grace_seconds)


def _handler(errors: Errors, handler: Probe | LifecycleHandler, path: str, grace_seconds: int | None) -> None:
    found = 0
    if handler.exec is not None:
        found = 1
        if not handler.exec.command:
            errors.append(field.required(f"{path}.exec.command"))
    if handler.httpGet is not None:
        found += 1
        if found > 1:
            errors.append(field.forbidden(f"{path}.httpGet", _ONE_TYPE))
        else:
            _http_get(errors, handler.httpGet, f"{path}.httpGet")
    if handler.tcpSocket is not None:
        found += 1
        if found > 1:
            errors.append(field.forbidden(f"{path}.tcpSocket", _ONE_TYPE))
        else:
            port(errors, handler.tcpSocket.port, f"{path}.tcpSocket.port")
    if isinstance(handler, Probe):
        if handler.grpc is not None:
            found += 1
            if found > 1:
                errors.append(field.forbidden(f"{path}.grpc", _ONE_TYPE))
            else:
                port(errors, handler.grpc.port, f"{path}.grpc.port")
    elif handler.sleep is not None:
        found += 1
        if found > 1:
            errors.append(field.forbidden(f"{path}.sleep", _ONE_TYPE))
        elif grace_seconds is not None and not 0 <= handler.sleep.seconds <= grace_seconds:
            errors.append(field.invalid(f"{path}.sleep", handler.sleep.seconds,
                                        "must be non-negative and less than terminationGracePeriodSeconds "
                                        f"({grace_seconds})"))
    if not found:
        errors.append(field.required(path, "must specify a handler type"))


def _http_get(errors: Errors, action: HTTPGetAction, path: str) -> None:
    if not action.path:
        errors.append(field.required(f"{path}.path"))
    port(errors, action.port, f"{path}.port")
    if action.scheme not in ("HTTP", "HTTPS"):
        errors.append(field.not_supported(f"{path}.scheme", action.scheme, ("HTTP", "HTTPS")))
    for header in action.httpHeaders:
        if messages := names.http_header_name(header.name):
            errors += field.invalid_each(f"{path}.httpHeaders", header.name, messages)


def port(errors: Errors, value: int | str, path: str) -> None:
    """A port by number or name (`ValidatePortNumOrName`)."""
    messages = names.port_number(value) if isinstance(value, int) else names.port_name(value)
    if messages:
        errors += field.invalid_each(path, value, messages)
