"""How much of a device's capacity each of several claims may take: what is wrong with such policies.

Owns only the policies; that a device may be allocated more than once is its slice's to know.
Source: kubernetes `pkg/apis/resource/validation/validation.go`, `validateRequestPolicy`.
"""

from __future__ import annotations

from sampan.api import field, quantity
from sampan.api.resource.v1 import CapacityRequestPolicy, CapacityRequestPolicyRange, DeviceCapacity
from sampan.kinds.checks import Findings
from sampan.kinds.resource import devices

MAX_OPTIONS = 10


def validate(capacity: DeviceCapacity, at: str) -> Findings:
    """A capacity that several claims may share."""
    policy, where = capacity.requestPolicy, f"{at}.requestPolicy"
    if policy is None or (not policy.validValues and policy.validRange is None):
        return []
    if policy.validValues and policy.validRange is not None:
        return [field.forbidden(where, 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the '
                                       "same time")]
    if policy.default is None:
        given = "validValues" if policy.validValues else "validRange"
        return [field.required(f"{where}.default", f"required when {given} is defined")]
    if policy.validRange is not None:
        return _range(policy.default, capacity.value, policy.validRange, f"{where}.validRange")
    return _values(policy, policy.default, capacity.value, f"{where}.validValues")


def _values(policy: CapacityRequestPolicy, default: str, whole: str, at: str) -> Findings:
    values = policy.validValues
    out = [field.invalid(f"{at}[{index}]", values[index], "values must be sorted in ascending order")
           for index in range(1, len(values)) if quantity.cmp(values[index - 1], values[index]) > 0]

    def option(one: str, where: str) -> Findings:
        if quantity.cmp(one, whole) > 0:
            return [field.invalid(where, one, f"option is larger than capacity value: {whole}")]
        return []

    out += devices.once(values, MAX_OPTIONS, at, option, lambda one: str(quantity.integer(one)))
    # upstream looks for the default while it checks options, which it does not where they are too many
    if len(values) > MAX_OPTIONS or all(quantity.cmp(one, default) for one in values):
        out.append(field.invalid(at, default, "default value is not valid according to the requestPolicy"))
    return out


def _range(default: str, whole: str, wanted: CapacityRequestPolicyRange, at: str) -> Findings:
    low, high, step = wanted.min, wanted.max, wanted.step
    if low is None:
        return [field.required(f"{at}.min", "required when validRange is defined")]
    out: Findings = []

    def above(name: str, value: str, limit: str, words: str, shown: str | None = None) -> None:
        if quantity.cmp(value, limit) > 0:
            out.append(field.invalid(f"{at}.{name}", value if shown is None else shown, words))

    above("min", low, whole, f"min is larger than capacity value: {whole}")
    above("min", low, default, f"default is less than min: {low}", default)
    if high is not None:
        above("max", low, high, f"min is larger than max: {high}")
        above("max", high, whole, f"max is larger than capacity value: {whole}")
        above("max", default, high, f"default is more than max: {high}")
    if step is not None:
        first = quantity.add(low, step)
        above("step", first, whole, f"one step {first} is larger than capacity value: {whole}", step)
        for value in (default, *([high] if high is not None else [])):
            size = quantity.integer(step)
            if size and (quantity.integer(value) - quantity.integer(low)) % size:
                out.append(field.invalid(f"{at}.step", value, f"value is not a multiple of a given step ({step}) from ({low})"))
    return out
