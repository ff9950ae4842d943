"""The default plugins, in upstream's order, with their weights. Source: `apis/config/v1/default_plugins.go`."""

from __future__ import annotations

from sampan.scheduler.plugins.balanced_allocation import BalancedAllocation
from sampan.scheduler.plugins.base import Filter, Score
from sampan.scheduler.plugins.image_locality import ImageLocality
from sampan.scheduler.plugins.node_affinity import NodeAffinity
from sampan.scheduler.plugins.node_name import NodeName
from sampan.scheduler.plugins.node_ports import NodePorts
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit
from sampan.scheduler.plugins.node_unschedulable import NodeUnschedulable
from sampan.scheduler.plugins.taint_toleration import TaintToleration

FILTERS: tuple[Filter, ...] = (NodeUnschedulable(), NodeName(), TaintToleration(), NodeAffinity(), NodePorts(), NodeResourcesFit())
SCORES: tuple[tuple[Score, int], ...] = (
    (TaintToleration(), 3), (NodeAffinity(), 2), (NodeResourcesFit(), 1), (BalancedAllocation(), 1), (ImageLocality(), 1),
)
