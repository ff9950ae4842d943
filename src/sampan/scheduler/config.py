"""Profiles from a KubeSchedulerConfiguration file: which plugins, with which weights and arguments; extenders.

Source: `kubescheduler.config.k8s.io/v1`, `apis/config/v1/default_plugins.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec

from sampan.api import codec
from sampan.api.core.v1 import NodeSelector
from sampan.lib.errors import ConfigError
from sampan.scheduler.cycle import Profile
from sampan.scheduler.extenders import Extender
from sampan.scheduler.plugins.all import ALL, ELSEWHERE, WEIGHTS
from sampan.scheduler.plugins.balanced_allocation import NodeResourcesBalancedAllocation
from sampan.scheduler.plugins.base import Plugin
from sampan.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from sampan.scheduler.plugins.node_affinity import NodeAffinity
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit, Strategy, StrategyType
from sampan.scheduler.plugins.pod_topology_spread import SYSTEM_DEFAULTS, DefaultSpread, PodTopologySpread

API_VERSION = "kubescheduler.config.k8s.io/v1"
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class SchedulerSettings:
    """What a configuration file says: profiles by scheduler name, extenders, back-off in seconds."""

    profiles: Mapping[str, Profile]
    extenders: Sequence[Extender] = field(default_factory=tuple)
    first_backoff_seconds: float = 1.0
    most_backoff_seconds: float = 10.0


def read_settings(path: Path) -> SchedulerSettings:
    """The settings of a file.

    Raises:
        ConfigError: It cannot be read, or asks for what is not there.
    """
    import yaml

    try:
        value = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} can't be read: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict) or value.get("kind") != "KubeSchedulerConfiguration":
        raise ConfigError(f"{path} is no KubeSchedulerConfiguration", hint=f"it starts with apiVersion: {API_VERSION} and kind: KubeSchedulerConfiguration")
    if value.get("apiVersion") != API_VERSION:
        raise ConfigError(f"{path}: apiVersion {value.get('apiVersion')!r} is not known", hint=f"write {API_VERSION}")
    return settings(value)


def settings(config: Arguments) -> SchedulerSettings:
    """The settings of a configuration that was read."""
    first, most = float(config.get("podInitialBackoffSeconds") or 1), float(config.get("podMaxBackoffSeconds") or 10)
    if first > most:
        raise ConfigError("podMaxBackoffSeconds is less than podInitialBackoffSeconds")
    extenders = tuple(Extender.of(one) for one in config.get("extenders") or ())
    if sum(bool(one.bind_verb) for one in extenders) > 1:
        raise ConfigError("extenders: found more than one extender that binds pods", hint="leave bindVerb to one of them")
    unchecked = frozenset[str]().union(*(one.unchecked for one in extenders))
    return SchedulerSettings(profiles(config, unchecked), extenders, first, most)


def profiles(config: Arguments, unchecked: frozenset[str] = frozenset()) -> dict[str, Profile]:
    """The profiles of a configuration that was read; `unchecked`: resources that extenders look after alone."""
    out: dict[str, Profile] = {}
    for entry in config.get("profiles") or [{}]:
        name = entry.get("schedulerName") or "default-scheduler"
        if name in out:
            raise ConfigError(f'two profiles have the schedulerName "{name}"')
        out[name] = _profile(name, entry, unchecked)
    return out


def _profile(name: str, entry: Arguments, unchecked: frozenset[str] = frozenset()) -> Profile:
    arguments = {one.get("name"): one.get("args") or {} for one in entry.get("pluginConfig") or ()}
    if unchecked:
        fit = dict(arguments.get("NodeResourcesFit") or {})
        arguments["NodeResourcesFit"] = {**fit, "ignoredResources": [*(fit.get("ignoredResources") or ()), *sorted(unchecked)]}
    wanted = entry.get("plugins") or {}
    known = {plugin.name for plugin in ALL} | set(ELSEWHERE)
    for point in wanted.values():
        for one in [*((point or {}).get("enabled") or ()), *((point or {}).get("disabled") or ())]:
            if one.get("name") not in known | {"*"}:
                raise ConfigError(f'profile "{name}" names the plugin {one.get("name")!r}, which there is not',
                                  hint=f"known are: {', '.join(sorted(known))}")
    made = {plugin.name: _configured(plugin, arguments.get(plugin.name) or {}) for plugin in ALL}
    filters = [made[one.name] for one in ALL if _enabled(wanted, one.name, "preFilter", "filter")]
    scores = [(made[one], _weight(wanted, one)) for one in made if one in WEIGHTS and _enabled(wanted, one, "preScore", "score")]
    return Profile(name, tuple(filters), tuple(scores), preempts=_enabled(wanted, "DefaultPreemption", "postFilter"))


def _enabled(wanted: Arguments, name: str, *points: str) -> bool:
    """What a point says about a plugin wins over what multiPoint says."""
    for point in (points[-1], "multiPoint"):
        said = wanted.get(point) or {}
        if any(one.get("name") == name for one in said.get("enabled") or ()):
            return True
        if any(one.get("name") in (name, "*") for one in said.get("disabled") or ()):
            return False
    return True


def _weight(wanted: Arguments, name: str) -> int:
    for point in ("score", "multiPoint"):
        for one in (wanted.get(point) or {}).get("enabled") or ():
            if one.get("name") == name and one.get("weight"):
                return int(one["weight"])
    return WEIGHTS[name]


def _configured(plugin: type[Plugin], given: Arguments) -> Plugin:
    make = _MAKERS.get(plugin.name)
    return make(given) if make is not None and given else plugin()


def _fit(given: Arguments) -> Plugin:
    said = given.get("scoringStrategy") or {}
    kind = said.get("type") or "LeastAllocated"
    if kind not in ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"):
        raise ConfigError(f"the scoring strategy {kind!r} is not known", hint="known are LeastAllocated, MostAllocated and RequestedToCapacityRatio")
    points = tuple((int(one["utilization"]), int(one["score"])) for one in (said.get("requestedToCapacityRatio") or {}).get("shape") or ())
    if kind == "RequestedToCapacityRatio" and (not points or any(a[0] >= b[0] for a, b in pairwise(points))):
        raise ConfigError("requestedToCapacityRatio needs a shape of points with rising utilization")
    strategy = Strategy(cast("StrategyType", kind), _weights(said.get("resources")), points)
    return NodeResourcesFit(strategy, frozenset(given.get("ignoredResources") or ()), frozenset(given.get("ignoredResourceGroups") or ()))


def _weights(resources: Sequence[Arguments] | None) -> tuple[tuple[str, int], ...]:
    if not resources:
        return (("cpu", 1), ("memory", 1))
    return tuple((str(one["name"]), int(one.get("weight") or 1)) for one in resources)


def _balanced(given: Arguments) -> Plugin:
    return NodeResourcesBalancedAllocation(tuple(name for name, _ in _weights(given.get("resources"))))


def _affinity(given: Arguments) -> Plugin:
    weight = given.get("hardPodAffinityWeight")
    return InterPodAffinity(1 if weight is None else int(weight), ignore_existing=bool(given.get("ignorePreferredTermsOfExistingPods")))


def _node_affinity(given: Arguments) -> Plugin:
    added = (given.get("addedAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not added:
        return NodeAffinity()
    try:
        return NodeAffinity(codec.convert(NodeSelector, added))
    except msgspec.ValidationError as error:
        raise ConfigError(f"addedAffinity is no node selector: {error}") from None


def _spread(given: Arguments) -> Plugin:
    if (given.get("defaultingType") or ("List" if given.get("defaultConstraints") else "System")) == "System":
        return PodTopologySpread(SYSTEM_DEFAULTS)
    return PodTopologySpread(tuple(DefaultSpread(str(one["topologyKey"]), int(one["maxSkew"]), one.get("whenUnsatisfiable") == "DoNotSchedule")
                                   for one in given.get("defaultConstraints") or ()))


_MAKERS = {
    "NodeResourcesFit": _fit, "NodeResourcesBalancedAllocation": _balanced, "InterPodAffinity": _affinity,
    "NodeAffinity": _node_affinity, "PodTopologySpread": _spread,
}
DEFAULT = _profile("default-scheduler", {})
