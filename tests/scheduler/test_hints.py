"""A refused pod is tried again when something changed that can help: every change that does, and none that cannot."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.scheduler.small import HOST, ZONE, cluster, node, pod

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.scheduler.config import DEFAULT
from sampan.scheduler.cycle import Placed, Refused, schedule
from sampan.scheduler.plugins.base import Change
from sampan.scheduler.snapshot import Snapshot

PLUGINS = {one.name: one for one in DEFAULT.filters}


def helps(refused: Refused, change: Change, wanted: Pod, snapshot: Snapshot) -> bool:
    """What the queue would be told."""
    shape = snapshot.shape(wanted)
    return any(change.what in PLUGINS[name].events and PLUGINS[name].helps(change, shape, snapshot) for name in refused.plugins)


def attempt(snapshot: Snapshot, wanted: Pod) -> Refused | Placed:
    return schedule(snapshot.shape(wanted), snapshot, DEFAULT)


def near(label: str, *, away: bool = False) -> dict[str, Any]:
    term = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": label}}}]}
    return {"affinity": {"podAntiAffinity" if away else "podAffinity": term}}


def spread() -> dict[str, Any]:
    return {"labels": {"app": "x"}, "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "x"}}}]}


CHOICES: list[Callable[[], dict[str, Any]]] = [
    dict, lambda: {"cpu": "3"}, lambda: {"port": 80}, lambda: {"nodeSelector": {"pool": "x"}}, lambda: near("x"), lambda: near("x", away=True), spread,
    lambda: {"labels": {"app": "x"}}, lambda: {"cpu": "1", "tolerations": [{"key": "k", "operator": "Exists"}]},
]


def random_node(rng: random.Random, name: str) -> Any:
    labels = {ZONE: rng.choice("12"), **({"pool": rng.choice("xy")} if rng.random() < 0.6 else {})}
    taints = [{"key": "k", "value": "v", "effect": "NoSchedule"}] if rng.random() < 0.4 else []
    return node(name, cpu=rng.choice(("1", "4")), labels=labels, taints=taints, unschedulable=rng.random() < 0.2, pods=rng.choice(("1", "110")))


@pytest.mark.parametrize("seed", range(300))
def test_a_change_after_which_a_pod_fits_is_one_that_helps(seed: int) -> None:
    # given a pod that fits nowhere
    rng = random.Random(seed)
    names = ["n0", "n1"][:rng.randint(1, 2)]
    running = tuple(pod(f"r{i}", on=rng.choice(names), **rng.choice(CHOICES)()) for i in range(rng.randint(0, 6)))
    snapshot = cluster(*(random_node(rng, name) for name in names), running=running)
    wanted = pod("p", **rng.choice([*CHOICES, spread, spread, lambda: {"on": "new"}])())
    before = attempt(snapshot, wanted)
    if not isinstance(before, Refused):
        return
    # when one thing after the other changes
    for step in range(6):
        what = rng.choice(("node", "pod gone", "pod added"))
        if what == "pod gone" and snapshot.assigned:
            known = snapshot.assigned[rng.choice(sorted(snapshot.assigned))]
            snapshot.remove_pod(known.pod.metadata.uid)
            change = Change("pod gone", known.row, known.shape)
        elif what == "pod added":
            other = pod(f"s{step}", on=rng.choice(names), **rng.choice(CHOICES)())
            snapshot.put_pod(other)
            one = snapshot.assigned[other.metadata.uid]
            change = Change("pod added", one.row, one.shape)
        else:
            changed = random_node(rng, rng.choice([*names, "new"]))
            known_node = snapshot.node(snapshot.rows[changed.metadata.name]) if changed.metadata.name in snapshot.rows else None
            snapshot.put_node(changed)
            change = Change("node", row=snapshot.rows[changed.metadata.name], before=known_node)
        told = helps(before, change, wanted, snapshot)
        after = attempt(snapshot, wanted)
        # then whatever makes it fit is told of
        if isinstance(after, Placed):
            assert told, (before.message, change)
            return
        before = after  # tried again now and then


@pytest.mark.parametrize(("wanted", "useless"), [
    (pod("p", "9"), node("b", cpu="2")),
    (pod("p", port=80), None),
    (pod("p", nodeSelector={"pool": "x"}), node("b", labels={"pool": "y"})),
    (pod("p", nodeName="c"), node("b")),
    (pod("p"), node("b", unschedulable=True)),
    (pod("p"), node("b", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])),
    (pod("p", **near("x")), None),
    (pod("p", **near("x", away=True)), None),
], ids=["resources", "ports", "labels", "name", "cordoned", "taints", "affinity", "anti-affinity"])
def test_a_change_that_cannot_help_wakes_nobody(wanted: Pod, useless: Any) -> None:
    # given a node that cannot take the pod, whatever the reason is
    shut = useless is not None and useless.spec.unschedulable
    taints = useless.spec.taints if useless is not None else []
    running = pod("r", port=80, on="a", labels={"app": "x"} if wanted.spec.affinity and wanted.spec.affinity.podAntiAffinity else {})
    snapshot = cluster(node("a", cpu="1", unschedulable=shut, taints=codec.to_builtins(taints)), running=(running,))
    before = attempt(snapshot, wanted)
    assert isinstance(before, Refused)
    # when another node comes that cannot either, or a pod leaves that was not in the way
    if useless is not None:
        snapshot.put_node(useless)
        assert not helps(before, Change("node", row=snapshot.rows["b"]), wanted, snapshot)
    bystander = snapshot.shape(pod("bystander", on="a"), assigned=True)
    assert not helps(before, Change("pod gone", snapshot.rows["a"], bystander), wanted, snapshot)


def test_a_pod_that_leaves_a_full_domain_helps_one_that_spreads() -> None:
    # given a domain that has one pod more than the other, whose node does not take any
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    there = pod("r", on="a", labels={"app": "x"})
    snapshot = cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "2"}, taints=[taint]), running=(there,))
    wanted = pod("p", **spread())
    before = attempt(snapshot, wanted)
    assert isinstance(before, Refused)
    assert before.plugins == {"PodTopologySpread", "TaintToleration"}
    # when it leaves
    known = snapshot.assigned["r"]
    snapshot.remove_pod("r")
    # then
    assert helps(before, Change("pod gone", known.row, known.shape), wanted, snapshot)
    assert isinstance(attempt(snapshot, wanted), Placed)


def refused(snapshot: Snapshot, wanted: Pod) -> Refused:
    found = attempt(snapshot, wanted)
    assert isinstance(found, Refused)
    return found


def gone(snapshot: Snapshot, name: str) -> Change:
    known = snapshot.assigned[name]
    snapshot.remove_pod(name)
    return Change("pod gone", known.row, known.shape)


def test_a_domain_that_ends_helps_one_that_spreads() -> None:
    # given a domain without a pod, on a node that takes none
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    snapshot = cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "2"}, taints=[taint]), running=(pod("r", on="a", labels={"app": "x"}),))
    wanted = pod("p", **spread())
    before = refused(snapshot, wanted)
    # when it ends with its node
    last = snapshot.node(snapshot.rows["b"])
    snapshot.remove_node("b")
    # then
    assert helps(before, Change("node gone", before=last), wanted, snapshot)
    assert isinstance(attempt(snapshot, wanted), Placed)
    # but a node that was in no domain helps nobody
    assert not helps(before, Change("node gone", before=node("c")), wanted, snapshot)


def test_a_node_that_moves_helps_on_the_nodes_that_it_leaves() -> None:
    # given two nodes in one zone, and on one of them a pod that keeps another out of the zone
    away = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": "x"}}}]}}}
    snapshot = cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "1"}), running=(pod("r", on="a", labels={"app": "x"}),))
    wanted = pod("p", **away)
    before = refused(snapshot, wanted)
    # when its node is in another zone now, where the pod cannot be either
    last = snapshot.node(snapshot.rows["a"])
    snapshot.put_node(node("a", labels={ZONE: "2"}))
    # then
    assert helps(before, Change("node", row=snapshot.rows["a"], before=last), wanted, snapshot)
    assert isinstance(attempt(snapshot, wanted), Placed)


def test_a_node_that_grows_helps_one_that_can_make_room_there_now() -> None:
    # given a node that is too small even if it were empty
    snapshot = cluster(node("a", "1"), running=(pod("r", "1", on="a"),))
    wanted = pod("p", "2", priority=9)
    before = refused(snapshot, wanted)
    # when it grows, so that the pod fits once others have gone
    last = snapshot.node(snapshot.rows["a"])
    snapshot.put_node(node("a", "2"))
    change = Change("node", row=snapshot.rows["a"], before=last)
    assert helps(before, change, wanted, snapshot)
    # then what says nothing about resources does not help again
    assert not helps(before, Change("node", row=snapshot.rows["a"], before=snapshot.node(snapshot.rows["a"])), wanted, snapshot)


@pytest.mark.parametrize(("policy", "held", "told"), [("", False, True), ("Never", False, False), ("", True, False)])
def test_a_pod_that_leaves_helps_one_that_can_make_room_now(policy: str, held: bool, told: bool) -> None:
    # given a pod that a more important one and two less important ones keep out
    snapshot = cluster(node("a", "4"), running=(pod("more", "1", on="a", priority=9), pod("less", "1", on="a"), pod("least", "2", on="a")))
    wanted = pod("p", "4", priority=5, **({"preemptionPolicy": policy} if policy else {}))
    before = refused(snapshot, wanted)
    # when the more important one leaves
    change = replace(gone(snapshot, "more"), held=held)
    # then it can have the place of the others, if it may, and is not waiting for another place already
    assert helps(before, change, wanted, snapshot) == told
    # and one of those others leaving is no news
    assert not helps(before, gone(snapshot, "less"), wanted, snapshot)


def test_a_pod_whose_room_somebody_else_has_had_is_told_when_the_last_victim_is_gone() -> None:
    # given two victims that are about to go for a pod, and a more important one that has had the room
    leaving = [codec.convert(Pod, {**codec.to_builtins(pod(name, "1", on="a")), "metadata": {
        "name": name, "namespace": "default", "uid": name, "deletionTimestamp": "2026-01-01T00:00:00Z"}}) for name in ("first", "last")]
    snapshot = cluster(node("a", "3"), running=(*leaving, pod("other", "2", on="a", priority=9)))
    wanted = pod("p", "3", priority=5)
    before = refused(snapshot, wanted)
    # then it waits for the last of them
    assert not helps(before, replace(gone(snapshot, "first"), kept=True, held=True), wanted, snapshot)
    assert helps(before, replace(gone(snapshot, "last"), kept=True, held=True), wanted, snapshot)


def test_a_pod_that_is_short_of_less_is_told() -> None:
    # given a node that is short of two things
    snapshot = cluster(node("a", "2", "2Gi"), running=(pod("r", "1", on="a"), pod("s", "1", "2Gi", on="a")))
    wanted = pod("p", "2", "1Gi")
    before = refused(snapshot, wanted)
    # then what leaves one of them is news, although it does not fit
    assert not helps(before, gone(snapshot, "r"), wanted, snapshot)
    assert helps(before, gone(snapshot, "s"), wanted, snapshot)


def test_a_pod_that_asks_for_less_or_has_other_labels_helps_those_that_care() -> None:
    snapshot = cluster(node("a", "2"), running=(pod("r", "2", on="a", labels={"app": "x"}, port=80),))
    shape = snapshot.assigned["r"].shape
    same, less, other = (snapshot.shape(one, assigned=True) for one in (
        pod("r", "2", on="a", labels={"app": "x"}, port=80), pod("r", "1", on="a", labels={"app": "x"}, port=80), pod("r", "2", on="a", port=80)))
    for wanted, helpful in ((pod("p", "1"), less), (pod("p", port=80), None), (pod("p", **near("x", away=True)), other), (pod("p", **spread()), other)):
        before = Refused((), 1, frozenset(PLUGINS))
        told = [one for one in (same, less, other) if helps(before, Change("pod changed", 0, one, before=shape), wanted, snapshot)]
        assert told == ([helpful] if helpful is not None else [])
