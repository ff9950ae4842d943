"""Requests for devices: defaults and validation of what claims, templates and classes have in common.

Leaves what a CEL selector means to its compiler.
Source: kubernetes `pkg/apis/resource/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

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

T = TypeVar("T")

MODES = ("All", "ExactCount")
EFFECTS = ("NoExecute", "NoSchedule", "None")
MAX_LIST = 32
MAX_FIRST_AVAILABLE = 8
MAX_SELECTORS = 32
MAX_POOL_NAME = 253
MAX_IDENTIFIER = 32
MAX_EXPRESSION_BYTES = 10 * 1024
MAX_PARAMETERS_BYTES = 10 * 1024
MAX_BINDING_CONDITIONS = 4


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
            default_tolerations(one.tolerations)


def default_tolerations(tolerations: list[DeviceToleration]) -> None:
    for toleration in tolerations:
        toleration.operator = toleration.operator or "Equal"


def validate_claim(claim: DeviceClaim, at: str) -> Findings:
    """`spec.devices` of a claim."""
    known = request_names(claim)
    out = once(claim.requests or [], MAX_LIST, f"{at}.requests", _request, lambda one: one.name)
    out += each(claim.constraints, MAX_LIST, f"{at}.constraints", lambda one, where: _constraint(one, known, where))
    return out + each(claim.config, MAX_LIST, f"{at}.config", lambda one, where: (
        references(one.requests, known, f"{where}.requests") + validate_opaque(one.opaque, f"{where}.opaque")))


def request_names(claim: DeviceClaim) -> dict[str, set[str]]:
    """The names of a claim's requests, with those of their alternatives."""
    return {request.name: {one.name for one in request.firstAvailable} for request in claim.requests or ()}


def each(values: Sequence[T], limit: int, at: str, check: Callable[[T, str], Findings]) -> Findings:
    """What is wrong with the items; where they are too many, only that. Without a limit (negative) there are never too many."""
    if 0 <= limit < len(values):
        return [field.too_many(at, len(values), limit)]
    return [error for index, one in enumerate(values) for error in check(one, f"{at}[{index}]")]


def once(values: Sequence[T], limit: int, at: str, check: Callable[[T, str], Findings], key: Callable[[T], Any]) -> Findings:
    """As `each`, and every key is that of one item. `key` gives what a repeat is shown as."""
    out = each(values, limit, at, check)
    if 0 <= limit < len(values):
        return out
    keys = [key(one) for one in values]
    again = checks.repeated(one if isinstance(one, str) else repr(one) for one in keys)
    return out + [field.duplicate(f"{at}[{index}]", keys[index]) for index in again]


def _request(request: DeviceRequest, at: str) -> Findings:
    out = checks.named(request.name, names.dns1123_label, f"{at}.name")
    words = "exactly one of `exactly` or `firstAvailable` is required"
    if request.exactly is None and not request.firstAvailable:
        return [*out, field.required(at, words)]
    if request.exactly is not None and request.firstAvailable:
        return [*out, field.invalid(at, None, f"{words}, but multiple fields are set")]
    if request.exactly is not None:
        return out + _wanted(request.exactly, f"{at}.exactly")
    return out + once(request.firstAvailable, MAX_FIRST_AVAILABLE, f"{at}.firstAvailable", _alternative, lambda one: one.name)


def _alternative(one: DeviceSubRequest, at: str) -> Findings:
    return checks.named(one.name, names.dns1123_label, f"{at}.name") + _wanted(one, at)


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
    return each(selectors, MAX_SELECTORS, at, _selector)


def _selector(selector: DeviceSelector, at: str) -> Findings:
    if selector.cel is None:
        return [field.required(f"{at}.cel")]
    expression, where = selector.cel.expression, f"{at}.cel.expression"
    if len(expression.encode()) > MAX_EXPRESSION_BYTES:
        return [field.too_long(where, MAX_EXPRESSION_BYTES)]
    from sampan.api.cel.devices import compile_selector  # the language takes a while to import

    compiled = compile_selector(expression)
    return [field.invalid(where, expression, compiled.problem)] if compiled.problem else []


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
    out = references(constraint.requests, known, f"{at}.requests")
    for name in ("matchAttribute", "distinctAttribute"):
        value: str | None = getattr(constraint, name)
        if value is not None:
            out += qualified_name(value, f"{at}.{name}")
            if "/" not in value:
                out.append(field.invalid(f"{at}.{name}", value,
                                         "a fully qualified name must be a domain and a name separated by a slash"))
            return out
    return [*out, field.required(at, 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set')]


def references(values: list[str], known: dict[str, set[str]], at: str) -> Findings:
    """Names of requests, or of alternatives within them, each once."""
    return once(values, MAX_LIST, at, lambda name, where: reference(name, known, where), str)


def reference(name: str, known: dict[str, set[str]], at: str) -> Findings:
    """One such name."""
    request, slash, sub = name.partition("/")
    lost = field.invalid(at, name, "must be the name of a request in the claim or the name of a request and a subrequest "
                                   "separated by '/'")
    if "/" in sub:
        return [lost]
    out = [error for part in (request, *([sub] if slash else [])) for error in checks.named(part, names.dns1123_label, at)]
    if request not in known or (slash and sub not in known[request]):
        out.append(lost)
    return out


def validate_opaque(config: OpaqueDeviceConfiguration | None, at: str) -> Findings:
    if config is None:
        return [field.required(at)]
    out = validate_driver_name(config.driver, f"{at}.driver")
    return out + json_object(config.parameters, f"{at}.parameters", MAX_PARAMETERS_BYTES)


def json_object(value: Any, at: str, limit: int) -> Findings:
    """An object of any shape that somebody else reads; it has to be there."""
    if value is None:
        return [field.required(at)]
    if len(codec.encode(value)) > limit:
        return [field.too_long(at, limit)]
    return [] if isinstance(value, dict) else [field.invalid(at, "<value omitted>", "must be a valid JSON object")]


def qualified_name(name: str, at: str) -> Findings:
    """A C identifier, with or without a domain before it. Names with more slashes are nobody's finding."""
    domain, slash, rest = name.partition("/")
    if not slash:
        return _identifier(name, at)
    if "/" in rest:
        return []
    out = validate_driver_name(domain, at) if domain else [field.invalid(at, "", "the domain must not be empty")]
    return out + (_identifier(rest, at) if rest else [field.invalid(at, "", "the name must not be empty")])


def _identifier(name: str, at: str) -> Findings:
    out = [field.too_long(at, MAX_IDENTIFIER)] if len(name) > MAX_IDENTIFIER else []
    return out + checks.named(name, names.c_identifier, at)


def binding_conditions(given: list[str], failures: list[str], at: str) -> Findings:
    """Conditions that a device is ready with, or fails with: both or neither, none in both."""
    ready, failed = f"{at}.bindingConditions", f"{at}.bindingFailureConditions"

    def label(name: str, where: str) -> Findings:
        return checks.named(name, names.label_key, where)

    out = each(given, MAX_BINDING_CONDITIONS, ready, label) + each(failures, MAX_BINDING_CONDITIONS, failed, label)
    out += [field.duplicate(f"{ready}[{index}]", given[index]) for index in checks.repeated(given)]
    again = set(checks.repeated(failures))
    for index, one in enumerate(failures):
        if index in again:
            out.append(field.duplicate(f"{failed}[{index}]", one))
        if one in given:
            out.append(field.invalid(f"{failed}[{index}]", one, "bindingFailureConditions must not overlap with bindingConditions"))
    if failures and not given:
        out.append(field.invalid(ready, None, "bindingConditions are required to use bindingFailureConditions"))
    if given and not failures:
        out.append(field.invalid(failed, None, "bindingFailureConditions are required to use bindingConditions"))
    return out


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
