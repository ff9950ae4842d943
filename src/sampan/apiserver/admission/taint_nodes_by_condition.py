"""TaintNodesByCondition: a new node is tainted as not ready until the node lifecycle controller knows better.

Source: kubernetes `plugin/pkg/admission/nodetaint`.
"""

from __future__ import annotations

from sampan.api.core.v1 import Node, Taint
from sampan.apiserver.admission.base import AdmissionRequest

KEY = "node.kubernetes.io/not-ready"


class TaintNodesByCondition:
    """Adds the taint."""

    name = "TaintNodesByCondition"

    def handles(self, request: AdmissionRequest) -> bool:
        """New nodes."""
        return (request.resource.plural == "nodes" and not request.resource.group and not request.subresource
                and request.operation == "CREATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Add it unless it is there."""
        node: Node = request.object
        if not any(taint.key == KEY and taint.effect == "NoSchedule" for taint in node.spec.taints):
            node.spec.taints.append(Taint(key=KEY, effect="NoSchedule"))
