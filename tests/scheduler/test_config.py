"""KubeSchedulerConfiguration: profiles, weights, arguments, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.scheduler.small import ZONE, cluster, node, place, pod

from sampan.lib.errors import ConfigError
from sampan.scheduler.config import DEFAULT, read_settings, settings
from sampan.scheduler.cycle import Profile
from sampan.scheduler.plugins.all import ALL, WEIGHTS


def profile(**entry: Any) -> Profile:
    return settings({"profiles": [entry]}).profiles[entry.get("schedulerName", "default-scheduler")]


def filters(one: Profile) -> set[str]:
    return {plugin.name for plugin in one.filters}


def weights(one: Profile) -> dict[str, int]:
    return {plugin.name: weight for plugin, weight in one.scores}


def test_the_default_profile_has_every_plugin_with_its_weight() -> None:
    assert filters(DEFAULT) == {plugin.name for plugin in ALL}
    assert weights(DEFAULT) == WEIGHTS
    assert DEFAULT.preempts


def test_plugins_are_switched_off_at_one_point_or_at_all() -> None:
    one = profile(plugins={"filter": {"disabled": [{"name": "NodePorts"}]}, "multiPoint": {"disabled": [{"name": "ImageLocality"}]},
                           "postFilter": {"disabled": [{"name": "*"}]}})
    assert "NodePorts" not in filters(one)
    assert "ImageLocality" not in weights(one)
    assert not one.preempts
    only = profile(plugins={"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity", "weight": 9}]}})
    assert weights(only) == {"NodeAffinity": 9}


def test_arguments_reach_the_plugins() -> None:
    most = profile(pluginConfig=[{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}])
    snapshot = cluster(node("a"), node("b"), running=(pod("x", "2", "2Gi", on="a"),))
    assert (place(snapshot, pod("p", "1", "1Gi"), most), place(snapshot, pod("p", "1", "1Gi"))) == ("a", "b")
    ignoring = profile(pluginConfig=[{"name": "NodeResourcesFit", "args": {"ignoredResourceGroups": ["example.com"]}}])
    assert place(snapshot, pod("q", more={"example.com/gpu": "1"}), ignoring) in ("a", "b")
    assert "Insufficient example.com/gpu" in place(snapshot, pod("q", more={"example.com/gpu": "1"}))
    added = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]}}
    enforced = profile(pluginConfig=[{"name": "NodeAffinity", "args": {"addedAffinity": added}}])
    assert "2 node(s) didn't match scheduler-enforced node affinity" in place(snapshot, pod("r"), enforced)


def test_default_constraints_can_be_hard() -> None:
    from sampan.api import codec
    from sampan.api.core.v1 import Service
    from sampan.api.resources import SERVICES

    hard = profile(pluginConfig=[{"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": [
        {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}]}}])
    snapshot = cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "2"}, cpu="1"), running=(pod("x", on="a", labels={"app": "web"}),))
    wanted = pod("p", "2", labels={"app": "web"})
    assert place(snapshot, wanted, hard) == "a"  # no Service means it
    snapshot.world.put(SERVICES, codec.convert(Service, {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": "web"}}}))
    assert "1 node(s) didn't match pod topology spread constraints" in place(snapshot, wanted, hard)


@pytest.mark.parametrize(("config", "words"), [
    ({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}, "two profiles"),
    ({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "Nope"}]}}}]}, "'Nope', which there is not"),
    ({"profiles": [{"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "Best"}}}]}]}, "'Best' is not known"),
    ({"profiles": [{"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "RequestedToCapacityRatio"}}}]}]}, "shape of points"),
    ({"extenders": [{"filterVerb": "x"}]}, "needs urlPrefix"),
    ({"extenders": [{"urlPrefix": "http://x", "prioritizeVerb": "p"}]}, "must be positive"),
    ({"podInitialBackoffSeconds": 5, "podMaxBackoffSeconds": 1}, "less than"),
])
def test_what_cannot_be_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(config)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for text, words in (("kind: Pod", "no KubeSchedulerConfiguration"), ("{", "can't be read"),
                        ("kind: KubeSchedulerConfiguration\napiVersion: old/v0", "not known")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            read_settings(path)
    with pytest.raises(ConfigError, match="can't be read"):
        read_settings(tmp_path / "nothing")
    path.write_text("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles:\n- schedulerName: mine\n")
    assert set(read_settings(path).profiles) == {"mine"}


def test_resources_that_an_extender_looks_after_alone_are_not_checked() -> None:
    extender = {"urlPrefix": "http://x", "filterVerb": "filter", "managedResources": [{"name": "example.com/thing", "ignoredByScheduler": True},
                                                                                      {"name": "example.com/other"}]}
    one = settings({"extenders": [extender]}).profiles["default-scheduler"]
    snapshot = cluster(node("a"))
    assert place(snapshot, pod("p", more={"example.com/thing": "1"}), one) == "a"
    assert "Insufficient example.com/other" in place(snapshot, pod("q", more={"example.com/other": "1"}), one)


def test_only_one_extender_may_bind() -> None:
    binding = {"urlPrefix": "http://x", "bindVerb": "bind"}
    with pytest.raises(ConfigError, match="more than one extender"):
        settings({"extenders": [binding, binding]})
