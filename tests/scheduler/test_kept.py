"""Columns that are kept between decisions are what one finds who knows nothing of before, whatever came, changed and went in between."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.scheduler.small import HOST, ZONE, cluster, node, pod
from tests.scheduler.test_plain import APPS, FILTERS, SCORES, Plain, random_cluster, random_pod

from sampan.api import codec
from sampan.api.apps.v1 import ReplicaSet
from sampan.api.core.v1 import Namespace, Node, Pod, PodCondition
from sampan.api.meta.v1 import OwnerReference
from sampan.api.resource.v1 import DeviceClass, ResourceSlice
from sampan.api.resources import DEVICE_CLASSES, NAMESPACES, REPLICA_SETS, RESOURCE_SLICES
from sampan.api.scalars import Quantity, Time
from sampan.scheduler import domains, kept, podindex, snapshot
from sampan.scheduler.config import DEFAULT
from sampan.scheduler.cycle import Profile, Refused, best_row, run_filters, scores
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit, Strategy
from sampan.scheduler.plugins.pod_topology_spread import DefaultSpread, PodTopologySpread
from sampan.scheduler.preemption import NoCandidate, preempt
from sampan.scheduler.snapshot import Snapshot

GPU = "example.com/gpu"
STRICT = PodTopologySpread((DefaultSpread(ZONE, 1), DefaultSpread("rack", 2, hard=True), DefaultSpread(HOST, 1)))
FULLEST = NodeResourcesFit(Strategy("MostAllocated", (("cpu", 2), ("memory", 1), (GPU, 3))))
MOST = Profile("most", DEFAULT.filters, [(FULLEST if one.name == FULLEST.name else one, weight + 1) for one, weight in DEFAULT.scores])


@pytest.fixture(params=[(4096, 64, 32, 2048), (4096, 64, 32, 2), (7, 3, 1, 2)], ids=["roomy", "forgetful", "tight"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory as it is, and one that soon forgets."""
    touched, few, most, counters = request.param
    monkeypatch.setattr(snapshot, "MOST_TOUCHED", touched)
    monkeypatch.setattr(podindex, "MOST_COUNTERS", counters)
    monkeypatch.setattr(domains, "FEW", few)
    monkeypatch.setattr(domains, "MOST_KEPT", most)
    monkeypatch.setattr(kept, "MOST_KEPT", most)


def owned(one: Pod, app: str) -> Pod:
    """The pod as one of a ReplicaSet's."""
    out = codec.clone(one)
    out.metadata.labels["app"] = app
    out.metadata.ownerReferences = [OwnerReference(apiVersion="apps/v1", kind="ReplicaSet", name=app, uid=app, controller=True)]
    return out


def random_node(rng: random.Random, name: str, *, gpu: bool = True) -> Node:
    labels = {key: value for key, value in ((ZONE, f"z{rng.randrange(3)}"), ("rack", rng.choice("pqr")), ("size", str(rng.randrange(9)))) if rng.random() < 0.8 or key == "size"}
    taints = [{"key": "k", "value": rng.choice("xy"), "effect": rng.choice(("NoSchedule", "PreferNoSchedule"))}] if rng.random() < 0.3 else []
    return node(name, rng.choice(("1", "4")), rng.choice(("1Gi", "8Gi")), labels=labels, pods=rng.choice(("3", "110")), taints=taints,
                images=[{"names": ["big:latest"], "sizeBytes": 700 * 2**20}] if rng.random() < 0.5 else [], unschedulable=rng.random() < 0.2,
                more={GPU: "4"} if gpu and rng.random() < 0.3 else None)


# against plain plugins


def turn_plain(rng: random.Random, plain: Plain, number: int) -> None:
    roll, names = rng.random(), [one.metadata.name for one in plain.nodes]
    if roll < 0.5:
        new = random_pod(rng, f"t{number}", rng.choice(names))
        plain.pods[new.spec.nodeName].append(new)
        plain.snapshot.put_pod(new)
    elif roll < 0.8:
        there = [one for pods in plain.pods.values() for one in pods]
        if there:
            gone = rng.choice(there)
            plain.pods[gone.spec.nodeName].remove(gone)
            plain.snapshot.remove_pod(gone.metadata.uid)
    else:
        name = rng.choice([*names, f"new-{number}"])
        changed = random_node(rng, name, gpu=False)
        plain.nodes = [one for one in plain.nodes if one.metadata.name != name] + [changed]
        plain.pods.setdefault(name, [])
        plain.snapshot.put_node(changed)
    names = [one.metadata.name for one in plain.nodes]
    plain.feasible = [name for name in names if rng.random() < 0.8] or names


def plain_default_spread(plain: Plain, wanted: Pod) -> dict[str, float]:
    """The system's defaults: hosts with a skew of 3, zones with one of 5; a node without the label only misses that part."""
    by_name, raw = {one.metadata.name: one for one in plain.nodes}, {}

    def counted(name: str) -> int:
        return sum(one.metadata.namespace == wanted.metadata.namespace and one.metadata.labels.get("app") == wanted.metadata.labels["app"]
                   for one in plain.pods[name])

    zones = len({by_name[name].metadata.labels.get(ZONE) for name in plain.feasible})
    for name in plain.feasible:
        total, labels = counted(name) * math.log(len(plain.feasible) + 2) + 2, by_name[name].metadata.labels
        if ZONE in labels:
            total += sum(counted(other) for other, at in by_name.items() if at.metadata.labels.get(ZONE) == labels[ZONE]) * math.log(zones + 2) + 4
        raw[name] = math.floor(total + 0.5)
    most, least = max(raw.values()), min(raw.values())
    return {name: 100 * (most + least - one) // most for name, one in raw.items()}


@pytest.mark.parametrize("seed", range(15))
def test_after_any_changes_plugins_say_what_plain_ones_say(seed: int, memory: None) -> None:
    # given a cluster and a few shapes
    rng = random.Random(seed)
    plain, first = random_cluster(seed)
    plain.snapshot.world.put(REPLICA_SETS, replica_set("a"))
    shapes = [first, random_pod(rng, "q"), pod("r", "100m", "128Mi")]
    spread, mine = PodTopologySpread(), owned(pod("s", "100m"), "a")
    # when things change between decisions
    for number in range(25):
        turn_plain(rng, plain, number)
        # then every plugin says what a plain one does
        wanted = rng.choice(shapes)
        shape = plain.snapshot.shape(wanted)
        for name in ("NodeResourcesFit", "PodTopologySpread", "InterPodAffinity"):
            plugin, fits = FILTERS[name]
            verdict = plugin.filter(shape, plain.snapshot)
            got = plain.by_name(np.ones(len(plain.snapshot.alive), np.bool_) if verdict is None else verdict.fits)
            assert got == {one.metadata.name: fits(plain, wanted, one) for one in plain.nodes}, (number, name)
        for name in ("LeastAllocated", "NodeResourcesBalancedAllocation", "PodTopologySpread", "InterPodAffinity", "TaintToleration"):
            judge, reference = SCORES[name]
            found, want = judge.score(shape, plain.snapshot, plain.mask()), reference(plain, wanted)
            if found is not None and want is not None:
                assert {one: plain.by_name(found)[one] for one in plain.feasible} == {one: want[one] for one in plain.feasible}, (number, name)
        found = spread.score(plain.snapshot.shape(mine), plain.snapshot, plain.mask())
        assert found is not None
        assert {one: plain.by_name(found)[one] for one in plain.feasible} == plain_default_spread(plain, mine), number


def replica_set(app: str) -> ReplicaSet:
    return codec.convert(ReplicaSet, {"metadata": {"name": app, "namespace": "default", "uid": app}, "spec": {"selector": {"matchLabels": {"app": app}}}})


# against a cluster that is read anew


@dataclass
class Cluster:
    """What there is, as lists and as the columns that have seen it all come."""

    snapshot: Snapshot
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    nominated: dict[str, tuple[Pod, str]] = field(default_factory=dict)
    objects: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def anew(self) -> Snapshot:
        found = Snapshot(capacity=2)
        for resource, one in self.objects.values():
            found.world.put(resource, one)
        for at in self.nodes.values():
            found.put_node(at)
        for one in self.pods.values():
            found.put_pod(one)
        for one, name in self.nominated.values():
            if name in self.nodes:
                found.nominate(one, found.shape(one), found.rows[name])
        return found

    def put(self, resource: Any, one: Any) -> None:
        self.objects[f"{resource.group_resource}/{one.metadata.name}"] = (resource, one)
        self.snapshot.world.put(resource, one)
        if resource is NAMESPACES:
            self.snapshot.index.namespaces_changed()


def one_pod(rng: random.Random, name: str, on: str = "") -> Pod:
    one = random_pod(rng, name, on)
    one.spec.priority = rng.choice((0, 5, 10))
    if rng.random() < 0.3:
        amounts = one.spec.containers[0].resources  # type: ignore[index]
        amounts.requests[GPU] = amounts.limits[GPU] = Quantity("1")
    if rng.random() < 0.5:
        one.spec.topologySpreadConstraints = []
        one = owned(one, rng.choice(APPS))
        one.metadata.namespace = "default"
    if on and rng.random() < 0.2:
        one.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
    return one


def devices(rng: random.Random, on: str) -> tuple[Any, Any]:
    """Devices that stand behind a resource, here and there; now and then none do."""
    if rng.random() < 0.5:
        return DEVICE_CLASSES, codec.convert(DeviceClass, {"metadata": {"name": "gpu"}, "spec": rng.choice(({}, {"extendedResourceName": GPU}, {"extendedResourceName": GPU}))})
    return RESOURCE_SLICES, codec.convert(ResourceSlice, {"metadata": {"name": f"of-{on}"}, "spec": {
        "driver": "d.example.com", "nodeName": on, "pool": {"name": on, "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": f"d{index}"} for index in range(rng.randint(1, 3))]}})


def changed(rng: random.Random, one: Pod) -> Pod:
    """The same pod later: most often nothing that counts is different."""
    out = codec.clone(one)
    roll = rng.random()
    if roll < 0.5:
        out.metadata.deletionTimestamp = None if one.metadata.deletionTimestamp else Time("2026-01-01T00:00:00Z")
    elif roll < 0.55:
        out.metadata.labels = {"app": rng.choice(APPS)}
    elif roll < 0.6:
        out.metadata.ownerReferences = []
    elif roll < 0.7:
        out.spec.containers[0].resources.requests["cpu"] = Quantity(rng.choice(("200m", "3")))  # type: ignore[index]
    else:
        out.status.conditions = [PodCondition(type="Ready", status=rng.choice(("True", "False")))]
    return out


def turn(rng: random.Random, there: Cluster, number: int) -> None:
    roll, found = rng.random(), there.snapshot
    if roll < 0.25 and there.pods:
        uid = rng.choice(list(there.pods))
        there.pods[uid] = newer = changed(rng, there.pods[uid])
        found.put_pod(newer)
    elif roll < 0.42:
        new = one_pod(rng, f"p{rng.randrange(30)}", rng.choice([*there.nodes, "unknown"]))
        there.pods[new.metadata.uid] = new
        found.put_pod(new)
    elif roll < 0.54 and there.pods:
        uid = rng.choice(list(there.pods))
        del there.pods[uid]
        found.remove_pod(uid)
    elif roll < 0.62:
        name = rng.choice([*there.nodes, f"n{number}"])
        there.nodes[name] = random_node(rng, name)
        found.put_node(there.nodes[name])
    elif roll < 0.64 and len(there.nodes) > 2:
        name = rng.choice(list(there.nodes))
        del there.nodes[name]
        found.remove_node(name)
        there.nominated = {uid: one for uid, one in there.nominated.items() if one[1] != name}
    elif roll < 0.79:
        waits, name = one_pod(rng, f"w{rng.randrange(5)}"), rng.choice(list(there.nodes))
        there.nominated[waits.metadata.uid] = waits, name
        found.nominate(waits, found.shape(waits), found.rows[name])
    elif roll < 0.83 and found.assigned:
        found.put_back(found.take_out(rng.sample(list(found.assigned), 1)))
    elif roll < 0.86:
        there.put(REPLICA_SETS, replica_set(rng.choice(APPS)))
    elif roll < 0.98:
        there.put(*devices(rng, rng.choice(list(there.nodes))))
    else:
        there.put(NAMESPACES, codec.convert(Namespace, {"metadata": {"name": rng.choice(("default", "other")), "labels": {"app": rng.choice(APPS)}}}))


def said(found: Snapshot, wanted: Pod, profile: Profile, feasible: set[str]) -> dict[str, Any]:
    """Everything that is said of the nodes, by their names."""
    shape = found.shape(wanted)
    rows = np.zeros(len(found.alive), np.bool_)
    rows[[found.rows[name] for name in feasible]] = True
    filtered = run_filters(shape, found, profile)
    out: dict[str, Any] = {"fits": filtered.feasible}
    for reason, mask in filtered.reasons:
        if mask.any():
            key = f"{reason.text} {reason.resolvable}"
            out[key] = out.get(key, np.zeros_like(mask)) | mask
    for plugin, _ in (*profile.scores, (STRICT, 1)):
        score = plugin.score(shape, found, rows)
        out[plugin.name + str(plugin is STRICT)] = None if score is None else np.where(rows, score, 0.0)
    outcome = preempt(wanted, shape, Refused((), len(found), hopeful=rows), found, profile)
    out["preemption"] = outcome.message if isinstance(outcome, NoCandidate) else str(outcome.rank)
    missed = STRICT.filter(shape, found)
    out["strict"] = None if missed is None else missed.fits
    together = scores(shape, found, profile, rows)
    alone = [weight * one for plugin, weight in profile.scores if (one := plugin.score(shape, found, rows)) is not None]
    assert np.array_equal(together[rows], sum(alone, np.zeros_like(together))[rows])
    out["together"] = np.where(rows, together, 0.0)
    best = best_row(shape, found, profile, rows)
    assert rows[best]
    assert together[best] == together[rows].max()
    return out


@pytest.mark.parametrize("seed", range(15))
def test_after_any_changes_all_is_said_that_is_said_of_a_cluster_read_anew(seed: int, memory: None) -> None:
    # given a cluster, two profiles and a few shapes that come again and again
    rng = random.Random(seed)
    there = Cluster(cluster())
    for app in APPS:
        there.put(REPLICA_SETS, replica_set(app))
    for number in range(3):
        there.nodes[f"n{number}"] = random_node(rng, f"n{number}")
        there.snapshot.put_node(there.nodes[f"n{number}"])
    shapes = [one_pod(rng, "wanted"), owned(pod("plain", "100m", "64Mi"), "a")]
    for number in range(60):
        # when
        turn(rng, there, number)
        # then
        wanted, profile = rng.choice(shapes), rng.choice((DEFAULT, MOST))
        feasible = {name for name in there.nodes if rng.random() < 0.8} or set(there.nodes)
        anew = there.anew()
        kept_says, anew_says = said(there.snapshot, wanted, profile, feasible), said(anew, wanted, profile, feasible)
        assert by_name(there.snapshot, kept_says) == by_name(anew, anew_says), number


def by_name(found: Snapshot, says: dict[str, Any]) -> dict[str, Any]:
    return {key: one if one is None or isinstance(one, str) else {name: one[row].item() for name, row in found.rows.items()} for key, one in says.items()}


def test_memory_is_bounded_however_many_shapes_come() -> None:
    found = cluster(node("a"), node("b"))
    found.world.put(REPLICA_SETS, replica_set("a"))
    for number in range(2 * domains.MOST_KEPT):
        wanted = owned(pod("p", f"{number + 1}m"), "a")
        shape = found.shape(wanted)
        best_row(shape, found, DEFAULT, run_filters(shape, found, DEFAULT).feasible)
    assert {what: len(tables) for what, tables in found.memory.items()} == {
        "lacking": kept.MOST_KEPT, "scores": kept.MOST_KEPT, "spreading": domains.MOST_KEPT}
