"""A refused pod is tried again when something changed that can help: every change that does, and none that cannot."""

from __future__ import annotations

import random
from collections.abc import Callable
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
            snapshot.put_node(changed)
            change = Change("node", row=snapshot.rows[changed.metadata.name])
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
