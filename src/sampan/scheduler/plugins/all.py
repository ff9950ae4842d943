"""The default plugins, in upstream's order, with their weights. Source: `apis/config/v1/default_plugins.go`."""

from __future__ import annotations

from sampan.scheduler.plugins.balanced_allocation import NodeResourcesBalancedAllocation
from sampan.scheduler.plugins.base import Plugin
from sampan.scheduler.plugins.dynamic_resources import DynamicResources
from sampan.scheduler.plugins.image_locality import ImageLocality
from sampan.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from sampan.scheduler.plugins.node_affinity import NodeAffinity
from sampan.scheduler.plugins.node_declared_features import NodeDeclaredFeatures
from sampan.scheduler.plugins.node_name import NodeName
from sampan.scheduler.plugins.node_ports import NodePorts
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit
from sampan.scheduler.plugins.node_unschedulable import NodeUnschedulable
from sampan.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from sampan.scheduler.plugins.pod_topology_spread import PodTopologySpread
from sampan.scheduler.plugins.taint_toleration import TaintToleration
from sampan.scheduler.plugins.volume_binding import VolumeBinding
from sampan.scheduler.plugins.volume_restrictions import VolumeRestrictions
from sampan.scheduler.plugins.volume_zone import VolumeZone

ALL: tuple[type[Plugin], ...] = (
    NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit,
    VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone, PodTopologySpread, InterPodAffinity, DynamicResources,
    NodeResourcesBalancedAllocation, ImageLocality, NodeDeclaredFeatures,
)
# those that score, with their default weights
WEIGHTS = {
    "TaintToleration": 3, "NodeAffinity": 2, "NodeResourcesFit": 1, "PodTopologySpread": 2, "InterPodAffinity": 2,
    "DynamicResources": 2,
    "NodeResourcesBalancedAllocation": 1, "ImageLocality": 1,
}
# they have a place in a configuration file, their work is done elsewhere: gates and order by the queue, binding by the loop
ELSEWHERE = ("SchedulingGates", "PrioritySort", "DefaultPreemption", "DefaultBinder")
