"""NodeDeclaredFeatures: a pod that needs something of the node's agent goes where that is declared (`status.declaredFeatures`).

Source: KEP-5328; `plugins/nodedeclaredfeatures`, component-helpers `nodedeclaredfeatures/features`.
"""

from __future__ import annotations

import numpy as np

from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.world import What

MISSING = "node(s) didn't match Pod's required features"


class NodeDeclaredFeatures(Plugin):
    name = "NodeDeclaredFeatures"
    events: frozenset[What] = frozenset(("node",))

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.features:
            return None
        fits = np.zeros(len(snapshot.alive), np.bool_)
        fits[[row for row in snapshot.rows.values() if pod.features.issubset(snapshot.node(row).status.declaredFeatures)]] = True
        return Verdict(fits, (Reason(MISSING, ~fits, resolvable=False),))

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        return change.before is None or change.before.status.declaredFeatures != snapshot.node(change.row).status.declaredFeatures
