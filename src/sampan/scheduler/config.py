"""Profiles from a KubeSchedulerConfiguration file: which plugins, with which weights and arguments; extenders.

`configtypes` has what may be said, `configcheck` what must not; both are upstream's.
Source: `kubescheduler.config.k8s.io/v1`, `apis/config/v1/default_plugins.go`, `cmd/kube-scheduler/app/options/configfile.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from sampan.api.field import aggregate
from sampan.lib.errors import ConfigError
from sampan.scheduler import configtypes as types
from sampan.scheduler.configcheck import Arguments, check, check_fit, nanoseconds, unknown_plugins
from sampan.scheduler.cycle import Profile, Waits
from sampan.scheduler.extenders import Extender
from sampan.scheduler.plugins.all import ALL, WEIGHTS
from sampan.scheduler.plugins.balanced_allocation import NodeResourcesBalancedAllocation
from sampan.scheduler.plugins.base import Plugin
from sampan.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from sampan.scheduler.plugins.node_affinity import NodeAffinity
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit, Strategy, StrategyType
from sampan.scheduler.plugins.pod_topology_spread import SYSTEM_DEFAULTS, DefaultSpread, PodTopologySpread

API_VERSION = types.API_VERSION
KIND = "KubeSchedulerConfiguration"
T = TypeVar("T", bound=types.Said)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(.*)`)?$", re.DOTALL)
_WRONG = re.compile(r"Expected (.*?), got (.*?)(?: - at `\$\.?(.*)`)?$", re.DOTALL)


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
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise ConfigError(f"{path} is no {KIND}", hint=f"it starts with apiVersion: {API_VERSION} and kind: {KIND}")
    if value.get("apiVersion") != API_VERSION:
        raise ConfigError(f"{path}: apiVersion {value.get('apiVersion')!r} is not known", hint=f"write {API_VERSION}")
    try:
        return settings(value)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None


def settings(config: Mapping[str, Any]) -> SchedulerSettings:
    """The settings of a configuration that was read.

    Raises:
        ConfigError: It cannot be, in upstream's words.
    """
    said = _decoded(types.Configuration, config, KIND)
    said.profiles = said.profiles or [types.ProfileEntry()]
    if len(said.profiles) == 1 and said.profiles[0].schedulerName is None:
        said.profiles[0].schedulerName = "default-scheduler"
    arguments = [_arguments(one, index) for index, one in enumerate(said.profiles)]
    try:
        found = check(said, arguments)
        extenders = tuple(Extender.of(one, nanoseconds(one.httpTimeout) / 1e9) for one in said.extenders)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if found:
        raise ConfigError(aggregate(found))
    unchecked = frozenset[str]().union(*(one.unchecked for one in extenders))
    made = {one.schedulerName or "": _profile(one, arguments[index], unchecked) for index, one in enumerate(said.profiles)}
    return SchedulerSettings(made, extenders, float(said.podInitialBackoffSeconds), float(said.podMaxBackoffSeconds))


# reading


def _decoded(form: type[T], value: Mapping[str, Any], name: str) -> T:
    """As a Struct; fields that are not known are named all at once, as upstream's strict decoding does."""
    value, unknown = deepcopy(dict(value)), []
    while True:
        try:
            made = msgspec.convert(value, form)
        except msgspec.ValidationError as error:
            match = _UNKNOWN.match(str(error))
            if match is None:
                raise ConfigError(_mistyped(str(error), name)) from None
            path = match[2] or ""
            unknown.append(f'unknown field "{path}.{match[1]}"' if path else f'unknown field "{match[1]}"')
            _drop(value, path, match[1])
            continue
        if unknown:
            raise ConfigError(f"strict decoding error: {', '.join(unknown)}")
        return made


def _mistyped(text: str, name: str) -> str:
    match = _WRONG.match(text)
    if match is None:
        return text
    where = re.sub(r"\[[^]]*\]", "", match[3] or "")
    plain = {"str": "string", "array": "array", "object": "object", "int": "number", "float": "number"}
    return f"json: cannot unmarshal {plain.get(match[2].strip('`'), match[2].strip('`'))} into Go struct field {name}.{where} of type {match[1].strip('`')}"


def _drop(value: Any, path: str, name: str) -> None:
    """Take a field out of a tree; `path` as in messages: `profiles[0].plugins`."""
    for part in re.findall(r"[^.\[\]]+", path):
        value = value[int(part)] if isinstance(value, list) else value[part]
    del value[name]  # it is there: the message is about it


def _arguments(entry: types.ProfileEntry, index: int) -> Arguments:
    """The arguments of each plugin that has any, defaults for those that the profile says nothing about."""
    out: dict[str, types.Args] = {name: form() for name, form in types.ARGS.items()}
    for place, one in enumerate(entry.pluginConfig):
        form = types.ARGS.get(one.name)
        if form is None or one.args is None:
            continue
        where, kind = f"decoding .profiles[{index}].pluginConfig[{place}]", f"{one.name}Args"
        if one.args.get("kind") not in (None, "", kind):
            raise ConfigError(f"{where}: args for plugin {one.name} were not of type {kind}.kubescheduler.config.k8s.io, got "
                              f"{one.args['kind']}.kubescheduler.config.k8s.io")
        try:
            out[one.name] = _decoded(form, one.args, kind)
        except ConfigError as error:
            raise ConfigError(f"{where}: decoding args for plugin {one.name}: {error.message}") from None
    return out


# building


def _profile(entry: types.ProfileEntry, arguments: Arguments, unchecked: frozenset[str] = frozenset()) -> Profile:
    name, plugins = entry.schedulerName or "", entry.plugins
    wrong = next(unknown_plugins(plugins), "")
    fit = cast("types.NodeResourcesFitArgs", arguments["NodeResourcesFit"])
    if not wrong and (found := check_fit(fit)):
        wrong = f'initializing plugin "NodeResourcesFit": {aggregate(found)}'
    if wrong:
        raise ConfigError(f"initializing profiles: creating profile for scheduler name {name}: {wrong}")
    made = {plugin.name: _configured(plugin, arguments, unchecked) for plugin in ALL}
    filters = [made[one.name] for one in ALL if _enabled(plugins, one.name, "preFilter", "filter")]
    scores = [(made[one], _weight(plugins, one)) for one in made if one in WEIGHTS and _enabled(plugins, one, "preScore", "score")]
    room = cast("types.DefaultPreemptionArgs", arguments["DefaultPreemption"])
    waits = Waits(float(cast("types.VolumeBindingArgs", arguments["VolumeBinding"]).bindTimeoutSeconds),
                  nanoseconds(cast("types.DynamicResourcesArgs", arguments["DynamicResources"]).bindingTimeout) / 1e9)
    return Profile(name, tuple(filters), tuple(scores), _enabled(plugins, "DefaultPreemption", "postFilter"),
                   (room.minCandidateNodesPercentage, room.minCandidateNodesAbsolute), waits)


def _enabled(plugins: types.Plugins, name: str, *points: str) -> bool:
    """What a point says about a plugin wins over what multiPoint says."""
    for point in (points[-1], "multiPoint"):
        said = plugins.at(point)
        if any(one.name == name for one in said.enabled):
            return True
        if any(one.name in (name, "*") for one in said.disabled):
            return False
    return True


def _weight(plugins: types.Plugins, name: str) -> int:
    for point in ("score", "multiPoint"):
        for one in plugins.at(point).enabled:
            if one.name == name and one.weight:
                return one.weight
    return WEIGHTS[name]


def _configured(plugin: type[Plugin], arguments: Arguments, unchecked: frozenset[str]) -> Plugin:
    said = arguments.get(plugin.name)
    if isinstance(said, types.NodeResourcesFitArgs):
        return _fit(said, unchecked)
    if isinstance(said, types.NodeResourcesBalancedAllocationArgs):
        return NodeResourcesBalancedAllocation(tuple(one.name for one in said.resources))
    if isinstance(said, types.InterPodAffinityArgs):
        return InterPodAffinity(said.hardPodAffinityWeight, ignore_existing=said.ignorePreferredTermsOfExistingPods)
    if isinstance(said, types.NodeAffinityArgs) and (added := said.addedAffinity) is not None:
        return NodeAffinity(added.requiredDuringSchedulingIgnoredDuringExecution, tuple(added.preferredDuringSchedulingIgnoredDuringExecution))
    if isinstance(said, types.PodTopologySpreadArgs):
        return PodTopologySpread(SYSTEM_DEFAULTS if said.defaultingType == "System" else tuple(
            DefaultSpread(one.topologyKey, one.maxSkew, one.whenUnsatisfiable == "DoNotSchedule") for one in said.defaultConstraints))
    return plugin()


def _fit(said: types.NodeResourcesFitArgs, unchecked: frozenset[str]) -> Plugin:
    """`unchecked`: resources that extenders look after alone."""
    ratio = said.scoringStrategy.requestedToCapacityRatio
    points = tuple((one.utilization, one.score) for one in (ratio.shape if ratio is not None else ()))
    strategy = Strategy(cast("StrategyType", said.scoringStrategy.type), tuple((one.name, one.weight) for one in said.scoringStrategy.resources), points)
    return NodeResourcesFit(strategy, frozenset(said.ignoredResources) | unchecked, frozenset(said.ignoredResourceGroups))


DEFAULT = settings({}).profiles["default-scheduler"]
