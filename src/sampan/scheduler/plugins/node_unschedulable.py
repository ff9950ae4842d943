"""NodeUnschedulable: cordoned nodes take only pods that tolerate it. Source: `plugins/nodeunschedulable`."""

from __future__ import annotations

from sampan.api.core.v1 import Taint
from sampan.kinds.core.pod import tolerates
from sampan.scheduler.plugins.base import Reason, Verdict
from sampan.scheduler.snapshot import PodShape, Snapshot

TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable:
    name = "NodeUnschedulable"

    def filter(self, pod: PodShape, snapshot: Snapshot) -> Verdict | None:
        cordoned = snapshot.unschedulable
        if not cordoned.any() or tolerates(pod.pod, TAINT):
            return None
        return Verdict(~cordoned, (Reason("node(s) were unschedulable", cordoned.copy(), resolvable=False),))
