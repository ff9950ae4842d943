"""Profiles from a KubeSchedulerConfiguration file: which plugins, with which weights and arguments.

Source: `kubescheduler.config.k8s.io/v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from sampan.lib.errors import ConfigError
from sampan.scheduler.cycle import Profile
from sampan.scheduler.plugins.all import FILTERS, SCORES
from sampan.scheduler.plugins.base import Filter, Score
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit

API_VERSION = "kubescheduler.config.k8s.io/v1"
Strategy = Literal["LeastAllocated", "MostAllocated"]


def read_profiles(path: Path) -> dict[str, Profile]:
    """The profiles of a file, by scheduler name.

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
    return profiles(value)


def profiles(config: Mapping[str, Any]) -> dict[str, Profile]:
    """The profiles of a configuration that was read."""
    out: dict[str, Profile] = {}
    for entry in config.get("profiles") or [{}]:
        name = entry.get("schedulerName") or "default-scheduler"
        if name in out:
            raise ConfigError(f'two profiles have the schedulerName "{name}"')
        out[name] = _profile(name, entry)
    return out


def _profile(name: str, entry: Mapping[str, Any]) -> Profile:
    arguments = {one.get("name"): one.get("args") or {} for one in entry.get("pluginConfig") or ()}
    wanted = entry.get("plugins") or {}
    known = {plugin.name for plugin in FILTERS} | {plugin.name for plugin, _ in SCORES}
    for point in wanted.values():
        for one in [*((point or {}).get("enabled") or ()), *((point or {}).get("disabled") or ())]:
            if one.get("name") not in known | {"*"}:
                raise ConfigError(f'profile "{name}" names the plugin {one.get("name")!r}, which there is not',
                                  hint=f"known are: {', '.join(sorted(known))}")
    off = {one["name"] for point in ("multiPoint", "filter") for one in (wanted.get(point) or {}).get("disabled") or ()}
    score_off = {one["name"] for point in ("multiPoint", "score") for one in (wanted.get(point) or {}).get("disabled") or ()}
    weights = {one["name"]: one.get("weight") or 1 for point in ("multiPoint", "score") for one in (wanted.get(point) or {}).get("enabled") or ()}
    filters: list[Filter] = [_configured(plugin, arguments) for plugin in FILTERS if not off & {plugin.name, "*"}]
    scores: list[tuple[Score, int]] = [(_configured(plugin, arguments), weights.get(plugin.name, weight)) for plugin, weight in SCORES
                                       if plugin.name in weights or not score_off & {plugin.name, "*"}]
    return Profile(name, tuple(filters), tuple(scores))


def _configured(plugin: Any, arguments: Mapping[str, Mapping[str, Any]]) -> Any:
    given = arguments.get(plugin.name)
    if given is None or plugin.name != "NodeResourcesFit":
        return plugin
    strategy = given.get("scoringStrategy") or {}
    weights = {one.get("name"): int(one.get("weight") or 1) for one in strategy.get("resources") or ({"name": "cpu"}, {"name": "memory"})}
    kind = strategy.get("type") or "LeastAllocated"
    if kind not in ("LeastAllocated", "MostAllocated"):
        raise ConfigError(f"the scoring strategy {kind!r} is not known", hint="known are LeastAllocated and MostAllocated")
    return NodeResourcesFit(cast("Strategy", kind), (weights.get("cpu", 0), weights.get("memory", 0)))
