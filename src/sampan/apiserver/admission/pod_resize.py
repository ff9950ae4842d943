"""PodResizeValidator: a pod on a node may grow as far as the node's allocatable goes, and on Linux only.

Source: kubernetes `plugin/pkg/admission/podresize`.
"""

from __future__ import annotations

from msgspec import structs

from sampan.api import quantity
from sampan.api.core.v1 import Node, Pod, PodStatus
from sampan.api.errors import Forbidden
from sampan.api.resources import NODES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers
from sampan.kinds.core.pod import requests

OS = "kubernetes.io/os"


class PodResizeValidator:
    """Judges `pods/resize`."""

    name = "PodResizeValidator"

    def __init__(self, readers: Readers) -> None:
        self._nodes = readers.of(NODES)

    def handles(self, request: AdmissionRequest) -> bool:
        """Resizes."""
        return (request.resource.plural == "pods" and not request.resource.group and request.subresource == "resize"
                and request.operation == "UPDATE")

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse what the node can't have.

        Raises:
            Forbidden: It is too much, or the node is none for it.
        """
        new: Pod = request.object
        old: Pod = request.old
        if not new.spec.nodeName or new.metadata.generation == old.metadata.generation:
            return
        entry = self._nodes.get("", new.spec.nodeName)
        if entry is None:
            raise forbidden(request, f'node "{new.spec.nodeName}" not found', final=True)
        system = entry.labels.get(OS, "linux")
        if system != "linux":
            raise _caused(forbidden(request, f'pod resize is only supported on linux nodes, node "{entry.name}" is "{system}"', final=True),
                          "UnsupportedPlatform")
        if problem := _too_much(new, entry.object):
            raise _caused(forbidden(request, f"Node didn't have enough allocatable resources: {problem}", final=True), "NodeCapacity")


def _too_much(pod: Pod, node: Node) -> str:
    """What the pod asks for beyond the node's allocatable: by its spec alone, however far an earlier resize has come."""
    wanted, free = requests(structs.replace(pod, status=PodStatus())), node.status.allocatable
    found = []
    cpu, memory = quantity.milli(free.get("cpu", "0")), quantity.integer(free.get("memory", "0"))
    if wanted.get("cpu", 0) > cpu:
        found.append(f"cpu, requested: {wanted['cpu']}, allocatable: {cpu}")
    if wanted.get("memory", 0) > memory:
        found.append(f"memory, requested: {wanted['memory']}, allocatable: {memory}")
    return "; ".join(found)


def _caused(error: Forbidden, reason: str) -> Forbidden:
    error.details = error.details | {"causes": [*error.details.get("causes", ()), {"reason": reason}]}
    return error
