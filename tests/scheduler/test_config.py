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


def args(name: str, **said: Any) -> dict[str, Any]:
    return {"profiles": [{"pluginConfig": [{"name": name, "args": said}]}]}


AT = "profiles[0].pluginConfig[0].args"
CREATING = "initializing profiles: creating profile for scheduler name default-scheduler: "


@pytest.mark.parametrize(("config", "words"), [
    ({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}, 'profiles[1].schedulerName: Duplicate value: "profiles[0].schedulerName"'),
    ({"profiles": [{"schedulerName": "a"}, {}]}, "profiles[1].schedulerName: Required value"),
    ({"profiles": [{"schedulerName": ""}]}, "profiles[0].schedulerName: Required value"),
    ({"parallelism": 0}, "parallelism: Invalid value: 0: should be an integer value greater than zero"),
    ({"percentageOfNodesToScore": 101}, "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"),
    ({"podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
    ({"podInitialBackoffSeconds": 5, "podMaxBackoffSeconds": 1},
     "podMaxBackoffSeconds: Invalid value: 1: must be greater than or equal to PodInitialBackoffSeconds"),
    ({"clientConnection": {"burst": -1}}, "clientConnection.burst: Invalid value: -1: must be non-negative"),
    ({"leaderElection": {"leaderElect": True, "resourceLock": "endpoints"}},
     'leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"'),
    ({"leaderElection": {"leaseDuration": "5s"}}, 'leaderElection.leaseDuration: Invalid value: "10s": LeaseDuration must be greater than RenewDeadline'),
    ({"leaderElection": {"leaseDuration": "soon"}}, 'time: invalid duration "soon"'),
    ({"profiles": [{"pluginConfig": [{"name": "NodePorts"}, {"name": "NodePorts"}]}]}, 'profiles[0].pluginConfig[1]: Duplicate value: "NodePorts"'),
    ({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "EBSLimits"}]}}}]},
     'profiles[0].plugins.filter.enabled[0]: Invalid value: "EBSLimits": was invalid in version "kubescheduler.config.k8s.io/v1" '
     '(KubeSchedulerConfiguration is version "kubescheduler.config.k8s.io/v1")'),
    ({"profiles": [{"schedulerName": "a"}, {"schedulerName": "b", "plugins": {"queueSort": {"enabled": [{"name": "PrioritySort"}]}}}]},
     'profiles[1].plugins.queueSort: Invalid value: ["PrioritySort"]: must be the same for all profiles'),
    ({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "Nope"}]}}}]}, CREATING + 'FilterPlugin "Nope" does not exist'),
    ({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "ImageLocality"}]}}}]}, CREATING + 'plugin "ImageLocality" does not extend FilterPlugin plugin'),
    ({"profiles": [{"plugins": {"score": {"enabled": [{"name": "ImageLocality"}, {"name": "ImageLocality"}]}}}]},
     CREATING + 'plugin "ImageLocality" already registered as "ScorePlugin"'),
    ({"extenders": [{"filterVerb": "x"}]}, "extenders[0].urlPrefix: Required value"),
    ({"extenders": [{"urlPrefix": "http://x", "prioritizeVerb": "p"}]}, "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it"),
    ({"extenders": [{"urlPrefix": "http://x", "bindVerb": "b"}] * 2},
     'extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind'),
    ({"extenders": [{"urlPrefix": "http://x", "managedResources": [{"name": "cpu"}]}]},
     'extenders[0].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name'),
    ({"extenders": [{"urlPrefix": "http://x", "managedResources": [{"name": "a.b/c"}, {"name": "a.b/c"}]}]},
     'extenders[0].managedResources[1].name: Invalid value: "a.b/c": duplicate extender managed resource name'),
    (args("DefaultPreemption", minCandidateNodesPercentage=101), f"{AT}.minCandidateNodesPercentage: Invalid value: 101: not in valid range [0, 100]"),
    (args("DefaultPreemption", minCandidateNodesPercentage=0, minCandidateNodesAbsolute=0),
     f"[{AT}.minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute, "
     f"{AT}.minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as minCandidateNodesPercentage]"),
    (args("InterPodAffinity", hardPodAffinityWeight=-1), f"{AT}.hardPodAffinityWeight: Invalid value: -1: not in valid range [0, 100]"),
    (args("NodeAffinity", addedAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}),
     f"{AT}.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term"),
    (args("NodeResourcesBalancedAllocation", resources=[{"name": "cpu"}, {"name": "cpu", "weight": 2}]),
     f'[{AT}.resources[1].name: Duplicate value: "cpu", {AT}.resources[1].weight: Invalid value: 2: must be 1]'),
    (args("PodTopologySpread", defaultingType="Some"), f'{AT}.defaultingType: Unsupported value: "Some": supported values: "System", "List"'),
    (args("PodTopologySpread", defaultConstraints=[{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "Never", "labelSelector": {}}], defaultingType="List"),
     f"[{AT}.defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf), {AT}.defaultConstraints[0].topologyKey: Required value: can not be empty, "
     f'{AT}.defaultConstraints[0].whenUnsatisfiable: Unsupported value: "Never": supported values: "DoNotSchedule", "ScheduleAnyway", '
     f"{AT}.defaultConstraints[0].labelSelector: Forbidden: constraint must not define a selector, as they deduced for each pod]"),
    (args("PodTopologySpread", defaultConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
     f'{AT}.defaultingType: Invalid value: "System": when .defaultConstraints are not empty'),
    (args("PodTopologySpread", defaultConstraints=[{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}] * 2, defaultingType="List"),
     f'{AT}.defaultConstraints[1]: Duplicate value: "{{z, DoNotSchedule}}"'),
    (args("VolumeBinding", bindTimeoutSeconds=-1), f"{AT}.bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value"),
    (args("DynamicResources", bindingTimeout="1ms"), f'{AT}.bindingTimeout: Invalid value: "1ms": must be at least 1 second'),
    (args("NodeResourcesFit", scoringStrategy={"type": "Best"}),
     CREATING + 'initializing plugin "NodeResourcesFit": scoringStrategy.type: Unsupported value: "Best": supported values: '
     '"LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"'),
    (args("NodeResourcesFit", scoringStrategy={"type": "RequestedToCapacityRatio"}), CREATING + 'initializing plugin "NodeResourcesFit": '
     "scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio"),
    (args("NodeResourcesFit", scoringStrategy={"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": [
        {"utilization": 50, "score": 11}, {"utilization": 50}]}}), CREATING + 'initializing plugin "NodeResourcesFit": '
     "[scoringStrategy.requestedToCapacityRatio.shape[1].utilization: Invalid value: 50: values must be sorted in increasing order, "
     "scoringStrategy.requestedToCapacityRatio.shape[0].score: Invalid value: 11: not in valid range [0, 10]]"),
    (args("NodeResourcesFit", ignoredResourceGroups=["a/b"], scoringStrategy={"type": "LeastAllocated", "resources": [{"name": "cpu", "weight": 101}]}),
     CREATING + 'initializing plugin "NodeResourcesFit": [ignoredResourceGroups[0]: Invalid value: "a/b": resource group name can\'t contain \'/\', '
     "scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]]"),
    ({"nope": 1, "profiles": [{"plugins": {"score": {"also": []}}}]}, 'strict decoding error: unknown field "nope", unknown field "profiles[0].plugins.score.also"'),
    (args("NodeResourcesFit", some=1), 'decoding .profiles[0].pluginConfig[0]: decoding args for plugin NodeResourcesFit: strict decoding error: unknown field "some"'),
    (args("NodeResourcesFit", kind="NodeAffinityArgs"), "decoding .profiles[0].pluginConfig[0]: args for plugin NodeResourcesFit were not of type "
     "NodeResourcesFitArgs.kubescheduler.config.k8s.io, got NodeAffinityArgs.kubescheduler.config.k8s.io"),
    ({"podMaxBackoffSeconds": "long"}, "json: cannot unmarshal string into Go struct field KubeSchedulerConfiguration.podMaxBackoffSeconds of type int"),
])
def test_what_cannot_be_is_refused_in_upstream_s_words(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as found:
        settings(config)
    assert found.value.message == words


def test_what_upstream_lets_pass_is_let_pass() -> None:
    # a plugin that there is no more may be switched off, arguments of one that there never was may be there
    found = settings({"profiles": [{"plugins": {"score": {"disabled": [{"name": "SelectorSpread"}]}}, "pluginConfig": [{"name": "Mine", "args": {"a": 1}}]}],
                      "leaderElection": {"leaderElect": False, "resourceLock": "endpoints"}, "delayCacheUntilActive": True})
    assert filters(found.profiles["default-scheduler"]) == filters(DEFAULT)


def test_waits_and_candidates_are_those_of_the_file() -> None:
    one = profile(pluginConfig=[{"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 30}}, {"name": "DynamicResources", "args": {"bindingTimeout": "1m30s"}},
                                {"name": "DefaultPreemption", "args": {"minCandidateNodesPercentage": 50}}])
    assert (one.waits.volume_seconds, one.waits.device_seconds, one.candidates) == (30, 90, (50, 100))


def test_nodes_can_be_preferred_by_the_profile() -> None:
    wanted = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]}}]}
    one = profile(pluginConfig=[{"name": "NodeAffinity", "args": {"addedAffinity": wanted}}])
    snapshot = cluster(node("empty"), node("busy", labels={"fast": "yes"}), running=(pod("x", "2", "2Gi", on="busy"),))
    assert (place(snapshot, pod("p", "1")), place(snapshot, pod("q", "1", schedulerName="other"), one)) == ("empty", "busy")


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
