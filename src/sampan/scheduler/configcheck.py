"""What a KubeSchedulerConfiguration must not say, in upstream's words. Pure.

Source: `pkg/scheduler/apis/config/validation/{validation,validation_pluginargs}.go`, component-base `config/validation`,
`framework/runtime/framework.go` (plugins that there are not).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sampan.api import field, names
from sampan.api.cel.errors import CelError
from sampan.api.cel.temporal import parse_duration
from sampan.api.errors import FieldError
from sampan.api.field import Path
from sampan.kinds.core.pod_spec.resources import is_extended
from sampan.kinds.core.pod_spec.scheduling import node_selector, node_term
from sampan.scheduler import configtypes as types

GONE = ("AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits")
STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
_SECOND = 10**9
# at which points of a cycle each plugin has something to do
EXTENDS: Mapping[str, tuple[str, ...]] = {
    "SchedulingGates": ("preEnqueue",), "PrioritySort": ("queueSort",), "NodeUnschedulable": ("filter",), "NodeName": ("filter",),
    "TaintToleration": ("filter", "preScore", "score"), "NodeAffinity": ("preFilter", "filter", "preScore", "score"),
    "NodePorts": ("preFilter", "filter"), "NodeResourcesFit": ("preFilter", "filter", "preScore", "score"),
    "VolumeRestrictions": ("preFilter", "filter"), "NodeVolumeLimits": ("preFilter", "filter"),
    "VolumeBinding": ("preFilter", "filter", "preScore", "score", "reserve", "preBind"), "VolumeZone": ("preFilter", "filter"),
    "PodTopologySpread": ("preFilter", "filter", "preScore", "score"), "InterPodAffinity": ("preFilter", "filter", "preScore", "score"),
    "DefaultPreemption": ("preEnqueue", "postFilter"), "NodeResourcesBalancedAllocation": ("preScore", "score"), "ImageLocality": ("score",),
    "DefaultBinder": ("bind",), "DynamicResources": ("preEnqueue", "preFilter", "filter", "postFilter", "score", "reserve", "preBind"),
    "NodeDeclaredFeatures": ("preFilter", "filter"),
}
Arguments = Mapping[str, types.Args]


def nanoseconds(text: str) -> int:
    """A duration as Go writes it.

    Raises:
        ValueError: It is none.
    """
    try:
        return int(parse_duration(text).nano)
    except CelError:
        raise ValueError(f'time: invalid duration "{text}"') from None


def check(config: types.Configuration, arguments: Sequence[Arguments]) -> list[FieldError]:
    """What is wrong with a configuration; `arguments` are those of each profile, by plugin."""
    out = [*_client(config), *_leader(config)]
    if config.parallelism <= 0:
        out.append(field.invalid("parallelism", config.parallelism, "should be an integer value greater than zero"))
    seen: dict[str, int] = {}
    for index, profile in enumerate(config.profiles):
        path, name = Path("profiles").index(index), profile.schedulerName or ""
        out += _profile(profile, arguments[index], path)
        if name in seen:
            out.append(field.duplicate(path / "schedulerName", Path(f"profiles[{seen[name]}].schedulerName")))
        seen[name] = index
    out += _queue_sort(config.profiles)
    out += _percentage(config.percentageOfNodesToScore, Path("percentageOfNodesToScore"))
    if config.podInitialBackoffSeconds <= 0:
        out.append(field.invalid("podInitialBackoffSeconds", config.podInitialBackoffSeconds, "must be greater than 0"))
    if config.podMaxBackoffSeconds < config.podInitialBackoffSeconds:
        out.append(field.invalid("podMaxBackoffSeconds", config.podMaxBackoffSeconds, "must be greater than or equal to PodInitialBackoffSeconds"))
    return [*out, *_extenders(config.extenders)]


def _client(config: types.Configuration) -> Iterator[FieldError]:
    if config.clientConnection.burst < 0:
        yield field.invalid("clientConnection.burst", config.clientConnection.burst, "must be non-negative")


def _leader(config: types.Configuration) -> Iterator[FieldError]:
    said, path = config.leaderElection, Path("leaderElection")
    if said.leaderElect is False:
        return
    lengths = {}
    for name in ("leaseDuration", "renewDeadline", "retryPeriod"):
        lengths[name] = nanoseconds(getattr(said, name))
        if lengths[name] <= 0:
            yield field.invalid(path / name, getattr(said, name), "must be greater than zero")
    if lengths["leaseDuration"] < lengths["renewDeadline"]:
        yield field.invalid(path / "leaseDuration", said.renewDeadline, "LeaseDuration must be greater than RenewDeadline")
    for name in ("resourceLock", "resourceNamespace", "resourceName"):
        if not getattr(said, name):
            yield field.required(path / name, f"{name} is required")
    if said.resourceLock != "leases":
        yield field.invalid(path / "resourceLock", said.resourceLock, 'resourceLock value must be "leases"')


def _percentage(value: int | None, path: Path) -> Iterator[FieldError]:
    if value is not None and not 0 <= value <= 100:
        yield field.invalid(path, value, "not in valid range [0-100]")


def _profile(profile: types.ProfileEntry, arguments: Arguments, path: Path) -> list[FieldError]:
    out = [] if profile.schedulerName else [field.required(path / "schedulerName")]
    out += _percentage(profile.percentageOfNodesToScore, path / "percentageOfNodesToScore")
    for point in types.POINTS:
        out += [_gone(path.child("plugins", point, "enabled").index(place), one.name)
                for place, one in enumerate(profile.plugins.at(point).enabled) if one.name in GONE]
    seen: set[str] = set()
    for index, one in enumerate(profile.pluginConfig):
        at = (path / "pluginConfig").index(index)
        if one.name in seen:
            out.append(field.duplicate(at, one.name))
        seen.add(one.name)
        if one.name in GONE:
            out.append(_gone(at, one.name))
        elif one.name in _CHECKS and one.name in arguments:
            out += _CHECKS[one.name](arguments[one.name], at / "args")
    return out


def _gone(path: Path, name: str) -> FieldError:
    return field.invalid(path, name, f'was invalid in version "{types.API_VERSION}" (KubeSchedulerConfiguration is version "{types.API_VERSION}")')


def _queue_sort(profiles: Sequence[types.ProfileEntry]) -> Iterator[FieldError]:
    first = profiles[0].plugins.queueSort
    if len(first.enabled) > 1:
        yield field.invalid("profiles[0].plugins.queueSort.Enabled", len(first.enabled), "only one queue sort plugin can be enabled")
    for index, one in enumerate(profiles[1:], 1):
        if one.plugins.queueSort != first:
            yield field.invalid(f"profiles[{index}].plugins.queueSort", [ref.name for ref in one.plugins.queueSort.enabled], "must be the same for all profiles")


def _extenders(extenders: Sequence[types.ExtenderEntry]) -> Iterator[FieldError]:
    managed: set[str] = set()
    for index, one in enumerate(extenders):
        path = Path("extenders").index(index)
        if not one.urlPrefix:  # upstream finds out when it asks
            yield field.required(path / "urlPrefix")
        if one.prioritizeVerb and one.weight <= 0:
            yield field.invalid(path / "weight", one.weight, "must have a positive weight applied to it")
        for place, resource in enumerate(one.managedResources):
            at = (path / "managedResources").index(place) / "name"
            if messages := names.qualified_name(resource.name):
                yield from field.invalid_each(at, resource.name, messages)
            elif not is_extended(resource.name):
                yield field.invalid(at, resource.name, "is an invalid extended resource name")
            if resource.name in managed:
                yield field.invalid(at, resource.name, "duplicate extender managed resource name")
            managed.add(resource.name)
    binders = sum(bool(one.bindVerb) for one in extenders)
    if binders > 1:
        yield field.invalid("extenders", f"found {binders} extenders implementing bind", "only one extender can implement bind")


# arguments of plugins


def _preemption(args: types.DefaultPreemptionArgs, path: Path) -> Iterator[FieldError]:
    percent, absolute = args.minCandidateNodesPercentage, args.minCandidateNodesAbsolute
    if not 0 <= percent <= 100:
        yield field.invalid(path / "minCandidateNodesPercentage", percent, "not in valid range [0, 100]")
    if absolute < 0:
        yield field.invalid(path / "minCandidateNodesAbsolute", absolute, "not in valid range [0, inf)")
    if not percent and not absolute:
        yield field.invalid(path / "minCandidateNodesPercentage", percent, "cannot be zero at the same time as minCandidateNodesAbsolute")
        yield field.invalid(path / "minCandidateNodesAbsolute", absolute, "cannot be zero at the same time as minCandidateNodesPercentage")


def _pod_affinity(args: types.InterPodAffinityArgs, path: Path) -> Iterator[FieldError]:
    if not 0 <= args.hardPodAffinityWeight <= 100:
        yield field.invalid(path / "hardPodAffinityWeight", args.hardPodAffinityWeight, "not in valid range [0, 100]")


def _node_affinity(args: types.NodeAffinityArgs, path: Path) -> list[FieldError]:
    out: list[FieldError] = []
    if (added := args.addedAffinity) is not None:
        at = path / "addedAffinity"
        if added.requiredDuringSchedulingIgnoredDuringExecution is not None:
            node_selector(out, added.requiredDuringSchedulingIgnoredDuringExecution, at / "requiredDuringSchedulingIgnoredDuringExecution")
        for index, preferred in enumerate(added.preferredDuringSchedulingIgnoredDuringExecution):
            node_term(out, preferred.preference, (at / "preferredDuringSchedulingIgnoredDuringExecution").index(index) / "preference", check_values=False)
    return out


def _balanced(args: types.NodeResourcesBalancedAllocationArgs, path: Path) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, one in enumerate(args.resources):
        at = (path / "resources").index(index)
        if one.name in seen:
            yield field.duplicate(at / "name", one.name)
        seen.add(one.name)
        if one.weight != 1:
            yield field.invalid(at / "weight", one.weight, "must be 1")


def _spread(args: types.PodTopologySpreadArgs, path: Path) -> Iterator[FieldError]:
    kind = args.defaultingType
    if kind not in ("System", "List"):
        yield field.not_supported(path / "defaultingType", kind, ("System", "List"))
    elif kind == "System" and args.defaultConstraints:
        yield field.invalid(path / "defaultingType", kind, "when .defaultConstraints are not empty")
    seen: set[tuple[str, str]] = set()
    for index, one in enumerate(args.defaultConstraints):
        at = (path / "defaultConstraints").index(index)
        if one.maxSkew <= 0:
            yield field.invalid(at / "maxSkew", one.maxSkew, "not in valid range (0, inf)")
        if not one.topologyKey:
            yield field.required(at / "topologyKey", "can not be empty")
        else:
            yield from field.invalid_each(at / "topologyKey", one.topologyKey, names.qualified_name(one.topologyKey))
        if not one.whenUnsatisfiable:
            yield field.required(at / "whenUnsatisfiable", "can not be empty")
        elif one.whenUnsatisfiable not in ("DoNotSchedule", "ScheduleAnyway"):
            yield field.not_supported(at / "whenUnsatisfiable", one.whenUnsatisfiable, ("DoNotSchedule", "ScheduleAnyway"))
        if one.labelSelector is not None:
            yield field.forbidden(at / "labelSelector", "constraint must not define a selector, as they deduced for each pod")
        if (pair := (one.topologyKey, one.whenUnsatisfiable)) in seen:
            yield field.duplicate(at, f"{{{pair[0]}, {pair[1]}}}")
        seen.add(pair)


def _volume_binding(args: types.VolumeBindingArgs, path: Path) -> Iterator[FieldError]:
    if args.bindTimeoutSeconds < 0:
        yield field.invalid(path / "bindTimeoutSeconds", args.bindTimeoutSeconds, "invalid BindTimeoutSeconds, should not be a negative value")
    if args.shape is not None:
        yield field.invalid(path / "shape", [{"utilization": one.utilization, "score": one.score} for one in args.shape],
                            "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring")


def _devices(args: types.DynamicResourcesArgs, path: Path) -> Iterator[FieldError]:
    if nanoseconds(args.filterTimeout) < 0:
        yield field.invalid(path / "filterTimeout", args.filterTimeout, "must be zero or positive")
    if nanoseconds(args.bindingTimeout) < _SECOND:
        yield field.invalid(path / "bindingTimeout", args.bindingTimeout, "must be at least 1 second")


def check_fit(args: types.NodeResourcesFitArgs) -> list[FieldError]:
    """Upstream asks this when it makes the plugin, so that paths begin with its arguments."""
    out: list[FieldError] = []
    for index, name in enumerate(args.ignoredResources):
        out += field.invalid_each(f"ignoredResources[{index}]", name, names.qualified_name(name))
    for index, group in enumerate(args.ignoredResourceGroups):
        at = f"ignoredResourceGroups[{index}]"
        if "/" in group:
            out.append(field.invalid(at, group, "resource group name can't contain '/'"))
        out += field.invalid_each(at, group, names.qualified_name(group))
    said, path = args.scoringStrategy, Path("scoringStrategy")
    if said.type not in STRATEGIES:
        out.append(field.not_supported(path / "type", said.type, STRATEGIES))
    out += [field.invalid((path / "resources").index(index) / "weight", one.weight, f"resource weight of {one.name} not in valid range (0, 100]")
            for index, one in enumerate(said.resources) if not 0 < one.weight <= 100]
    ratio = path / "requestedToCapacityRatio"
    if said.type == "RequestedToCapacityRatio":
        if said.requestedToCapacityRatio is None:
            out.append(field.required(ratio, "must be specified when type is RequestedToCapacityRatio"))
        else:
            out += _shape(said.requestedToCapacityRatio.shape, ratio / "shape")
    elif said.requestedToCapacityRatio is not None:
        out.append(field.forbidden(ratio, "must be nil when type is not RequestedToCapacityRatio"))
    return out


def _shape(shape: Sequence[types.ShapePoint], path: Path) -> Iterator[FieldError]:
    if not shape:
        yield field.required(path, "at least one point must be specified")
        return
    rising = next((index for index in range(1, len(shape)) if shape[index - 1].utilization >= shape[index].utilization), 0)
    if rising:
        yield field.invalid(path.index(rising) / "utilization", shape[rising].utilization, "values must be sorted in increasing order")
    for index, one in enumerate(shape):
        for name, value, most in (("utilization", one.utilization, 100), ("score", one.score, 10)):
            if not 0 <= value <= most:
                yield field.invalid(path.index(index) / name, value, f"not in valid range [0, {most}]")


_CHECKS: Mapping[str, Callable[[Any, Path], Iterable[FieldError]]] = {
    "DefaultPreemption": _preemption, "InterPodAffinity": _pod_affinity, "NodeAffinity": _node_affinity, "NodeResourcesBalancedAllocation": _balanced,
    "PodTopologySpread": _spread, "VolumeBinding": _volume_binding, "DynamicResources": _devices,
}


def unknown_plugins(plugins: types.Plugins) -> Iterator[str]:
    """What upstream's framework says of plugins that are switched on where they cannot be."""
    for point in ("multiPoint", *types.POINTS):
        kind = f"{point[0].upper()}{point[1:]}Plugin"
        seen: set[str] = set()
        for one in plugins.at(point).enabled:
            if one.name not in EXTENDS:
                yield f'{kind} "{one.name}" does not exist'
            elif point != "multiPoint" and point not in EXTENDS[one.name]:
                yield f'plugin "{one.name}" does not extend {kind} plugin'
            elif one.name in seen:
                yield f'plugin "{one.name}" already registered as "{kind}"'
            seen.add(one.name)
