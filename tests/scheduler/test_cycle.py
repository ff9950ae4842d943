"""Where pods go and in which words they are refused; invariants of a whole cluster."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scheduler.small import HOST, ZONE, cluster, node, place, pod, settle

from sampan.api.core.v1 import Pod
from sampan.scheduler.config import DEFAULT
from sampan.scheduler.cycle import Placed, schedule


def test_the_emptier_node_is_chosen() -> None:
    assert place(cluster(node("a"), node("b"), running=(pod("x", "2", "2Gi", on="a"),)), pod("p", "1", "1Gi")) == "b"


def test_refusals_count_reasons_in_upstreams_words() -> None:
    snapshot = cluster(node("a", cpu="1"), node("b", taints=[{"key": "k", "effect": "NoSchedule"}]), node("c", unschedulable=True))
    assert place(snapshot, pod("p", "2")) == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. "
        "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")


def test_what_pods_hold_preemption_could_give_back() -> None:
    snapshot = cluster(node("a", cpu="2"), running=(pod("x", "2", on="a"),))
    assert place(snapshot, pod("p", "1")).endswith("preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.")


def test_a_pod_that_names_its_node_goes_there_or_nowhere() -> None:
    snapshot = cluster(node("a"), node("b"), running=(pod("x", "2", "2Gi", on="b"),))
    assert place(snapshot, pod("p", on="b")) == "b"
    assert "2 node(s) didn't match the requested node name" in place(snapshot, pod("p", on="c"))


@pytest.mark.parametrize(("taken", "wanted", "fits"), [
    ("10.0.0.1", "10.0.0.2", True), ("10.0.0.1", "10.0.0.1", False), ("10.0.0.1", "", False), ("", "10.0.0.1", False), ("", "0.0.0.0", False),
])
def test_a_port_of_all_addresses_clashes_with_that_of_each(taken: str, wanted: str, fits: bool) -> None:
    def holding(name: str, address: str, on: str = "") -> Pod:
        made = pod(name, port=80, on=on)
        made.spec.containers[0].ports[0].hostIP = address
        return made

    found = place(cluster(node("a"), running=(holding("x", taken, "a"),)), holding("p", wanted))
    assert found == "a" if fits else "didn't have free ports for the requested pod ports" in found


def test_an_empty_cluster_says_so() -> None:
    assert place(cluster(), pod("p")) == "no nodes available to schedule pods"


def test_a_node_that_left_comes_back_with_its_pods() -> None:
    snapshot = cluster(node("a", cpu="2"), running=(pod("x", "2", on="a"),))
    snapshot.remove_node("a")
    snapshot.put_node(node("a", cpu="2"))
    assert "Insufficient cpu" in place(snapshot, pod("p", "1"))
    snapshot.remove_pod("x")
    assert place(snapshot, pod("p", "1")) == "a"


def test_ties_go_round() -> None:
    snapshot = cluster(*(node(name) for name in "abc"))
    rows = [schedule(snapshot.shape(pod("p")), snapshot, DEFAULT, start) for start in range(3)]
    assert len({one.row for one in rows if isinstance(one, Placed)}) == 3


def test_a_nominated_row_is_taken_although_another_is_better() -> None:
    snapshot = cluster(node("a"), node("b"), running=(pod("x", "2", on="a"),))
    outcome = schedule(snapshot.shape(pod("p", "1")), snapshot, DEFAULT, nominated=snapshot.rows["a"])
    assert outcome == Placed(snapshot.rows["a"])


def test_room_kept_for_an_important_pod_is_not_given_away() -> None:
    snapshot = cluster(node("a", cpu="2"))
    high = pod("high", "2", priority=10)
    snapshot.nominate(high, snapshot.shape(high), snapshot.rows["a"])
    assert "Insufficient cpu" in place(snapshot, pod("low", "1"))
    assert place(snapshot, pod("higher", "1", priority=20)) == "a"
    # nor what is no resource
    port = pod("port", port=80, priority=10)
    snapshot.nominate(port, snapshot.shape(port), snapshot.rows["a"])
    snapshot.unnominate("high")
    assert "free ports" in place(snapshot, pod("other", port=80))
    snapshot.unnominate("port")
    assert not snapshot.levels
    assert place(snapshot, pod("other", port=80)) == "a"


def anti(key: str, app: str) -> dict[str, object]:
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}]}}


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_node_is_ever_overcommitted(seed: int) -> None:
    rng = random.Random(seed)
    snapshot = cluster(*(node(f"n{i}", cpu=str(rng.randint(1, 4)), memory=f"{rng.randint(1, 4)}Gi", pods="5") for i in range(5)))
    for number in range(40):
        settle(snapshot, pod(f"p{number}", f"{rng.randint(0, 1500)}m", f"{rng.randint(0, 1024)}Mi", priority=rng.randint(0, 3)), start=rng.randint(0, 4))
        if rng.random() < 0.1 and snapshot.assigned:
            snapshot.remove_pod(rng.choice(list(snapshot.assigned)))
    assert (snapshot.requested <= snapshot.allocatable)[:, snapshot.alive].all()
    for uid in list(snapshot.assigned):
        snapshot.remove_pod(uid)
    assert not snapshot.requested.any()
    assert not snapshot.scoring.any()
    assert not snapshot.by_priority


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_required_anti_affinity_is_never_broken(seed: int) -> None:
    rng = random.Random(seed)
    snapshot = cluster(*(node(f"n{i}", labels={ZONE: f"z{i % 3}"}) for i in range(6)))
    apps = ("a", "b", "c")
    for number in range(30):
        wish: dict[str, Any] = {"affinity": anti(rng.choice((HOST, ZONE)), rng.choice(apps))} if rng.random() < 0.5 else {}
        settle(snapshot, pod(f"p{number}", labels={"app": rng.choice(apps)}, **wish))
        if rng.random() < 0.2 and snapshot.assigned:
            snapshot.remove_pod(rng.choice(list(snapshot.assigned)))
    for one in snapshot.assigned.values():
        for term in one.shape.anti:
            mine = snapshot.node(one.row).metadata.labels[term.topology_key]
            for other in snapshot.assigned.values():
                if other is not one and term.selector.matches(other.shape.labels):
                    assert snapshot.node(other.row).metadata.labels[term.topology_key] != mine


@given(st.integers(0, 10_000), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_pods_that_only_come_stay_within_max_skew(seed: int, skew: int) -> None:
    rng = random.Random(seed)
    snapshot = cluster(*(node(f"n{i}", labels={ZONE: f"z{i % 3}"}, pods=str(rng.randint(1, 6))) for i in range(6)))
    spread = [{"maxSkew": skew, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "a"}}}]
    for number in range(25):
        settle(snapshot, pod(f"p{number}", labels={"app": "a"}, topologySpreadConstraints=spread))
    counts = dict.fromkeys(("z0", "z1", "z2"), 0)
    for one in snapshot.assigned.values():
        counts[snapshot.node(one.row).metadata.labels[ZONE]] += 1
    assert max(counts.values()) - min(counts.values()) <= skew
