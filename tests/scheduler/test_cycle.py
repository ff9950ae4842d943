"""Where pods go and in which words they are refused; each vectorised answer held against a plain one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.api.core.v1 import (
    Container,
    ContainerPort,
    Node,
    NodeSpec,
    NodeStatus,
    Pod,
    PodSpec,
    ResourceRequirements,
    Taint,
    Toleration,
)
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Quantity
from sampan.scheduler.cycle import Placed, Refused, schedule
from sampan.scheduler.plugins.node_resources_fit import fit_mask
from sampan.scheduler.scheduler import DEFAULT
from sampan.scheduler.snapshot import Snapshot, shape


def node(name: str, cpu: str = "4", memory: str = "8Gi", *, taints: list[Taint] | None = None, labels: dict[str, str] | None = None,
         unschedulable: bool = False, pods: str = "110") -> Node:
    return Node(metadata=ObjectMeta(name=name, labels=labels or {}), spec=NodeSpec(taints=taints or [], unschedulable=unschedulable),
                status=NodeStatus(allocatable={"cpu": Quantity(cpu), "memory": Quantity(memory), "pods": Quantity(pods)}))


def pod(name: str, cpu: str = "", memory: str = "", *, port: int = 0, on: str = "", **spec: Any) -> Pod:
    requests = {key: Quantity(value) for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = Container(name="main", image="x", resources=ResourceRequirements(requests=requests),
                          ports=[ContainerPort(containerPort=port, hostPort=port)] if port else [])
    return Pod(metadata=ObjectMeta(name=name, namespace="default", uid=name), spec=PodSpec(containers=[container], nodeName=on, **spec))


def cluster(*nodes: Node, running: tuple[Pod, ...] = ()) -> Snapshot:
    snapshot = Snapshot(capacity=2)
    for one in nodes:
        snapshot.put_node(one)
    for one_pod in running:
        snapshot.put_pod(one_pod)
    return snapshot


def place(snapshot: Snapshot, wanted: Pod) -> str:
    outcome = schedule(shape(wanted), snapshot, DEFAULT)
    if isinstance(outcome, Refused):
        return outcome.message
    assert isinstance(outcome, Placed)
    found = snapshot.nodes[outcome.row]
    assert found is not None
    return found.metadata.name


def test_the_emptier_node_is_chosen() -> None:
    assert place(cluster(node("a"), node("b"), running=(pod("x", "2", "2Gi", on="a"),)), pod("p", "1", "1Gi")) == "b"


def test_refusals_count_reasons_in_upstreams_words() -> None:
    snapshot = cluster(node("a", cpu="1"), node("b", taints=[Taint(key="k", effect="NoSchedule")]), node("c", unschedulable=True))
    assert place(snapshot, pod("p", "2")) == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. "
        "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")


def test_what_pods_hold_preemption_could_give_back() -> None:
    snapshot = cluster(node("a", cpu="2"), running=(pod("x", "2", on="a"),))
    assert place(snapshot, pod("p", "1")).endswith("preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.")


def test_an_empty_cluster_says_so() -> None:
    assert place(cluster(), pod("p")) == "no nodes available to schedule pods"


def test_host_ports_clash_and_tolerations_admit() -> None:
    snapshot = cluster(node("a", taints=[Taint(key="k", value="v", effect="NoSchedule")]), node("b"), running=(pod("x", port=80, on="b"),))
    assert place(snapshot, pod("p", port=80, tolerations=[Toleration(key="k", operator="Exists")])) == "a"


def test_a_selector_is_held_against_labels() -> None:
    snapshot = cluster(node("a", labels={"disk": "ssd"}), node("b"))
    assert place(snapshot, pod("p", nodeSelector={"disk": "ssd"})) == "a"
    assert "2 node(s) didn't match Pod's node affinity/selector" in place(snapshot, pod("p", nodeSelector={"disk": "hdd"}))


def test_a_node_that_left_comes_back_with_its_pods() -> None:
    snapshot = cluster(node("a", cpu="2"), running=(pod("x", "2", on="a"),))
    snapshot.remove_node("a")
    snapshot.put_node(node("a", cpu="2"))
    assert "Insufficient cpu" in place(snapshot, pod("p", "1"))
    snapshot.remove_pod("x")
    assert place(snapshot, pod("p", "1")) == "a"


@given(st.lists(st.lists(st.integers(-5, 20), min_size=3, max_size=3), min_size=1, max_size=12), st.lists(st.integers(0, 10), min_size=3, max_size=3))
def test_fit_mask_is_what_a_loop_would_say(free: list[list[int]], requests: list[int]) -> None:
    plain = [all(have >= want for have, want in zip(row, requests, strict=True) if want) for row in free]
    assert fit_mask(np.array(requests), np.array(free)).tolist() == plain


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_node_is_ever_overcommitted(seed: int) -> None:
    rng = random.Random(seed)
    snapshot = cluster(*(node(f"n{i}", cpu=str(rng.randint(1, 4)), memory=f"{rng.randint(1, 4)}Gi", pods="5") for i in range(5)))
    for number in range(40):
        wanted = shape(pod(f"p{number}", f"{rng.randint(0, 1500)}m", f"{rng.randint(0, 1024)}Mi"))
        outcome = schedule(wanted, snapshot, DEFAULT)
        if isinstance(outcome, Placed):
            snapshot.assume(wanted, outcome.row)
        if rng.random() < 0.1 and snapshot.assigned:
            snapshot.remove_pod(rng.choice(list(snapshot.assigned)))
    assert (snapshot.requested <= snapshot.allocatable)[snapshot.alive].all()
    for uid in list(snapshot.assigned):
        snapshot.remove_pod(uid)
    assert not snapshot.requested.any()
    assert not snapshot.scoring.any()
