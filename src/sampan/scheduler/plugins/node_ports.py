"""NodePorts: a host port that is taken keeps a pod away. Source: `plugins/nodeports`."""

from __future__ import annotations

import numpy as np

from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.world import What


class NodePorts(Plugin):
    name = "NodePorts"
    events: frozenset[What] = frozenset(("node", "pod gone"))

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.ports:
            return None
        taken = np.zeros(len(snapshot.alive), np.bool_)
        for protocol, address, port in pod.ports:
            for row, addresses in snapshot.ports.get((protocol, port), {}).items():
                # the empty address is every address, so it clashes with all
                if not address or "" in addresses or address in addresses:
                    taken[row] = True
        if not taken.any():
            return None
        return Verdict(~taken, (Reason("node(s) didn't have free ports for the requested pod ports", taken, resolvable=True),))

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.pod is None:
            return change.before is None
        freed = {(protocol, port) for protocol, _, port in change.pod.ports}
        return any((protocol, port) in freed for protocol, _, port in pod.ports)
