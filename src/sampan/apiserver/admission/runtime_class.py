"""RuntimeClass: a pod gets the overhead, node selector and tolerations of the class that runs it.

Source: kubernetes `plugin/pkg/admission/runtimeclass`.
"""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import Pod, Toleration
from sampan.api.errors import OtherStatus
from sampan.api.node.v1 import RuntimeClass as RuntimeClassObject
from sampan.api.resources import RUNTIME_CLASSES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden, unaddressable
from sampan.apiserver.watchcache import Readers


def merged(tolerations: list[Toleration]) -> list[Toleration]:
    """Without those that another covers; of equal ones the first stays."""
    kept: list[Toleration] = []
    for index, one in enumerate(tolerations):
        later = tolerations[index + 1:]
        if not any(_covers(other, one) for other in kept) and not any(other != one and _covers(other, one) for other in later):
            kept.append(one)
    return kept


def _covers(more: Toleration, less: Toleration) -> bool:
    """Whether one tolerates all that the other does."""
    if more == less:
        return True
    if less.key != more.key and (more.key or more.operator != "Exists"):
        return False
    if more.effect not in ("", less.effect):
        return False
    if more.effect == "NoExecute" and more.tolerationSeconds is not None and (
            less.tolerationSeconds is None or less.tolerationSeconds > more.tolerationSeconds):
        return False
    if more.operator in ("", "Equal"):
        return less.operator == "Equal" and less.value == more.value
    return more.operator == "Exists"


class RuntimeClass:
    """Fills in, then judges."""

    name = "RuntimeClass"

    def __init__(self, readers: Readers) -> None:
        self._classes = readers.of(RUNTIME_CLASSES)

    def handles(self, request: AdmissionRequest) -> bool:
        """New pods."""
        return (request.resource.plural == "pods" and not request.resource.group and not request.subresource
                and request.operation == "CREATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Set overhead, selector and tolerations."""
        found = self._class(request, final=False)
        if found is None:
            return
        pod: Pod = request.object
        if found.overhead is not None:
            if pod.spec.overhead and pod.spec.overhead != found.overhead.podFixed:
                raise forbidden(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            pod.spec.overhead = dict(found.overhead.podFixed)
        scheduling: Any = found.scheduling
        if scheduling is None:
            return
        for key, value in sorted(scheduling.nodeSelector.items()):
            if pod.spec.nodeSelector.get(key, value) != value:
                raise forbidden(request, f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                                         f"pod.spec.nodeSelector[{key}] = {pod.spec.nodeSelector[key]}")
        pod.spec.nodeSelector = pod.spec.nodeSelector | scheduling.nodeSelector
        pod.spec.tolerations = merged([*pod.spec.tolerations, *scheduling.tolerations])

    async def validate(self, request: AdmissionRequest) -> None:
        """An overhead is the class's."""
        found = self._class(request, final=True)
        overhead = request.object.spec.overhead
        if found is not None and found.overhead is not None:
            if overhead != found.overhead.podFixed:
                raise forbidden(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead", final=True)
        elif overhead:
            raise forbidden(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead", final=True)

    def _class(self, request: AdmissionRequest, *, final: bool) -> RuntimeClassObject | None:
        name = request.object.spec.runtimeClassName
        if name is None:
            return None
        entry = self._classes.get("", name)
        if entry is None:
            if why := unaddressable(name):
                raise OtherStatus(why, code=500)
            raise forbidden(request, f'pod rejected: RuntimeClass "{name}" not found', final=final)
        return entry.object  # type: ignore[no-any-return]
