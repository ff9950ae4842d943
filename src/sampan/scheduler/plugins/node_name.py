"""NodeName: a pod that names its node runs there or nowhere. Source: `plugins/nodename`."""

from __future__ import annotations

import numpy as np

from sampan.scheduler.plugins.base import Reason, Verdict
from sampan.scheduler.snapshot import PodShape, Snapshot


class NodeName:
    name = "NodeName"

    def filter(self, pod: PodShape, snapshot: Snapshot) -> Verdict | None:
        wanted = pod.pod.spec.nodeName
        if not wanted:
            return None
        fits = np.zeros(len(snapshot.alive), np.bool_)
        if wanted in snapshot.rows:
            fits[snapshot.rows[wanted]] = True
        return Verdict(fits, (Reason("node(s) didn't match the requested node name", ~fits, resolvable=False),))
