"""NodeName: a pod that names its node runs there or nowhere. Source: `plugins/nodename`."""

from __future__ import annotations

import numpy as np

from sampan.scheduler.plugins.base import Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.world import What


class NodeName(Plugin):
    name = "NodeName"
    static = True
    events: frozenset[What] = frozenset(("node",))

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        wanted = pod.node_name
        if not wanted:
            return None
        fits = np.zeros(len(snapshot.alive), np.bool_)
        if wanted in snapshot.rows:
            fits[snapshot.rows[wanted]] = True
        return Verdict(fits, (Reason("node(s) didn't match the requested node name", ~fits, resolvable=False),))
