"""The TTL annotation of nodes. Pure. Source: kube-controller-manager `ttl/ttl_controller.go`."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.api.core.v1 import Node
from sampan.api.resources import NODES
from sampan.kinds.plan import Patch, Plan

ANNOTATION = "node.alpha.kubernetes.io/ttl"
_STEPS = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 2**31, 300))


@dataclass
class Boundary:
    """Where on the staircase of cluster sizes we are; it takes more nodes to go up than it takes to stay."""

    step: int = 0

    def move(self, nodes: int) -> bool:
        """Take in a number of nodes; whether the TTL has changed."""
        before = self.step
        while nodes > _STEPS[self.step][1]:
            self.step += 1
        while nodes < _STEPS[self.step][0]:
            self.step -= 1
        return self.step != before

    @property
    def ttl_seconds(self) -> int:
        """The TTL now."""
        return _STEPS[self.step][2]


def decide(node: Node, ttl_seconds: int) -> Plan:
    """Annotate the node unless it is."""
    if node.metadata.annotations.get(ANNOTATION) == str(ttl_seconds):
        return Plan()
    return Plan((Patch(NODES, "", node.metadata.name, {"metadata": {"annotations": {ANNOTATION: str(ttl_seconds)}}}),))
