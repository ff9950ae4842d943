"""NodeUnschedulable: cordoned nodes take only pods that tolerate it. Source: `plugins/nodeunschedulable`."""

from __future__ import annotations

from sampan.api.core.v1 import Taint
from sampan.kinds.core.pod import tolerates
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.world import What

TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable(Plugin):
    name = "NodeUnschedulable"
    static = True
    events: frozenset[What] = frozenset(("node",))
    knows_taints = True

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        cordoned = snapshot.unschedulable
        if not cordoned.any() or tolerates(pod.pod, TAINT):
            return None
        return Verdict(~cordoned, (Reason("node(s) were unschedulable", cordoned.copy(), resolvable=False),))

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        return (change.before is None or bool(change.before.spec.unschedulable)) and not snapshot.unschedulable[change.row]
