"""What one share of a device takes of its capacity, where several claims may share the device.

Source: KEP-5075; dynamic-resource-allocation `structured/internal/*/allocator_*.go` (consumable capacity).
"""

from __future__ import annotations

from sampan.api import quantity
from sampan.api.resource.v1 import CapacityRequirements, Device, DeviceCapacity
from sampan.api.scalars import Quantity


def offers(device: Device, asked: CapacityRequirements | None) -> bool:
    """Whether a device that is given whole has what is asked for."""
    return all(name in device.capacity and quantity.cmp(device.capacity[name].value, wanted) >= 0
               for name, wanted in (asked.requests if asked is not None else {}).items())


def share(device: Device, asked: CapacityRequirements | None) -> dict[str, Quantity] | None:
    """What is taken of each capacity; None: a request is for none that the device has, or against its policy."""
    requests = asked.requests if asked is not None else {}
    if any(name not in device.capacity for name in requests):
        return None
    out = {}
    for name, one in device.capacity.items():
        amount = _amount(one, requests.get(name))
        if amount is None or quantity.cmp(amount, one.value) > 0:
            return None
        out[name] = amount
    return out


def _amount(one: DeviceCapacity, wanted: Quantity | None) -> Quantity | None:
    policy = one.requestPolicy
    if wanted is None:
        return policy.default if policy is not None and policy.default is not None else one.value
    if policy is None or (policy.default is not None and quantity.cmp(wanted, policy.default) == 0):
        return wanted
    if policy.validValues:
        return next((value for value in sorted(policy.validValues, key=quantity.nano) if quantity.cmp(value, wanted) >= 0), None)
    if policy.validRange is None:
        return wanted
    return _in_range(wanted, policy.validRange.min or Quantity("0"), policy.validRange.max, policy.validRange.step)


def _in_range(wanted: Quantity, least: Quantity, most: Quantity | None, step: Quantity | None) -> Quantity | None:
    """Up to the next step from the least."""
    amount = wanted
    if quantity.cmp(wanted, least) <= 0:
        amount = least
    elif step is not None and quantity.nano(step) > 0:
        steps = -((quantity.nano(least) - quantity.nano(wanted)) // quantity.nano(step))
        amount = quantity.add(least, quantity.scale(step, steps))
    return None if most is not None and quantity.cmp(amount, most) > 0 else amount
