"""Validation of what a pod's status says of its containers: their users, devices and images, and the claim of extended resources.

What may change in a status is in `pod_update`.
Source: kubernetes `pkg/apis/core/validation` (`ValidatePodStatusUpdate` and what it calls last).
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.api import field, names
from sampan.api.core.v1 import Container, ContainerStatus, LinuxContainerUser, Pod, ResourceHealth
from sampan.api.errors import FieldError

Errors = list[FieldError]

HEALTH = ("Healthy", "Unhealthy", "Unknown")
_MOST_MESSAGE, _MOST_REFERENCE = 1024, 256
_MAX_ID = 2**31 - 1
_CLAIM = "claim:"
_NO_CLAIM = ("must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or "
             "'claim:<claimName>' if request is empty")
_NO_CONTAINER = "must match the name of an entry in spec.initContainers.name or spec.containers.name"
_NO_RESOURCE = ("must match the extended resource name of an entry in spec.initContainers.resources.requests or "
                "spec.containers.resources.requests")


def extended_claim(errors: Errors, pod: Pod) -> None:
    """Findings about the claim that stands for the extended resources of a pod."""
    status, path = pod.status.extendedResourceClaimStatus, "status.extendedResourceClaimStatus"
    if status is None:
        return
    containers = {one.name: one for one in (*pod.spec.initContainers, *(pod.spec.containers or ()))}
    if not status.requestMappings:
        errors.append(field.required(f"{path}.requestMappings", "at least one request mapping is required"))
    seen: set[tuple[str, str, str]] = set()
    for index, one in enumerate(status.requestMappings or ()):
        at, container = f"{path}.requestMappings[{index}]", containers.get(one.containerName)
        if container is None:
            errors.append(field.invalid(f"{at}.containerName", one.containerName, _NO_CONTAINER))
        elif one.resourceName not in container.resources.requests:
            errors.append(field.invalid(f"{at}.resourceName", one.resourceName, _NO_RESOURCE))
        errors += field.invalid_each(f"{path}.requestName", one.requestName, names.dns1123_label(one.requestName))
        key = one.containerName, one.resourceName, one.requestName
        if key in seen:
            errors += [field.duplicate(f"{at}.{name}", value)
                       for name, value in zip(("containerName", "resourceName", "requestName"), key, strict=True)]
        seen.add(key)
    if not status.resourceClaimName:
        errors.append(field.required(f"{path}.resourceClaimName"))
    errors += field.invalid_each(f"{path}.resourceClaimName", status.resourceClaimName,
                                 names.dns1123_subdomain(status.resourceClaimName) if status.resourceClaimName else ())


def containers(errors: Errors, pod: Pod) -> None:
    """Findings about the statuses of all containers: users first, then devices, then images."""
    status, spec = pod.status, pod.spec
    groups: tuple[tuple[str, Sequence[ContainerStatus], Sequence[Container]], ...] = (
        ("status.containerStatuses", status.containerStatuses, spec.containers or ()),
        ("status.initContainerStatuses", status.initContainerStatuses, spec.initContainers))
    debuggers = "status.ephemeralContainerStatuses", status.ephemeralContainerStatuses
    system = spec.os.name if spec.os is not None else "linux"
    every = (*((path, statuses) for path, statuses, _ in groups), debuggers)
    for path, statuses in every:
        for index, one in enumerate(statuses):
            if one.user is not None and one.user.linux is not None:
                _user(errors, one.user.linux, f"{path}[{index}].user.linux", system)
    for path, statuses, known in groups:
        for index, one in enumerate(statuses):
            _devices(errors, one, f"{path}[{index}]", next((it for it in known if it.name == one.name), None))
    errors += [field.forbidden(f"{debuggers[0]}[{index}].allocatedResourcesStatus", "must not be specified in container status")
               for index, one in enumerate(debuggers[1]) if one.allocatedResourcesStatus]
    for path, statuses in every:
        for index, one in enumerate(statuses):
            _images(errors, one, f"{path}[{index}]")


def _user(errors: Errors, user: LinuxContainerUser, path: str, system: str) -> None:
    if system == "windows":
        errors.append(field.forbidden(path, "cannot be set for a windows pod"))
    if system != "linux":
        return
    numbers = [("uid", user.uid), ("gid", user.gid), *((f"supplementalGroups[{index}]", one) for index, one in enumerate(user.supplementalGroups))]
    errors += [field.invalid(f"{path}.{name}", number, names.range_error(0, _MAX_ID)) for name, number in numbers if not 0 <= number <= _MAX_ID]


def _devices(errors: Errors, status: ContainerStatus, path: str, container: Container | None) -> None:
    for index, one in enumerate(status.allocatedResourcesStatus):
        at = f"{path}.allocatedResourcesStatus[{index}]"
        if container is not None:
            claims = {_CLAIM + claim.name + (f"/{claim.request}" if claim.request else "") for claim in container.resources.claims}
            is_claim = one.name.startswith(_CLAIM)
            if one.name not in (claims if is_claim else container.resources.requests):
                errors.append(field.invalid(f"{at}.name", one.name, _NO_CLAIM if is_claim else "must match one of the container's resource requests"))
        _health(errors, one.resources, f"{at}.resources")


def _health(errors: Errors, resources: Sequence[ResourceHealth], path: str) -> None:
    seen: set[str] = set()
    for index, one in enumerate(resources):
        at = f"{path}[{index}]"
        if one.health not in HEALTH:
            errors.append(field.not_supported(f"{at}.health", one.health, HEALTH))
        if one.message == "":
            errors.append(field.required(f"{at}.message", "must be non-empty if specified"))
        elif one.message is not None and len(one.message.encode()) > _MOST_MESSAGE:
            errors.append(field.too_long(f"{at}.message", _MOST_MESSAGE))
        if one.resourceID in seen:
            errors.append(field.duplicate(f"{at}.resourceID", one.resourceID))
        seen.add(one.resourceID)


def _images(errors: Errors, status: ContainerStatus, path: str) -> None:
    for index, one in enumerate(status.volumeMounts):
        if one.volumeStatus is None or one.volumeStatus.image is None:
            continue
        at, reference = f"{path}.volumeMounts[{index}].volumeStatus.imageVolumeStatus.imageRef", one.volumeStatus.image.imageRef
        if not reference:
            errors.append(field.required(at, "imageRef must not be empty"))
        if len(reference.encode()) > _MOST_REFERENCE:
            errors.append(field.too_long(at, _MOST_REFERENCE))
