"""What a KubeSchedulerConfiguration may say, as it stands in the file, with upstream's defaults where a file says nothing.

Owns fields and defaults. Leaves what is allowed to `configcheck`, what it means to `config`.
Source: `kube-scheduler/config/v1/{types,types_pluginargs}.go`, `pkg/scheduler/apis/config/v1/defaults.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sampan.api.core.v1 import NodeAffinity, TopologySpreadConstraint

API_VERSION = "kubescheduler.config.k8s.io/v1"
POINTS = ("preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score", "reserve", "permit", "preBind", "bind", "postBind")


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all: a field that is not known is an error."""


class LeaderElection(Said):
    leaderElect: bool | None = None
    leaseDuration: str = "15s"
    renewDeadline: str = "10s"
    retryPeriod: str = "2s"
    resourceLock: str = "leases"
    resourceName: str = "kube-scheduler"
    resourceNamespace: str = "kube-system"


class ClientConnection(Said):
    kubeconfig: str = ""
    acceptContentTypes: str = ""
    contentType: str = ""
    qps: float = 0
    burst: int = 0


class PluginRef(Said):
    name: str = ""
    weight: int = 0


class PluginSet(Said):
    enabled: list[PluginRef] = []
    disabled: list[PluginRef] = []


class Plugins(Said):
    preEnqueue: PluginSet = msgspec.field(default_factory=PluginSet)
    queueSort: PluginSet = msgspec.field(default_factory=PluginSet)
    preFilter: PluginSet = msgspec.field(default_factory=PluginSet)
    filter: PluginSet = msgspec.field(default_factory=PluginSet)
    postFilter: PluginSet = msgspec.field(default_factory=PluginSet)
    preScore: PluginSet = msgspec.field(default_factory=PluginSet)
    score: PluginSet = msgspec.field(default_factory=PluginSet)
    reserve: PluginSet = msgspec.field(default_factory=PluginSet)
    permit: PluginSet = msgspec.field(default_factory=PluginSet)
    preBind: PluginSet = msgspec.field(default_factory=PluginSet)
    bind: PluginSet = msgspec.field(default_factory=PluginSet)
    postBind: PluginSet = msgspec.field(default_factory=PluginSet)
    multiPoint: PluginSet = msgspec.field(default_factory=PluginSet)

    def at(self, point: str) -> PluginSet:
        """The set of one extension point, by its name in the file."""
        found: PluginSet = getattr(self, point)
        return found


class PluginConfig(Said):
    name: str = ""
    args: dict[str, Any] | None = None


class ProfileEntry(Said):
    schedulerName: str | None = None
    percentageOfNodesToScore: int | None = None
    plugins: Plugins = msgspec.field(default_factory=Plugins)
    pluginConfig: list[PluginConfig] = []


class ManagedResource(Said):
    name: str = ""
    ignoredByScheduler: bool = False


class TLSConfig(Said):
    insecure: bool = False
    serverName: str = ""
    certFile: str = ""
    keyFile: str = ""
    caFile: str = ""
    certData: str = ""
    keyData: str = ""
    caData: str = ""


class ExtenderEntry(Said):
    urlPrefix: str = ""
    filterVerb: str = ""
    preemptVerb: str = ""
    prioritizeVerb: str = ""
    weight: int = 0
    bindVerb: str = ""
    enableHTTPS: bool = False
    tlsConfig: TLSConfig | None = None
    httpTimeout: str = "0s"
    nodeCacheCapable: bool = False
    managedResources: list[ManagedResource] = []
    ignorable: bool = False


class Configuration(Said):
    kind: str = ""
    apiVersion: str = API_VERSION
    parallelism: int = 16
    leaderElection: LeaderElection = msgspec.field(default_factory=LeaderElection)
    clientConnection: ClientConnection = msgspec.field(default_factory=ClientConnection)
    enableProfiling: bool = True
    enableContentionProfiling: bool = True
    percentageOfNodesToScore: int | None = None
    podInitialBackoffSeconds: int = 1
    podMaxBackoffSeconds: int = 10
    profiles: list[ProfileEntry] = []
    extenders: list[ExtenderEntry] = []
    delayCacheUntilActive: bool = False


# arguments of plugins


class Args(Said):
    kind: str = ""
    apiVersion: str = ""


class ResourceSpec(Said):
    name: str = ""
    weight: int = 0


class ShapePoint(Said):
    utilization: int = 0
    score: int = 0


class CapacityRatio(Said):
    shape: list[ShapePoint] = []


def _cpu_and_memory() -> list[ResourceSpec]:
    return [ResourceSpec("cpu", 1), ResourceSpec("memory", 1)]


class ScoringStrategy(Said):
    type: str = ""
    resources: list[ResourceSpec] = []
    requestedToCapacityRatio: CapacityRatio | None = None


class DefaultPreemptionArgs(Args):
    minCandidateNodesPercentage: int = 10
    minCandidateNodesAbsolute: int = 100


class InterPodAffinityArgs(Args):
    hardPodAffinityWeight: int = 1
    ignorePreferredTermsOfExistingPods: bool = False


class NodeAffinityArgs(Args):
    addedAffinity: NodeAffinity | None = None


class NodeResourcesFitArgs(Args):
    ignoredResources: list[str] = []
    ignoredResourceGroups: list[str] = []
    scoringStrategy: ScoringStrategy = msgspec.field(default_factory=lambda: ScoringStrategy("LeastAllocated"))

    def __post_init__(self) -> None:
        self.scoringStrategy.resources = weighted(self.scoringStrategy.resources)


class NodeResourcesBalancedAllocationArgs(Args):
    resources: list[ResourceSpec] = []

    def __post_init__(self) -> None:
        self.resources = weighted(self.resources)


class PodTopologySpreadArgs(Args):
    defaultConstraints: list[TopologySpreadConstraint] = []
    defaultingType: str = "System"


class VolumeBindingArgs(Args):
    bindTimeoutSeconds: int = 600
    shape: list[ShapePoint] | None = None


class DynamicResourcesArgs(Args):
    filterTimeout: str = "10s"
    bindingTimeout: str = "10m0s"


ARGS: Mapping[str, type[Args]] = {
    "DefaultPreemption": DefaultPreemptionArgs, "InterPodAffinity": InterPodAffinityArgs, "NodeAffinity": NodeAffinityArgs,
    "NodeResourcesFit": NodeResourcesFitArgs, "NodeResourcesBalancedAllocation": NodeResourcesBalancedAllocationArgs,
    "PodTopologySpread": PodTopologySpreadArgs, "VolumeBinding": VolumeBindingArgs, "DynamicResources": DynamicResourcesArgs,
}


def weighted(resources: list[ResourceSpec]) -> list[ResourceSpec]:
    """CPU and memory where none are named; a weight that is not given is 1."""
    return [ResourceSpec(one.name, one.weight or 1) for one in resources] or _cpu_and_memory()
