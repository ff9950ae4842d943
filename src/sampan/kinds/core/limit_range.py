"""LimitRanges. Source: kubernetes `pkg/apis/core/validation` (`ValidateLimitRange`), `pkg/apis/core/v1/defaults.go`."""

from __future__ import annotations

from sampan.api import field, names, quantity
from sampan.api.core.v1 import LimitRange, LimitRangeItem
from sampan.api.errors import FieldError
from sampan.api.resources import LIMIT_RANGES
from sampan.kinds.core.pod_spec import resources
from sampan.kinds.core.pod_spec.defaults import round_up
from sampan.kinds.kind import Kind

Errors = list[FieldError]

TYPES = ("Pod", "Container", "PersistentVolumeClaim")


def default(limits: LimitRange) -> None:
    """A container's limit is the most it may have, its request the limit or the least, unless said otherwise."""
    for item in limits.spec.limits or ():
        for amounts in (item.max, item.min, item.default, item.defaultRequest, item.maxLimitRequestRatio):
            round_up(amounts)
        if item.type == "Container":
            item.default = {**item.max, **item.default}
            item.defaultRequest = {**item.min, **item.default, **item.defaultRequest}


def prepare_create(limits: LimitRange) -> None:
    """One without a name gets one that nobody has."""
    limits.metadata.name = limits.metadata.name or limits.metadata.uid


def as_stored(limits: LimitRange) -> None:
    limits.spec.limits = limits.spec.limits or None


def validate(limits: LimitRange) -> Errors:
    """All findings."""
    errors: Errors = []
    seen: set[str] = set()
    for index, item in enumerate(limits.spec.limits or ()):
        path = f"spec.limits[{index}]"
        _type(errors, item.type, f"{path}.type")
        if item.type in seen:
            errors.append(field.duplicate(f"{path}.type", item.type))
        seen.add(item.type)
        for name in ("max", "min"):
            _names(errors, item, name, path)
        if item.type == "Pod":
            errors += [field.forbidden(f"{path}.{name}", "may not be specified when `type` is 'Pod'")
                       for name in ("default", "defaultRequest") if getattr(item, name)]
        else:
            _names(errors, item, "default", path)
            _names(errors, item, "defaultRequest", path)
        if item.type == "PersistentVolumeClaim" and "storage" not in item.min and "storage" not in item.max:
            errors.append(field.required(f"{path}.limits",
                                         "either minimum or maximum storage value is required, but neither was provided"))
        _names(errors, item, "maxLimitRequestRatio", path)
        keys = item.max.keys() | item.min.keys() | item.maxLimitRequestRatio.keys()
        if item.type != "Pod":
            keys |= item.default.keys() | item.defaultRequest.keys()
        for key in sorted(keys):
            _compare(errors, item, key, path)
    return errors


def _type(errors: Errors, name: str, path: str) -> None:
    if messages := names.qualified_name(name):
        errors += field.invalid_each(path, name, messages)
    elif "/" not in name and name not in TYPES:
        errors.append(field.invalid(path, name, "must be a standard limit type or fully qualified"))


def _names(errors: Errors, item: LimitRangeItem, name: str, path: str) -> None:
    check = resources.container_resource_name if item.type in ("Pod", "Container") else resources.resource_name
    for key in getattr(item, name):
        check(errors, key, f"{path}.{name}[{key}]")


def _compare(errors: Errors, item: LimitRangeItem, key: str, path: str) -> None:
    least, most = item.min.get(key), item.max.get(key)
    plain = item.type == "Pod"
    limit, request = (None, None) if plain else (item.default.get(key), item.defaultRequest.get(key))

    def above(a: str | None, b: str | None) -> bool:
        return a is not None and b is not None and quantity.cmp(a, b) > 0

    if above(least, most):
        errors.append(field.invalid(f"{path}.min[{key}]", least, f"min value {least} is greater than max value {most}"))
    at = f"{path}.defaultRequest[{key}]"
    if above(least, request):
        errors.append(field.invalid(at, request, f"min value {least} is greater than default request value {request}"))
    if above(request, most):
        errors.append(field.invalid(at, request, f"default request value {request} is greater than max value {most}"))
    if above(request, limit):
        errors.append(field.invalid(at, request, f"default request value {request} is greater than default limit value {limit}"))
    if above(least, limit):
        errors.append(field.invalid(f"{path}.default[{key}]", least, f"min value {least} is greater than default value {limit}"))
    if above(limit, most):
        errors.append(field.invalid(f"{path}.default[{key}]", most, f"default value {limit} is greater than max value {most}"))
    _ratio(errors, item, key, path)
    if not resources.is_overcommit_allowed(key) and limit is not None and request is not None and quantity.cmp(limit, request):
        errors.append(field.invalid(at, request, f"default value {limit} must equal to defaultRequest value {request} in {key}"))


def _ratio(errors: Errors, item: LimitRangeItem, key: str, path: str) -> None:
    ratio, least, most = item.maxLimitRequestRatio.get(key), item.min.get(key), item.max.get(key)
    if ratio is None:
        return
    at = f"{path}.maxLimitRequestRatio[{key}]"
    if quantity.cmp(ratio, "1") < 0:
        errors.append(field.invalid(at, ratio, f"ratio {ratio} is less than 1"))
    if least is not None and most is not None and not quantity.is_zero(least):
        limit = quantity.nano(most) / quantity.nano(least)
        if quantity.approximate(ratio) > limit:
            errors.append(field.invalid(at, ratio, f"ratio {ratio} is greater than max/min = {limit:f}"))


KIND: Kind[LimitRange] = Kind(resource=LIMIT_RANGES, metadata="object", default=default, as_stored=as_stored,
                        prepare_create=prepare_create, validate=validate, allow_create_on_update=True)
