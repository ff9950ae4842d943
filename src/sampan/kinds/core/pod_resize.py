"""What the resize subresource of a pod may change: CPU and memory of its containers, and of the pod as a whole.

Source: kubernetes `pkg/apis/core/validation` (`ValidatePodResize`), KEP-1287, KEP-5419.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from sampan.api import field
from sampan.api.core.v1 import Container, Pod, PodSpec, ResourceRequirements
from sampan.api.errors import FieldError
from sampan.kinds.core.pod_qos import class_of
from sampan.kinds.core.pod_spec.marks import MIRROR

Errors = list[FieldError]

_COMPUTE = ("cpu", "memory")
_ONLY_COMPUTE = "only cpu and memory resources are mutable"


def refused(pod: Pod) -> Errors:
    """Why this pod cannot be resized at all: then nothing else is said."""
    if MIRROR in pod.metadata.annotations:
        return [field.forbidden(field.WHOLE, "static pods cannot be resized")]
    if pod.spec.os is not None and pod.spec.os.name == "windows":
        return [field.forbidden(field.WHOLE, "windows pods cannot be resized")]
    return []


def validate(new: Pod, old: Pod) -> Errors:
    """Findings about the change, besides those about the pod itself."""
    errors: Errors = []
    if (old.status.qosClass or class_of(old.spec)) != class_of(new.spec):
        errors.append(field.invalid("spec", new.status.qosClass, "Pod QOS Class may not change as a result of resizing"))
    running = next((one for one in old.status.containerStatuses if one.state.running is not None), None)
    if running is not None and running.resources is None:
        errors.append(field.forbidden("spec", "Pod running on node without support for resize"))
    spec: PodSpec = structs.replace(new.spec)
    if _says_something(new.spec.resources) or _says_something(old.spec.resources):
        spec.resources = _whole_pod(errors, new.spec.resources, old.spec.resources)
    if old.status.nodeAllocatableResourceClaimStatuses:
        errors.append(field.forbidden("spec", "pods with node allocatable resource claims cannot be resized"))
    moved = _order("containers", new.spec.containers or [], old.spec.containers or [])
    moved += _order("initContainers", new.spec.initContainers, old.spec.initContainers)
    if moved:
        return errors + moved
    for name in ("initContainers", "containers"):
        for index, (one, was) in enumerate(zip(getattr(new.spec, name) or [], getattr(old.spec, name) or [], strict=True)):
            _not_removed(errors, one.resources, was.resources, f"spec.{name}[{index}].resources")
    spec.containers = _containers(errors, new.spec.containers or [], old.spec.containers or [])
    spec.initContainers = _init_containers(errors, new.spec.initContainers, old.spec.initContainers)
    if not errors and spec != old.spec:
        errors.append(field.forbidden("spec", _ONLY_COMPUTE))
    return errors


def _says_something(resources: ResourceRequirements | None) -> bool:
    return resources is not None and bool(resources.requests or resources.limits)


def _order(name: str, new: list[Container], old: list[Container]) -> Errors:
    """Containers are those that they were, in their order."""
    if len(new) != len(old):
        return [field.forbidden(f"spec.{name}", f"{name} may not be added or removed on resize")]
    return [field.forbidden(f"spec.{name}[{index}].name", f"{name} may not be renamed or reordered on resize")
            for index, (one, was) in enumerate(zip(new, old, strict=True)) if one.name != was.name]


def _not_removed(errors: Errors, new: ResourceRequirements, old: ResourceRequirements, path: str, words: str = "resource") -> None:
    if old.requests.keys() - new.requests.keys():
        errors.append(field.forbidden(f"{path}.requests", f"{words} requests cannot be removed"))
    if old.limits.keys() - new.limits.keys():
        errors.append(field.forbidden(f"{path}.limits", f"{words} limits cannot be removed"))


def _whole_pod(errors: Errors, new: ResourceRequirements | None, old: ResourceRequirements | None) -> ResourceRequirements | None:
    """The pod's own amounts with the old CPU and memory in them."""
    if new is None:
        errors.append(field.forbidden("spec.resources", "pod-level resources cannot be removed"))
        return None
    if old is not None:
        _not_removed(errors, new, old, "spec.resources", "pod-level resource")
    back: ResourceRequirements | None = _without_compute(new, old or ResourceRequirements())
    if old is None and back == ResourceRequirements():
        back = None
    if back != old:
        errors.append(field.forbidden("spec", f"{_ONLY_COMPUTE} at pod-level"))
    return back


def _containers(errors: Errors, new: list[Container], old: list[Container]) -> list[Container]:
    out = [structs.replace(one, resources=_container_back(one.resources, was.resources))
           for one, was in zip(new, old, strict=True)]
    errors += [field.forbidden("spec", _ONLY_COMPUTE) for back, was in zip(out, old, strict=True) if back != was]
    return out


def _init_containers(errors: Errors, new: list[Container], old: list[Container]) -> list[Container]:
    out: list[Container] = []
    for index, (one, was) in enumerate(zip(new, old, strict=True)):
        at = f"spec.initContainers[{index}]"
        back = structs.replace(one, resources=_container_back(one.resources, was.resources))
        if back != was:
            errors.append(field.forbidden(at, "only cpu and memory resources for init or sidecar containers are mutable"))
        if one != was and one.restartPolicy != "Always" and any(
                policy.restartPolicy == "RestartContainer" for policy in one.resizePolicy):
            errors.append(field.forbidden(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be "
                                              "resized"))
        out.append(back)
    return out


def _container_back(new: ResourceRequirements, old: ResourceRequirements) -> ResourceRequirements:
    """As `_without_compute`, but claims are lost: upstream resizes no container that has some."""
    return structs.replace(_without_compute(new, old), claims=[])


def _without_compute(new: ResourceRequirements, old: ResourceRequirements) -> ResourceRequirements:
    """The new amounts with the old CPU and memory in them."""
    def put_back(now: Mapping[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in now.items() if name not in _COMPUTE} | {
            name: was[name] for name in _COMPUTE if name in was}

    return ResourceRequirements(limits=put_back(new.limits, old.limits), requests=put_back(new.requests, old.requests),
                                claims=new.claims)
