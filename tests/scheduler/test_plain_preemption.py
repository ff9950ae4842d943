"""Preemption held against a plain one that walks over nodes and pods as upstream does, on random clusters with budgets and nominations."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from tests.scheduler.small import HOST, cluster, node, pod
from tests.scheduler.test_preemption import anti, budget

from sampan.api.core.v1 import Node, Pod
from sampan.api.resources import POD_DISRUPTION_BUDGETS
from sampan.scheduler.config import DEFAULT
from sampan.scheduler.cycle import Refused, schedule
from sampan.scheduler.preemption import Candidate, NoCandidate, preempt
from sampan.scheduler.snapshot import Snapshot

SEEDS = range(400)
STARTS = tuple(f"2026-01-0{day}T00:00:00Z" for day in range(1, 5))


@dataclass
class Case:
    nodes: list[Node]
    running: list[Pod]
    nominated: dict[str, list[Pod]]
    budgets: dict[str, int]
    wanted: Pod

    def snapshot(self, *, intricate: bool) -> Snapshot:
        """`intricate`: a pod elsewhere wants to be alone, so that every filter has to be asked."""
        extra = [node("zz", labels={HOST: "zz"}, unschedulable=True)] if intricate else []
        lonely = [pod("lonely", on="zz", affinity=anti("nobody"))] if intricate else []
        snapshot = cluster(*self.nodes, *extra, running=(*self.running, *lonely))
        for name, allowed in self.budgets.items():
            snapshot.world.put(POD_DISRUPTION_BUDGETS, budget(name, allowed))
        for name, pods in self.nominated.items():
            for one in pods:
                snapshot.nominate(one, snapshot.shape(one), snapshot.rows[name])
        return snapshot


def case(seed: int) -> Case:
    rng = random.Random(seed)
    nodes = [node(f"n{number}", cpu=str(rng.randint(1, 4)), pods=rng.choice(("3", "110"))) for number in range(rng.randint(1, 4))]
    running = [pod(f"r{number}", str(rng.randint(0, 2)), on=rng.choice(nodes).metadata.name, priority=rng.choice((0, 1, 1, 5, 50, 100)),
                   labels=rng.choice(({}, {"app": "kept"}, {"app": "other"})), start=rng.choice(STARTS)) for number in range(rng.randint(2, 12))]
    nominated = {rng.choice(nodes).metadata.name: [pod("nominated", "1", priority=rng.choice((0, 50, 200)))]} if rng.random() < 0.3 else {}
    return Case(nodes, running, nominated, {"kept": rng.randint(0, 2)} if rng.random() < 0.6 else {}, pod("p", str(rng.randint(1, 3)), priority=50))


def cpu(one: Pod) -> int:
    return int((one.spec.containers or [])[0].resources.requests.get("cpu") or 0)


def importance(one: Pod) -> tuple[int, str]:
    return -(one.spec.priority or 0), str(one.status.startTime)


def plain_on(found: Case, one: Node) -> tuple[int, list[Pod]] | None:
    """How many budgets are broken and who has to go; None: nobody who may go makes room."""
    here = [other for other in found.running if other.spec.nodeName == one.metadata.name]
    kept = [other for other in found.nominated.get(one.metadata.name, ()) if (other.spec.priority or 0) >= (found.wanted.spec.priority or 0)]
    lower = sorted((other for other in here if (other.spec.priority or 0) < (found.wanted.spec.priority or 0)), key=importance)
    stay = [other for other in here if other not in lower]

    def fits(pods: list[Pod]) -> bool:
        together = [*pods, *kept, found.wanted]
        return sum(map(cpu, together)) <= int(one.status.allocatable["cpu"]) and len(together) <= int(one.status.allocatable["pods"])

    if not lower or not fits(stay):
        return None
    left, breaking, others = dict(found.budgets), [], []
    for other in lower:
        name = other.metadata.labels.get("app", "")
        if name in left:
            left[name] -= 1
        (breaking if name in left and left[name] < 0 else others).append(other)
    victims, broken = [], 0
    for group in (breaking, others):
        for other in group:
            if fits([*stay, other]):
                stay.append(other)
            else:
                victims.append(other)
                broken += group is breaking
    return (broken, victims) if victims else None


def plain(found: Case) -> tuple[str, set[str]] | None:
    """The node and its victims, by upstream's order of preference; of equals the first."""
    candidates = {one.metadata.name: said for one in found.nodes if (said := plain_on(found, one)) is not None}

    def judged(name: str) -> tuple[int, int, int, int]:
        broken, victims = candidates[name]
        priorities = [one.spec.priority or 0 for one in victims]
        return broken, max(priorities), sum(one + 2**31 for one in priorities), len(victims)

    def started(name: str) -> str:
        victims = candidates[name][1]
        highest = max(one.spec.priority or 0 for one in victims)
        return min(str(one.status.startTime) for one in victims if (one.spec.priority or 0) == highest)

    if not candidates:
        return None
    best = [name for name in candidates if judged(name) == min(map(judged, candidates))]
    latest = [name for name in best if started(name) == max(map(started, best))]
    return latest[0], {one.metadata.name for one in candidates[latest[0]][1]}


@pytest.mark.parametrize("intricate", [False, True])
def test_the_node_and_the_victims_are_those_of_a_plain_one(intricate: bool) -> None:
    made_room, none = 0, 0
    for seed in SEEDS:
        # given
        found = case(seed)
        snapshot = found.snapshot(intricate=intricate)
        requested = snapshot.requested.copy()
        shape = snapshot.shape(found.wanted)
        refused = schedule(shape, snapshot, DEFAULT)
        if not isinstance(refused, Refused):
            continue
        # when
        outcome = preempt(found.wanted, shape, refused, snapshot, DEFAULT)
        again = preempt(found.wanted, shape, refused, snapshot, DEFAULT)  # from what was remembered
        # then
        want = plain(found)
        for one in (outcome, again):
            if want is None:
                assert isinstance(one, NoCandidate), seed
            else:
                assert isinstance(one, Candidate), (seed, one)
                got = snapshot.node(one.row).metadata.name, {victim.pod.metadata.name for victim in one.victims}
                assert got == want, seed
        assert (snapshot.requested == requested).all()  # and nobody was moved
        made_room, none = made_room + (want is not None), none + (want is None)
    assert made_room > 50 < none
