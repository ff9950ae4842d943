"""Names and amounts of resources: containers, pods, quotas, limit ranges.

Source: kubernetes `pkg/apis/core/helper/helpers.go`, `pkg/apis/core/validation` (`validateResourceRequirements`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache

from sampan.api import field, names, quantity
from sampan.api.core.v1 import ResourceClaim, ResourceRequirements
from sampan.api.errors import FieldError

Errors = list[FieldError]
NameCheck = Callable[[Errors, str, str], None]

HUGE_PAGES = "hugepages-"
NEGATIVE = "must be greater than or equal to 0"
NOT_POSITIVE = "must be greater than zero"
NOT_INTEGER = "must be an integer"

_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
_COUNTED = frozenset({
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
})
_QUOTA = _COMPUTE | _COUNTED | {
    "requests.storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
    "limits.cpu", "limits.memory", "limits.ephemeral-storage",
}
_STANDARD = _QUOTA | {"storage"}
_POD_LEVEL = frozenset({"cpu", "memory"})


def is_huge_page(name: str) -> bool:
    """`hugepages-2Mi` and the like."""
    return name.startswith(HUGE_PAGES)


def is_native(name: str) -> bool:
    """A resource of Kubernetes itself: no prefix, or one of kubernetes.io."""
    return "/" not in name or "kubernetes.io/" in name


def is_overcommit_allowed(name: str) -> bool:
    """Whether requests may be lower than limits."""
    return is_native(name) and not is_huge_page(name)


@lru_cache(maxsize=1024)
def is_extended(name: str) -> bool:
    """A resource that a device plugin or an administrator announces: `example.com/gpu`."""
    return not is_native(name) and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")


def is_integer(name: str) -> bool:
    """Whether only whole numbers of it exist."""
    return name in _COUNTED or ("/" in name and is_extended(name))


def is_standard_quota(name: str) -> bool:
    """A resource name that a quota knows without a prefix."""
    return name in _QUOTA or name.startswith((HUGE_PAGES, f"requests.{HUGE_PAGES}"))


def is_pod_level(name: str) -> bool:
    """Resources that may stand at `spec.resources` of a pod."""
    return name in _POD_LEVEL or is_huge_page(name)


def resource_name(errors: Errors, name: str, path: str) -> None:
    """A qualified name, or a standard one without prefix."""
    if messages := names.qualified_name(name):
        errors += field.invalid_each(path, name, messages)
    elif "/" not in name and name not in _STANDARD and not name.startswith((HUGE_PAGES, f"requests.{HUGE_PAGES}")):
        errors.append(field.invalid(path, name, "must be a standard resource type or fully qualified"))


def container_resource_name(errors: Errors, name: str, path: str) -> None:
    """What a container may ask for."""
    if name in _COMPUTE:
        return
    resource_name(errors, name, path)
    if "/" not in name:
        if not is_huge_page(name):
            errors.append(field.invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        errors.append(field.invalid(path, name, "doesn't follow extended resource name standard"))


def pod_resource_name(errors: Errors, name: str, path: str) -> None:
    """What a pod as a whole may ask for."""
    found = len(errors)
    resource_name(errors, name, path)
    if len(errors) == found and not is_pod_level(name):
        errors.append(field.not_supported(path, name, ("cpu", HUGE_PAGES, "memory")))


def quota_resource_name(errors: Errors, name: str, path: str) -> None:
    """What a quota may limit."""
    resource_name(errors, name, path)
    if "/" not in name and not is_standard_quota(name):
        errors.append(field.invalid(path, name, "must be a standard resource for quota"))


def amount(errors: Errors, name: str, value: str, path: str) -> None:
    """Not negative; whole where only whole ones exist (`ValidateResourceQuantityValue`)."""
    for problem in _amount_problems(name, value):
        errors.append(field.invalid(path, value, problem))


@lru_cache(maxsize=8192)
def _amount_problems(name: str, value: str) -> tuple[str, ...]:
    found = [NEGATIVE] if quantity.nano(value) < 0 else []
    if is_integer(name) and quantity.milli(value) % 1000:
        found.append(NOT_INTEGER)
    return tuple(found)


@lru_cache(maxsize=8192)
def _fine(name: str, value: str) -> bool:
    """The usual case at the price of one look-up: a compute resource with a good amount."""
    return name in _COMPUTE and not _amount_problems(name, value)


@lru_cache(maxsize=8192)
def _at_most(request: str, limit: str) -> bool:
    return quantity.nano(request) <= quantity.nano(limit)


def positive_amount(errors: Errors, value: str, path: str) -> None:
    """More than nothing."""
    if quantity.nano(value) <= 0:
        errors.append(field.invalid(path, value, NOT_POSITIVE))


def basic_amount(errors: Errors, value: str, path: str) -> None:
    """Not negative, in the words that volumes use."""
    if (whole := quantity.integer(value)) < 0:
        errors.append(field.invalid(path, whole, "must be a valid resource quantity"))


def requirements(errors: Errors, wanted: ResourceRequirements, path: str, claims: Collection[str],
                 check_name: NameCheck = container_resource_name) -> None:
    """Findings about limits and requests; `claims` are the names in the pod's `resourceClaims`."""
    limits, requests = wanted.limits, wanted.requests
    for name, value in limits.items():
        if not _fine(name, value):
            _check(errors, name, value, f"{path}.limits[{name}]", check_name)
    for name, value in requests.items():
        if not _fine(name, value):
            check_name(errors, name, f"{path}.requests[{name}]")
            amount(errors, name, value, f"{path}.requests[{name}]")
        limit = limits.get(name)
        if limit is not None:
            if value != limit and not (is_overcommit_allowed(name) and _at_most(value, limit)):
                _compare(errors, name, value, limit, f"{path}.requests")
        elif not is_overcommit_allowed(name):
            errors.append(field.required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        _whole_pages(errors, name, value, f"{path}.requests[{name}]")
    if any(map(is_huge_page, (*limits, *requests))) and not {"cpu", "memory"} & (limits.keys() | requests.keys()):
        errors.append(field.forbidden(path, "HugePages require cpu or memory"))
    if wanted.claims:
        _claims(errors, wanted.claims, f"{path}.claims", claims)


def _check(errors: Errors, name: str, value: str, path: str, check_name: NameCheck) -> None:
    check_name(errors, name, path)
    amount(errors, name, value, path)
    _whole_pages(errors, name, value, path)


def _whole_pages(errors: Errors, name: str, value: str, path: str) -> None:
    if is_huge_page(name) and not _is_multiple(name, value):
        errors.append(field.invalid(path, value, f"{value} is not positive integer multiple of {name}"))


def _is_multiple(name: str, value: str) -> bool:
    try:
        page = quantity.integer(name.removeprefix(HUGE_PAGES))
    except ValueError:
        return False
    return page > 0 and quantity.integer(value) % page == 0


def _compare(errors: Errors, name: str, request: str, limit: str, path: str) -> None:
    order = quantity.cmp(request, limit)
    if order and not is_overcommit_allowed(name):
        errors.append(field.invalid(path, request, f"must be equal to {name} limit of {limit}"))
    elif order > 0:
        errors.append(field.invalid(path, request, f"must be less than or equal to {name} limit of {limit}"))


def _claims(errors: Errors, claims: list[ResourceClaim], path: str, known: Collection[str]) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        at = f"{path}[{index}]"
        if not claim.name:
            errors.append(field.required(at))
            continue
        if claim.name in seen:
            errors.append(field.duplicate(at, claim.name))
        else:
            key = claim.name
            if claim.request:
                errors += field.invalid_each(f"{at}.request", claim.request, names.dns1123_label(claim.request))
                key = f"{claim.name}/{claim.request}"
            if key in seen:
                errors.append(field.duplicate(at, key))
            elif not claim.request:
                errors += [field.duplicate(at, claim.name) for other in seen if other.startswith(f"{claim.name}/")]
            seen.add(key)
        if claim.name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            missing = field.not_found(at, claim.name)
            errors.append(FieldError(missing.reason, missing.field, f"{missing.detail}: must be one of the names in "
                                                                    f"pod.spec.resourceClaims{listed}"))
