"""Priority: the number and preemption policy of a pod come from its PriorityClass.

Source: kubernetes `plugin/pkg/admission/priority`; the system classes' protection: `pkg/registry/scheduling/priorityclass`.
"""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import Pod
from sampan.api.resources import PRIORITY_CLASSES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers

SYSTEM = frozenset(("system-node-critical", "system-cluster-critical"))


class Priority:
    """Resolves classes of pods, and keeps the default class single."""

    name = "Priority"

    def __init__(self, readers: Readers) -> None:
        self._classes = readers.of(PRIORITY_CLASSES)
        self._default: tuple[int, Any] = (-1, None)

    def handles(self, request: AdmissionRequest) -> bool:
        """Pods and priority classes."""
        if request.subresource:
            return False
        if request.resource.plural == "pods" and not request.resource.group:
            return request.operation in ("CREATE", "UPDATE")
        return request.resource.plural == "priorityclasses"

    async def admit(self, request: AdmissionRequest) -> None:
        """Set a new pod's priority; keep an old pod's."""
        if request.resource.plural != "pods":
            return
        pod: Pod = request.object
        if request.operation == "UPDATE":
            old: Pod = request.old
            if pod.spec.priority is None:
                pod.spec.priority = old.spec.priority
            if pod.spec.preemptionPolicy is None:
                pod.spec.preemptionPolicy = old.spec.preemptionPolicy
            return
        if pod.spec.priorityClassName:
            entry = self._classes.get("", pod.spec.priorityClassName)
            if entry is None:
                raise forbidden(request, f"no PriorityClass with name {pod.spec.priorityClassName} was found")
            found = entry.object
        else:
            found = self._default_class()
        value, policy = (0, "PreemptLowerPriority") if found is None else (found.value, found.preemptionPolicy)
        pod.spec.priorityClassName = "" if found is None else found.metadata.name
        if pod.spec.priority is not None and pod.spec.priority != value:
            raise forbidden(request, f"the integer value of priority ({pod.spec.priority}) must not be provided in pod spec; "
                                     f"priority admission controller computed {value} from the given PriorityClass name")
        pod.spec.priority = value
        if policy:
            if pod.spec.preemptionPolicy is not None and pod.spec.preemptionPolicy != policy:
                raise forbidden(request, f"the string value of PreemptionPolicy ({pod.spec.preemptionPolicy}) must not be provided in "
                                         f"pod spec; priority admission controller computed {policy} from the given PriorityClass name")
            pod.spec.preemptionPolicy = policy

    async def validate(self, request: AdmissionRequest) -> None:
        """One default class; the system's classes stay."""
        if request.resource.plural != "priorityclasses":
            return
        if request.operation == "DELETE":
            if request.name in SYSTEM:
                raise forbidden(request, "this is a system priority class and cannot be deleted", final=True)
            return
        if request.object.globalDefault:
            default = self._default_class()
            if default is not None and (request.operation == "CREATE" or default.metadata.name != request.name):
                raise forbidden(request, f"PriorityClass {default.metadata.name} is already marked as default. Only one default "
                                         "can exist", final=True)

    def _default_class(self) -> Any:
        """The default class with the lowest value."""
        if self._default[0] != self._classes.generation:
            marked = [entry.object for entry in self._classes.entries() if entry.object.globalDefault]
            lowest = min(marked, key=lambda found: found.value, default=None)
            self._default = (self._classes.generation, lowest)
        return self._default[1]
