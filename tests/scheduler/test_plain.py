"""Every vectorised plugin held against a plain one, node by node and pod by pod, on random clusters.

The plain versions walk over nodes and pods as upstream does; they share no code with the plugins.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.scheduler.small import HOST, ZONE, cluster, node, pod

from sampan.api.core.v1 import Node, Pod
from sampan.scheduler.plugins.balanced_allocation import NodeResourcesBalancedAllocation
from sampan.scheduler.plugins.image_locality import ImageLocality
from sampan.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from sampan.scheduler.plugins.node_affinity import NodeAffinity
from sampan.scheduler.plugins.node_ports import NodePorts
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit, Strategy
from sampan.scheduler.plugins.node_unschedulable import NodeUnschedulable
from sampan.scheduler.plugins.pod_topology_spread import PodTopologySpread
from sampan.scheduler.plugins.taint_toleration import TaintToleration
from sampan.scheduler.snapshot import Snapshot

SEEDS = range(60)
APPS, NAMESPACES = ("a", "b"), ("default", "other")


@dataclass
class Plain:
    """The same cluster as lists."""

    nodes: list[Node]
    pods: dict[str, list[Pod]]
    snapshot: Snapshot
    feasible: list[str]

    def mask(self) -> Any:
        out = np.zeros(len(self.snapshot.alive), np.bool_)
        out[[self.snapshot.rows[name] for name in self.feasible]] = True
        return out

    def by_name(self, values: Any) -> dict[str, Any]:
        return {one.metadata.name: values[self.snapshot.rows[one.metadata.name]].item() for one in self.nodes}


def requested(one: Pod, name: str) -> int:
    value = one.spec.containers[0].resources.requests.get(name)  # type: ignore[index]
    if value is None:
        return 0
    return int(value[:-1]) if value.endswith("m") else int(value) * 1000 if name == "cpu" else int(value[:-2]) * 2**20


def random_wish(rng: random.Random) -> dict[str, Any]:
    def term() -> dict[str, Any]:
        out: dict[str, Any] = {"topologyKey": rng.choice((HOST, ZONE, "rack")), "labelSelector": {"matchLabels": {"app": rng.choice(APPS)}}}
        if rng.random() < 0.3:
            out["namespaces"] = [rng.choice(NAMESPACES)]
        elif rng.random() < 0.3:
            out["namespaceSelector"] = {}
        return out

    def weighted() -> list[dict[str, Any]]:
        return [{"weight": rng.randint(1, 100), "podAffinityTerm": term()} for _ in range(rng.randint(0, 2))]

    out: dict[str, Any] = {}
    hard, soft = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
    for kind in ("podAffinity", "podAntiAffinity"):
        if rng.random() < 0.4:
            out.setdefault("affinity", {})[kind] = {hard: [term() for _ in range(rng.randint(0, 2))], soft: weighted()}
    if rng.random() < 0.4:
        terms = [{"matchExpressions": [{"key": "size", "operator": rng.choice(("Gt", "Lt")), "values": ["4"]}]},
                 {"matchExpressions": [{"key": ZONE, "operator": rng.choice(("In", "NotIn")), "values": ["z0", "z1"]},
                                       {"key": "rack", "operator": rng.choice(("Exists", "DoesNotExist"))}]}]
        out.setdefault("affinity", {})["nodeAffinity"] = {
            hard: {"nodeSelectorTerms": terms}, soft: [{"weight": 7, "preference": terms[0]}, {"weight": 3, "preference": terms[1]}]}
    if rng.random() < 0.5:
        out["topologySpreadConstraints"] = [
            {"maxSkew": rng.randint(1, 2), "topologyKey": rng.choice((HOST, ZONE, "rack")), "labelSelector": {"matchLabels": {"app": rng.choice(APPS)}},
             "whenUnsatisfiable": rng.choice(("DoNotSchedule", "ScheduleAnyway")), "nodeAffinityPolicy": rng.choice(("Honor", "Ignore")),
             "nodeTaintsPolicy": rng.choice(("Honor", "Ignore"))} for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.3:
        out["tolerations"] = [{"key": "k", "operator": "Equal", "value": rng.choice("xy"), "effect": rng.choice(("", "NoSchedule"))}]
    return out


def random_pod(rng: random.Random, name: str, on: str = "") -> Pod:
    return pod(name, rng.choice(("", "100m", "700m", "2")), rng.choice(("", "128Mi", "900Mi")), on=on, labels={"app": rng.choice(APPS)},
               namespace=rng.choice(NAMESPACES), port=rng.choice((0, 0, 80)), image=rng.choice(("big", "small:1", "none")), **random_wish(rng))


def random_cluster(seed: int) -> tuple[Plain, Pod]:
    rng = random.Random(seed)
    nodes = []
    for number in range(rng.randint(1, 7)):
        labels = {"size": str(number)}
        if rng.random() < 0.8:
            labels[ZONE] = f"z{number % 3}"
        if rng.random() < 0.5:
            labels["rack"] = rng.choice("pq")
        taints = [{"key": "k", "value": rng.choice("xy"), "effect": rng.choice(("NoSchedule", "PreferNoSchedule", "NoExecute"))} for _ in range(rng.randint(0, 2))]
        images = [{"names": ["big:latest"], "sizeBytes": 700 * 2**20}] if rng.random() < 0.5 else [{"names": ["small:1"], "sizeBytes": 2**20}]
        nodes.append(node(f"n{number}", rng.choice(("1", "4")), rng.choice(("1Gi", "8Gi")), labels=labels, images=images, pods=rng.choice(("3", "110")),
                          taints=list({(t["key"], t["effect"]): t for t in taints}.values()), unschedulable=rng.random() < 0.2))
    placed = [random_pod(rng, f"e{number}", rng.choice(nodes).metadata.name) for number in range(rng.randint(0, 12))]
    snapshot = cluster(*nodes, running=tuple(placed))
    for number in range(3):  # come and gone: nothing may stay behind
        snapshot.put_pod(random_pod(rng, f"gone{number}", rng.choice(nodes).metadata.name))
        snapshot.remove_pod(f"gone{number}")
    pods = {one.metadata.name: [p for p in placed if p.spec.nodeName == one.metadata.name] for one in nodes}
    feasible = rng.sample([one.metadata.name for one in nodes], rng.randint(1, len(nodes)))
    return Plain(nodes, pods, snapshot, feasible), random_pod(rng, "p")


def means(term: Any, owner: Pod, other: Pod) -> bool:
    namespaces = term.namespaces or ([] if term.namespaceSelector is not None else [owner.metadata.namespace])
    covered = other.metadata.namespace in namespaces or term.namespaceSelector is not None
    return covered and term.labelSelector.matchLabels.items() <= other.metadata.labels.items()


def terms_of(one: Pod, kind: str) -> tuple[list[Any], list[Any]]:
    found = getattr(one.spec.affinity, kind) if one.spec.affinity is not None else None
    if found is None:
        return [], []
    return found.requiredDuringSchedulingIgnoredDuringExecution, found.preferredDuringSchedulingIgnoredDuringExecution


def tolerated(one: Pod, taint: Any) -> bool:
    return any(t.key == taint.key and t.value == taint.value and t.effect in ("", taint.effect) for t in one.spec.tolerations)


def admits(one: Node, wanted: Pod) -> bool:
    affinity = wanted.spec.affinity.nodeAffinity if wanted.spec.affinity is not None else None
    if affinity is None:
        return True
    return any(term_holds(term, one.metadata.labels) for term in affinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms)  # type: ignore[union-attr]


def term_holds(term: Any, labels: dict[str, str]) -> bool:
    def holds(e: Any) -> bool:
        if e.operator == "In":
            return labels.get(e.key) in e.values
        if e.operator == "NotIn":
            return labels.get(e.key) not in e.values
        if e.operator in ("Exists", "DoesNotExist"):
            return (e.key in labels) == (e.operator == "Exists")
        number = int(labels[e.key])
        return number > int(e.values[0]) if e.operator == "Gt" else number < int(e.values[0])

    return all(holds(e) for e in term.matchExpressions)


def plain_fit(plain: Plain, wanted: Pod, one: Node) -> bool:
    there = plain.pods[one.metadata.name]
    if len(there) + 1 > int(one.status.allocatable["pods"]):
        return False
    cpu = int(one.status.allocatable["cpu"]) * 1000 - sum(requested(p, "cpu") for p in there)
    memory = int(one.status.allocatable["memory"][:-2]) * 2**30 - sum(requested(p, "memory") for p in there)
    return (not requested(wanted, "cpu") or requested(wanted, "cpu") <= cpu) and (not requested(wanted, "memory") or requested(wanted, "memory") <= memory)


def plain_ports(plain: Plain, wanted: Pod, one: Node) -> bool:
    def ports(p: Pod) -> set[int]:
        return {port.hostPort for port in p.spec.containers[0].ports if port.hostPort}  # type: ignore[index]

    return not any(ports(wanted) & ports(p) for p in plain.pods[one.metadata.name])


def plain_affinity(plain: Plain, wanted: Pod, one: Node) -> bool:
    near, away = terms_of(wanted, "podAffinity")[0], terms_of(wanted, "podAntiAffinity")[0]
    everyone = [(p, n) for n in plain.nodes for p in plain.pods[n.metadata.name]]
    labels = one.metadata.labels
    if near:
        whole = [(p, n) for p, n in everyone if all(means(t, wanted, p) for t in near)]
        counted = any(t.topologyKey in n.metadata.labels for t in near for _, n in whole)
        if not all(t.topologyKey in labels for t in near):
            return False
        found = all(any(n.metadata.labels.get(t.topologyKey) == labels[t.topologyKey] for _, n in whole) for t in near)
        if not found and (counted or not all(means(t, wanted, wanted) for t in near)):
            return False

    def together(key: str, other: Node) -> bool:
        return key in labels and other.metadata.labels.get(key) == labels[key]

    if any(means(t, wanted, p) and together(t.topologyKey, n) for t in away for p, n in everyone):
        return False
    return not any(means(t, p, wanted) and together(t.topologyKey, n) for p, n in everyone for t in terms_of(p, "podAntiAffinity")[0])


def counts_for(one: Node, constraint: Any, wanted: Pod, keys: list[str]) -> bool:
    if not all(key in one.metadata.labels for key in keys):
        return False
    if constraint.nodeAffinityPolicy != "Ignore" and not admits(one, wanted):
        return False
    bad = any(t.effect in ("NoSchedule", "NoExecute") and not tolerated(wanted, t) for t in one.spec.taints)
    return not (constraint.nodeTaintsPolicy == "Honor" and bad)


def selected(constraint: Any, wanted: Pod, other: Pod) -> bool:
    return other.metadata.namespace == wanted.metadata.namespace and constraint.labelSelector.matchLabels.items() <= other.metadata.labels.items()


def plain_spread(plain: Plain, wanted: Pod, one: Node) -> bool:
    hard = [c for c in wanted.spec.topologySpreadConstraints if c.whenUnsatisfiable == "DoNotSchedule"]
    keys = [c.topologyKey for c in hard]
    for c in hard:
        if c.topologyKey not in one.metadata.labels:
            return False
        totals: dict[str, int] = {}
        for n in plain.nodes:
            if counts_for(n, c, wanted, keys):
                value = n.metadata.labels[c.topologyKey]
                totals[value] = totals.get(value, 0) + sum(selected(c, wanted, p) for p in plain.pods[n.metadata.name])
        if not totals:
            continue
        own = 1 if selected(c, wanted, wanted) else 0
        if totals.get(one.metadata.labels[c.topologyKey], 0) + own - min(totals.values()) > c.maxSkew:
            return False
    return True


FILTERS = {
    "NodeResourcesFit": (NodeResourcesFit(), plain_fit),
    "NodePorts": (NodePorts(), plain_ports),
    "NodeUnschedulable": (NodeUnschedulable(), lambda _c, _p, n: not n.spec.unschedulable),
    "TaintToleration": (TaintToleration(), lambda _c, p, n: all(t.effect == "PreferNoSchedule" or tolerated(p, t) for t in n.spec.taints)),
    "NodeAffinity": (NodeAffinity(), lambda _c, p, n: admits(n, p)),
    "InterPodAffinity": (InterPodAffinity(), plain_affinity),
    "PodTopologySpread": (PodTopologySpread(), plain_spread),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_says_of_every_node_what_a_plain_one_says(name: str) -> None:
    plugin, reference = FILTERS[name]
    answers = set()
    for seed in SEEDS:
        plain, wanted = random_cluster(seed)
        verdict = plugin.filter(plain.snapshot.shape(wanted), plain.snapshot)
        fits = np.ones(len(plain.snapshot.alive), np.bool_) if verdict is None else verdict.fits
        want = {one.metadata.name: reference(plain, wanted, one) for one in plain.nodes}
        assert plain.by_name(fits) == want, seed
        answers |= set(want.values())
        if verdict is not None:  # every refused node has a reason, no other has
            told = np.zeros_like(fits)
            for reason in verdict.reasons:
                told |= reason.rows
            assert plain.by_name(told) == {key: not value for key, value in want.items()}, seed
    assert answers == {True, False}  # the clusters were worth asking about


def scaled(raw: dict[str, float], feasible: list[str], *, turned: bool = False) -> dict[str, float]:
    best = max(raw[name] for name in feasible)
    if not best:
        return dict.fromkeys(feasible, 100.0 if turned else 0.0)
    return {name: (100 - raw[name] * 100 // best) if turned else raw[name] * 100 // best for name in feasible}


def score_taints(plain: Plain, wanted: Pod) -> dict[str, float]:
    return scaled({n.metadata.name: sum(t.effect == "PreferNoSchedule" and not tolerated(wanted, t) for t in n.spec.taints) for n in plain.nodes},
                  plain.feasible, turned=True)


def score_node_affinity(plain: Plain, wanted: Pod) -> dict[str, float]:
    found = wanted.spec.affinity.nodeAffinity if wanted.spec.affinity is not None else None
    preferred = found.preferredDuringSchedulingIgnoredDuringExecution if found is not None else []
    return scaled({n.metadata.name: sum(one.weight for one in preferred if term_holds(one.preference, n.metadata.labels)) for n in plain.nodes},
                  plain.feasible)


def usage(plain: Plain, wanted: Pod, one: Node, *, stand_in: bool) -> list[tuple[int, int]]:
    out = []
    for name, missing, unit in (("cpu", 100, 1000), ("memory", 200 * 2**20, 2**30)):
        used = sum(requested(p, name) or (missing if stand_in else 0) for p in (*plain.pods[one.metadata.name], wanted))
        out.append((used, int(one.status.allocatable[name].removesuffix("Gi")) * unit))
    return out


def score_least(plain: Plain, wanted: Pod) -> dict[str, float]:
    return {n.metadata.name: sum((most - used) * 100 // most if used <= most else 0 for used, most in usage(plain, wanted, n, stand_in=True)) // 2
            for n in plain.nodes}


def score_most(plain: Plain, wanted: Pod) -> dict[str, float]:
    return {n.metadata.name: sum(min(used, most) * 100 // most for used, most in usage(plain, wanted, n, stand_in=True)) // 2 for n in plain.nodes}


def score_ratio(plain: Plain, wanted: Pod) -> dict[str, float]:
    def line(percent: int) -> int:
        return percent if percent <= 50 else 50 - (percent - 50)  # (0, 0), (50, 5), (100, 0), times ten

    out: dict[str, float] = {}
    for n in plain.nodes:
        parts = [line(100 if used > most else used * 100 // most) for used, most in usage(plain, wanted, n, stand_in=True)]
        counted = [one for one in parts if one > 0]
        out[n.metadata.name] = math.floor(sum(counted) / len(counted) + 0.5) if counted else 0
    return out


def score_balanced(plain: Plain, wanted: Pod) -> dict[str, float] | None:
    if not requested(wanted, "cpu") and not requested(wanted, "memory"):
        return None

    def balance(shares: list[float]) -> int:
        return int((1 - abs((min(shares[0], 1.0) - min(shares[1], 1.0)) / 2)) * 100)

    out: dict[str, float] = {}
    for n in plain.nodes:
        after = [(used, most) for used, most in usage(plain, wanted, n, stand_in=False)]
        before = [(used - requested(wanted, name), most) for (used, most), name in zip(after, ("cpu", "memory"), strict=True)]
        out[n.metadata.name] = 50 + int((50 + balance([u / m for u, m in after]) - balance([u / m for u, m in before])) / 2)
    return out


def score_pods(plain: Plain, wanted: Pod) -> dict[str, float] | None:
    sums: dict[tuple[str, str], int] = {}

    def add(term: Any, at: Node, weight: int) -> None:
        if term.topologyKey in at.metadata.labels:
            key = (term.topologyKey, at.metadata.labels[term.topologyKey])
            sums[key] = sums.get(key, 0) + weight

    for n in plain.nodes:
        for p in plain.pods[n.metadata.name]:
            for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
                for one in terms_of(wanted, kind)[1]:
                    if means(one.podAffinityTerm, wanted, p):
                        add(one.podAffinityTerm, n, sign * one.weight)
                for one in terms_of(p, kind)[1]:
                    if means(one.podAffinityTerm, p, wanted):
                        add(one.podAffinityTerm, n, sign * one.weight)
            for term in terms_of(p, "podAffinity")[0]:
                if means(term, p, wanted):
                    add(term, n, 1)
    by_name = {n.metadata.name: n for n in plain.nodes}
    raw = {name: sum(weight for (key, value), weight in sums.items() if by_name[name].metadata.labels.get(key) == value) for name in plain.feasible}
    least, most = min(raw.values()), max(raw.values())
    return {name: int(100 * (float(one - least) / float(most - least))) if most > least else 0 for name, one in raw.items()}


def score_spread(plain: Plain, wanted: Pod) -> dict[str, float] | None:
    soft = [c for c in wanted.spec.topologySpreadConstraints if c.whenUnsatisfiable == "ScheduleAnyway"]
    if not soft:
        return None
    keys = [c.topologyKey for c in soft]
    by_name = {n.metadata.name: n for n in plain.nodes}
    judged = [name for name in plain.feasible if all(key in by_name[name].metadata.labels for key in keys)]
    raw: dict[str, float] = {}
    for name in judged:
        total = 0.0
        for c in soft:
            value = by_name[name].metadata.labels[c.topologyKey]
            if c.topologyKey == HOST:
                count, size = sum(selected(c, wanted, p) for p in plain.pods[name]), len(judged)
            else:
                count = sum(selected(c, wanted, p) for n in plain.nodes if counts_for(n, c, wanted, keys) and n.metadata.labels[c.topologyKey] == value
                            for p in plain.pods[n.metadata.name])
                size = len({by_name[one].metadata.labels[c.topologyKey] for one in judged})
            total += count * math.log(size + 2) + (c.maxSkew - 1)
        raw[name] = math.floor(total + 0.5)
    if not raw:
        return dict.fromkeys(plain.feasible, 0)
    most, least = max(raw.values()), min(raw.values())
    return {name: 0 if name not in raw else 100 if most == 0 else 100 * (most + least - raw[name]) // most for name in plain.feasible}


def score_images(plain: Plain, wanted: Pod) -> dict[str, float]:
    image = wanted.spec.containers[0].image  # type: ignore[index]
    name = image if ":" in image else f"{image}:latest"
    having = [n.metadata.name for n in plain.nodes if any(name in (one.names or ()) for one in n.status.images)]
    size = 700 * 2**20 if image == "big" else 2**20
    least, most = 23 * 2**20, 1000 * 2**20
    total = int(size * (len(having) / len(plain.nodes)))
    return {n.metadata.name: 100 * (min(max(total if n.metadata.name in having else 0, least), most) - least) // (most - least) for n in plain.nodes}


RATIO = Strategy("RequestedToCapacityRatio", points=((0, 0), (50, 5), (100, 0)))
SCORES = {
    "TaintToleration": (TaintToleration(), score_taints),
    "NodeAffinity": (NodeAffinity(), score_node_affinity),
    "LeastAllocated": (NodeResourcesFit(), score_least),
    "MostAllocated": (NodeResourcesFit(Strategy("MostAllocated")), score_most),
    "RequestedToCapacityRatio": (NodeResourcesFit(RATIO), score_ratio),
    "NodeResourcesBalancedAllocation": (NodeResourcesBalancedAllocation(), score_balanced),
    "InterPodAffinity": (InterPodAffinity(), score_pods),
    "PodTopologySpread": (PodTopologySpread(), score_spread),
    "ImageLocality": (ImageLocality(), score_images),
}


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_what_a_plain_one_says(name: str) -> None:
    plugin, reference = SCORES[name]
    told_apart = 0
    for seed in SEEDS:
        plain, wanted = random_cluster(seed)
        found = plugin.score(plain.snapshot.shape(wanted), plain.snapshot, plain.mask())
        want = reference(plain, wanted)
        if found is None:  # no preference: then the plain one has none either
            assert want is None or len({want[one] for one in plain.feasible}) == 1, seed
            continue
        got = plain.by_name(found)
        assert want is not None, seed
        assert {one: got[one] for one in plain.feasible} == {one: want[one] for one in plain.feasible}, seed
        told_apart += len({want[one] for one in plain.feasible}) > 1
    assert told_apart
