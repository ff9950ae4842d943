"""What plugins say of nodes that do not fit, whether preemption could help there, and which changes wake who waits.

Which nodes fit is `test_plain`'s, on random clusters.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.scheduler.small import cluster, node, pod

from sampan.api.core.v1 import Pod
from sampan.scheduler.plugins.base import Change, Narrowed, Plugin, Rejected
from sampan.scheduler.plugins.node_affinity import NodeAffinity
from sampan.scheduler.plugins.node_declared_features import NodeDeclaredFeatures
from sampan.scheduler.plugins.node_name import NodeName
from sampan.scheduler.plugins.node_ports import NodePorts
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit
from sampan.scheduler.plugins.node_unschedulable import NodeUnschedulable
from sampan.scheduler.plugins.taint_toleration import TaintToleration
from sampan.scheduler.snapshot import Snapshot

TAINT = {"key": "own", "value": "gpu", "effect": "NoSchedule"}
PREFERRED_AWAY = {"key": "old", "effect": "PreferNoSchedule"}


def said(plugin: Plugin, snapshot: Snapshot, wanted: Pod) -> dict[str, tuple[str, bool]]:
    """By node: the words about it, and whether removing pods could help; nodes that fit are left out."""
    verdict = plugin.filter(snapshot.shape(wanted), snapshot)
    if verdict is None:
        return {}
    out = {name: (reason.text, reason.resolvable) for name, row in snapshot.rows.items() for reason in verdict.reasons if reason.rows[row]}
    assert set(out) == {name for name, row in snapshot.rows.items() if not verdict.fits[row]}
    return out


def affine(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}}


def named(*names: str) -> dict[str, Any]:
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": list(names)}]}


@pytest.mark.parametrize(("plugin", "wanted", "words", "resolvable"), [
    (NodeUnschedulable(), pod("x"), "node(s) were unschedulable", False),
    (TaintToleration(), pod("x"), "node(s) had untolerated taint(s)", False),
    (NodeName(), pod("x", on="good"), "node(s) didn't match the requested node name", False),
    (NodePorts(), pod("x", port=80), "node(s) didn't have free ports for the requested pod ports", True),
    (NodeResourcesFit(), pod("x", cpu="3"), "Insufficient cpu", True),
    (NodeResourcesFit(), pod("x", memory="9Gi"), "Insufficient memory", False),
    (NodeAffinity(), pod("x", **affine(named("good"))), "node(s) didn't match Pod's node affinity/selector", False),
], ids=lambda value: value.name if isinstance(value, Plugin) else "")
def test_a_refusal_has_upstream_s_words_and_says_whether_removing_pods_helps(plugin: Plugin, wanted: Pod, words: str, resolvable: bool) -> None:
    # given a node that is bad in every way, and one that is good
    snapshot = cluster(node("bad", unschedulable=True, taints=[TAINT]), node("good", memory="16Gi"),
                       running=(pod("there", cpu="2", port=80, on="bad"),))
    # then
    assert said(plugin, snapshot, wanted) == {"bad": (words, resolvable)}


@pytest.mark.parametrize(("plugin", "wanted"), [
    (NodeUnschedulable(), pod("x", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])),
    (TaintToleration(), pod("x", tolerations=[{"key": "own", "operator": "Equal", "value": "gpu"}])),
    (NodeName(), pod("x")),
    (NodePorts(), pod("x", port=81)),
], ids=lambda value: value.name if isinstance(value, Plugin) else "")
def test_a_plugin_that_minds_nothing_says_nothing(plugin: Plugin, wanted: Pod) -> None:
    # given
    snapshot = cluster(node("only", unschedulable=True, taints=[TAINT]), running=(pod("there", port=80, on="only"),))
    # then
    assert plugin.filter(snapshot.shape(wanted), snapshot) is None


def test_a_pod_s_place_counts_as_a_resource() -> None:
    # given
    snapshot = cluster(node("small", pods="1"), node("large"), running=(pod("there", on="small"),))
    # then
    assert said(NodeResourcesFit(), snapshot, pod("x")) == {"small": ("Too many pods", True)}


def test_affinity_to_names_narrows_the_search_and_a_contradiction_ends_it() -> None:
    # given
    snapshot, plugin = cluster(node("a"), node("b")), NodeAffinity()
    both: dict[str, Any] = {"matchFields": named("a")["matchFields"] + named("b")["matchFields"]}
    # when
    narrowed = plugin.prefilter(snapshot.shape(pod("x", **affine(named("b", "gone")))), snapshot)
    rejected = plugin.prefilter(snapshot.shape(pod("y", **affine(both))), snapshot)
    # then
    assert isinstance(narrowed, Narrowed)
    assert [name for name, row in snapshot.rows.items() if narrowed.rows[row]] == ["b"]
    assert isinstance(rejected, Rejected)
    assert plugin.prefilter(snapshot.shape(pod("z")), snapshot) is None


def test_a_taint_that_only_prefers_keeps_nobody_away_but_makes_the_node_worse() -> None:
    # given
    snapshot, plugin = cluster(node("old", taints=[PREFERRED_AWAY]), node("new")), TaintToleration()
    shape = snapshot.shape(pod("x"))
    # when
    scores = plugin.score(shape, snapshot, snapshot.alive)
    # then
    assert plugin.filter(shape, snapshot) is None
    assert scores is not None
    assert (scores[snapshot.rows["old"]], scores[snapshot.rows["new"]]) == (0, 100)


def test_a_node_that_changed_wakes_only_whom_it_fits_now() -> None:
    # given
    snapshot, plugin = cluster(node("cordoned", unschedulable=True), node("open")), NodeUnschedulable()
    shape = snapshot.shape(pod("x"))
    # then
    assert not plugin.helps(Change("node", row=snapshot.rows["cordoned"]), shape, snapshot)
    assert plugin.helps(Change("node", row=snapshot.rows["open"]), shape, snapshot)


def test_a_pod_that_went_wakes_who_waits_for_its_port_or_its_room() -> None:
    # given a node on which 1 of 4 cores is free
    snapshot = cluster(node("n"), running=(pod("there", cpu="3", on="n"),))
    gone = Change("pod gone", row=snapshot.rows["n"], pod=snapshot.shape(pod("gone", cpu="1", port=80)))
    # then
    assert NodePorts().helps(gone, snapshot.shape(pod("x", port=80)), snapshot)
    assert not NodePorts().helps(gone, snapshot.shape(pod("x", port=81)), snapshot)
    assert NodeResourcesFit().helps(gone, snapshot.shape(pod("x", cpu="1")), snapshot)
    assert not NodeResourcesFit().helps(gone, snapshot.shape(pod("x", cpu="2")), snapshot)


def test_a_pod_goes_where_the_agent_declares_what_it_needs() -> None:
    # given a node whose agent declares that it can restart all containers, and one that declares something else
    snapshot = cluster(node("good"), node("other"), node("old"))
    for name, features in (("good", ["RestartAllContainersOnContainerExits"]), ("other", ["SomethingElse"])):
        changed = node(name)
        changed.status.declaredFeatures = features
        snapshot.put_node(changed)
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}
    wanted = pod("p", initContainers=[{"name": "first", "image": "x", "restartPolicy": "Never", "restartPolicyRules": [rule]}])
    plugin = NodeDeclaredFeatures()
    words = ("node(s) didn't match Pod's required features", False)
    # then
    assert said(plugin, snapshot, wanted) == {"other": words, "old": words}
    assert said(plugin, snapshot, pod("q")) == {}
    # and a node whose agent declares more is worth a look
    shape, row = snapshot.shape(wanted), snapshot.rows["good"]
    assert plugin.helps(Change("node", row), shape, snapshot)
    assert plugin.helps(Change("node", row, before=node("good")), shape, snapshot)
    assert not plugin.helps(Change("node", row, before=snapshot.node(row)), shape, snapshot)
