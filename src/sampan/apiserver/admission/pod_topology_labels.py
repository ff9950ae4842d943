"""PodTopologyLabels: a pod is told the zone and region of the node that it is bound to.

The labels are put on the Binding; whoever applies the binding gives them to the pod.
Source: kubernetes `plugin/pkg/admission/podtopologylabels`.
"""

from __future__ import annotations

from sampan.api.resources import NODES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.watchcache import Readers

KEYS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels:
    """Copies the labels."""

    name = "PodTopologyLabels"

    def __init__(self, readers: Readers) -> None:
        self._nodes = readers.of(NODES)

    def handles(self, request: AdmissionRequest) -> bool:
        """Bindings, and pods that are born bound."""
        return (request.resource.plural == "pods" and not request.resource.group and request.operation == "CREATE"
                and request.subresource in ("", "binding"))

    async def admit(self, request: AdmissionRequest) -> None:
        """Put them on."""
        if request.subresource == "binding":
            target = request.object.target
            name = target.name if target is not None and target.kind in ("", "Node") else ""
        else:
            name = request.object.spec.nodeName
        entry = self._nodes.get("", name) if name else None
        if entry is None:
            return
        labels = entry.labels
        found = {key: labels[key] for key in KEYS if key in labels}
        if found:
            request.object.metadata.labels = request.object.metadata.labels | found
