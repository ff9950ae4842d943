"""NodePorts: a host port that is taken keeps a pod away. Source: `plugins/nodeports`."""

from __future__ import annotations

import numpy as np

from sampan.scheduler.plugins.base import Reason, Verdict
from sampan.scheduler.snapshot import PodShape, Snapshot


class NodePorts:
    name = "NodePorts"

    def filter(self, pod: PodShape, snapshot: Snapshot) -> Verdict | None:
        taken = np.zeros(len(snapshot.alive), np.bool_)
        for protocol, address, port in pod.ports:
            for row, addresses in snapshot.ports.get((protocol, port), {}).items():
                # the empty address is every address, so it clashes with all
                if not address or "" in addresses or address in addresses:
                    taken[row] = True
        if not taken.any():
            return None
        return Verdict(~taken, (Reason("node(s) didn't have free ports for the requested pod ports", taken, resolvable=True),))
