"""Requests for devices: defaults and validation of what claims, templates and classes have in common.

Leaves CEL selectors to their compiler.
Source: kubernetes `pkg/apis/resource/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sampan.api import codec, field, names
from sampan.api.resource.v1 import (
    DeviceClaim,
    DeviceConstraint,
    DeviceRequest,
    DeviceSelector,
    DeviceSubRequest,
    DeviceToleration,
    ExactDeviceRequest,
    OpaqueDeviceConfiguration,
)
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.storage.parameters import validate_driver_name

MODES = ("All", "ExactCount")
EFFECTS = ("NoExecute", "NoSchedule", "None")
MAX_LIST = 32
MAX_FIRST_AVAILABLE = 8
MAX_SELECTORS = 32
MAX_POOL_NAME = 253
MAX_IDENTIFIER = 32
MAX_EXPRESSION_BYTES = 10 * 1024
MAX_PARAMETERS_BYTES = 10 * 1024


def default_claim(claim: DeviceClaim) -> None:
    """One device, exactly, where a request does not say; Equal where a toleration does not."""
    for request in claim.requests or ():
        wanted: list[ExactDeviceRequest | DeviceSubRequest] = [*request.firstAvailable]
        if request.exactly is not None:
            wanted.append(request.exactly)
        for one in wanted:
            one.allocationMode = one.allocationMode or "ExactCount"
            if one.allocationMode == "ExactCount" and one.count == 0:
                one.count = 1
            for toleration in one.tolerations:
                toleration.operator = toleration.operator or "Equal"


def validate_claim(claim: DeviceClaim, at: str) -> Findings:
    """`spec.devices` of a claim."""
    requests = claim.requests or []
    known = {request.name: {one.name for one in request.firstAvailable} for request in requests}
    out: Findings = []
    for index, request in enumerate(requests):
        out += _request(request, f"{at}.requests[{index}]")
    out += bounded(requests, MAX_LIST, f"{at}.requests")
    out += unique([one.name for one in requests], f"{at}.requests", "name")
    for index, constraint in enumerate(claim.constraints):
        out += _constraint(constraint, known, f"{at}.constraints[{index}]")
    out += bounded(claim.constraints, MAX_LIST, f"{at}.constraints")
    for index, config in enumerate(claim.config):
        where = f"{at}.config[{index}]"
        out += _request_names(config.requests, known, f"{where}.requests")
        out += validate_opaque(config.opaque, f"{where}.opaque")
    return out + bounded(claim.config, MAX_LIST, f"{at}.config")


def bounded(values: Sequence[Any], limit: int, at: str) -> Findings:
    return [field.too_many(at, len(values), limit)] if len(values) > limit else []


def unique(keys: Sequence[str], at: str, name: str = "") -> Findings:
    """Keys of a list, each once; `name` is the field of the item that is the key."""
    suffix = f".{name}" if name else ""
    return [field.duplicate(f"{at}[{index}]{suffix}", keys[index]) for index in checks.repeated(keys)]


def _request(request: DeviceRequest, at: str) -> Findings:
    out = checks.named(request.name, names.dns1123_label, f"{at}.name")
    words = "exactly one of `exactly` or `firstAvailable` is required"
    if request.exactly is None and not request.firstAvailable:
        return [*out, field.required(at, words)]
    if request.exactly is not None and request.firstAvailable:
        return [*out, field.invalid(at, None, f"{words}, but multiple fields are set")]
    if request.exactly is not None:
        return out + _wanted(request.exactly, f"{at}.exactly")
    for index, one in enumerate(request.firstAvailable):
        where = f"{at}.firstAvailable[{index}]"
        out += checks.named(one.name, names.dns1123_label, f"{where}.name")
        out += _wanted(one, where)
    out += bounded(request.firstAvailable, MAX_FIRST_AVAILABLE, f"{at}.firstAvailable")
    return out + unique([one.name for one in request.firstAvailable], f"{at}.firstAvailable", "name")


def _wanted(one: ExactDeviceRequest | DeviceSubRequest, at: str) -> Findings:
    out = checks.required_name(one.deviceClassName, names.dns1123_subdomain, f"{at}.deviceClassName")
    out += validate_selectors(one.selectors, f"{at}.selectors")
    if one.allocationMode == "All":
        if one.count != 0:
            out.append(field.invalid(f"{at}.count", one.count, "must not be specified when allocationMode is 'All'"))
    elif one.allocationMode == "ExactCount":
        if one.count <= 0:
            out.append(field.invalid(f"{at}.count", one.count, "must be greater than zero"))
    else:
        out.append(field.not_supported(f"{at}.allocationMode", one.allocationMode, MODES))
    for index, toleration in enumerate(one.tolerations):
        out += _toleration(toleration, f"{at}.tolerations[{index}]")
    return out


def validate_selectors(selectors: list[DeviceSelector], at: str) -> Findings:
    out: Findings = []
    for index, one in enumerate(selectors):
        where = f"{at}[{index}].cel"
        if one.cel is None:
            out.append(field.required(where))
        elif len(one.cel.expression.encode()) > MAX_EXPRESSION_BYTES:
            out.append(field.too_long(f"{where}.expression", MAX_EXPRESSION_BYTES))
    return out + bounded(selectors, MAX_SELECTORS, at)


def _toleration(one: DeviceToleration, at: str) -> Findings:
    out: Findings = []
    if one.key:
        out += checks.named(one.key, names.label_key, f"{at}.key")
    if one.operator == "Exists":
        if one.value:
            out.append(field.invalid(f"{at}.value", one.value, "must be empty for operator `Exists`"))
    elif one.operator == "Equal":
        out += checks.named(one.value, names.label_value, f"{at}.value")
    elif not one.operator:
        out.append(field.required(f"{at}.operator"))
    else:
        out.append(field.not_supported(f"{at}.operator", one.operator, ("Equal", "Exists")))
    if one.effect:
        out += checks.one_of(one.effect, EFFECTS, f"{at}.effect")
    return out


def _constraint(constraint: DeviceConstraint, known: dict[str, set[str]], at: str) -> Findings:
    out = _request_names(constraint.requests, known, f"{at}.requests")
    given = [name for name in ("matchAttribute", "distinctAttribute") if getattr(constraint, name) is not None]
    if not given:
        out.append(field.required(f"{at}.matchAttribute"))
    for name in given:
        value, where = getattr(constraint, name), f"{at}.{name}"
        out += qualified_name(value, where)
        if value and "/" not in value:
            out.append(field.invalid(where, value, "must include a domain"))
    return out


def _request_names(values: list[str], known: dict[str, set[str]], at: str) -> Findings:
    out: Findings = []
    words = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
    for index, name in enumerate(values):
        where = f"{at}[{index}]"
        request, slash, sub = name.partition("/")
        if "/" in sub:
            out.append(field.invalid(where, name, words))
            continue
        for part in (request, *([sub] if slash else [])):
            out += checks.named(part, names.dns1123_label, where)
        if request not in known or (slash and sub not in known[request]):
            out.append(field.invalid(where, name, words))
    return out + bounded(values, MAX_LIST, at) + unique(values, at)


def validate_opaque(config: OpaqueDeviceConfiguration | None, at: str) -> Findings:
    if config is None:
        return [field.required(at)]
    out = validate_driver_name(config.driver, f"{at}.driver")
    where = f"{at}.parameters"
    if config.parameters is None:
        return [*out, field.required(where)]
    if len(codec.encode(config.parameters)) > MAX_PARAMETERS_BYTES:
        return [*out, field.too_long(where, MAX_PARAMETERS_BYTES)]
    if not isinstance(config.parameters, dict):
        out.append(field.invalid(where, "<value omitted>", "parameters must be a valid JSON object"))
    return out


def qualified_name(name: str, at: str) -> Findings:
    """A C identifier, with or without a domain before it."""
    if not name:
        return [field.required(at, "name required")]
    domain, slash, rest = name.rpartition("/")
    out: Findings = []
    if slash and not domain:
        out.append(field.required(at, "the domain must not be empty"))
    elif slash:
        out += validate_driver_name(domain, at)
    if not rest:
        return [*out, field.required(at, "the name must not be empty")]
    if len(rest) > MAX_IDENTIFIER:
        out.append(field.too_long(at, MAX_IDENTIFIER))
    return out + [field.type_invalid(at, rest, message) for message in names.c_identifier(rest)]


def pool_name(name: str, at: str) -> Findings:
    """DNS names with slashes between."""
    if not name:
        return [field.required(at)]
    out: Findings = []
    if len(name) > MAX_POOL_NAME:
        out.append(field.too_long(at, MAX_POOL_NAME))
    for part in name.split("/"):
        out += checks.named(part, names.dns1123_subdomain, at)
    return out
