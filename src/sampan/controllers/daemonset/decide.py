"""Which nodes a DaemonSet's pods belong on, which are made and deleted, how an update rolls, what the status says. Pure.

Source: kube-controller-manager `daemon/daemon_controller.go`, `daemon/update.go`, `daemon/util/daemonset_util.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from sampan.api.apps.v1 import DaemonSet
from sampan.api.core.v1 import (
    Affinity,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    Toleration,
)
from sampan.api.resources import DAEMON_SETS, PODS
from sampan.control.history import HASH_LABEL
from sampan.control.nodes import fits_selector, untolerated
from sampan.control.numbers import scaled
from sampan.control.pods import available_in, is_available, is_ready, is_terminal, is_terminating, pod_from_template
from sampan.kinds.plan import Create, Delete, EventRecord, Plan, Update, Write

GENERATION_LABEL = "pod-template-generation"
GENERATION = "deprecated.daemonset.template.generation"
BURST = 250
_TOLERATIONS = (
    ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
)

# how long (in seconds) a failed pod on a node must still be left alone; 0: delete it now, and remember that
Patience = Callable[[str], float]


@dataclass(frozen=True)
class Look:
    """A DaemonSet, its pods by the node that they are for, and the nodes."""

    ds: DaemonSet
    pods: Mapping[str, Sequence[Pod]]
    nodes: Sequence[Node]
    hash: str
    now: datetime
    spec: PodSpec
    should_run: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)

    def is_updated(self, pod: Pod) -> bool:
        """The pod is of the current template."""
        generation = self.ds.metadata.annotations.get(GENERATION, "")
        labels = pod.metadata.labels
        return bool(self.hash and labels.get(HASH_LABEL) == self.hash) or bool(
            generation and labels.get(GENERATION_LABEL) == generation)

    def is_available(self, pod: Pod) -> bool:
        return is_available(pod, self.ds.spec.minReadySeconds, self.now)


def look(ds: DaemonSet, pods: Sequence[Pod], nodes: Sequence[Node], hash: str, now: datetime) -> Look:
    """Sort pods by node, and ask of each node whether it should have one. Pods that have ended and are being deleted are as good as gone."""
    by_node: dict[str, list[Pod]] = {}
    for pod in pods:
        if not (is_terminal(pod) and is_terminating(pod)) and (name := node_of(pod)):
            by_node.setdefault(name, []).append(pod)
    spec = pod_spec(ds)
    return Look(ds, by_node, nodes, hash, now, spec, {node.metadata.name: may_run(spec, node) for node in nodes})


def pod_spec(ds: DaemonSet) -> PodSpec:
    """The template's spec with the tolerations that every daemon has."""
    spec = ds.spec.template.spec
    wanted = [*_TOLERATIONS, *([("node.kubernetes.io/network-unavailable", "NoSchedule")] if spec.hostNetwork else [])]
    left = {(key, "Exists", "", effect): Toleration(key=key, operator="Exists", effect=effect) for key, effect in wanted}
    named = [(one.key, one.operator, one.value, one.effect) for one in spec.tolerations]
    kept = [left.get(name, one) for name, one in zip(named, spec.tolerations, strict=True)]  # without an end
    return replace(spec, tolerations=kept + [one for name, one in left.items() if name not in named])


def node_of(pod: Pod) -> str:
    """The node that the pod is on, or is for."""
    if pod.spec.nodeName:
        return pod.spec.nodeName
    affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    for term in (required.nodeSelectorTerms if required is not None else None) or ():
        for one in term.matchFields:
            if one.key == "metadata.name" and one.operator == "In" and len(one.values) == 1:
                return one.values[0]
    return ""


def may_run(spec: PodSpec, node: Node) -> tuple[bool, bool]:
    """(a pod should be made there, one that is there may stay)."""
    if (spec.nodeName and spec.nodeName != node.metadata.name) or not fits_selector(spec, node):
        return False, False
    if untolerated(spec, node, "NoSchedule", "NoExecute") is not None:
        return False, untolerated(spec, node, "NoExecute") is None
    return True, True


# pods


def manage(state: Look, patience: Patience) -> Plan:
    """Make pods where they lack, delete them where they should not be."""
    needing: list[str] = []
    doomed: list[Pod] = []
    events: list[EventRecord] = []
    waits: list[float] = []
    for node in state.nodes:
        name = node.metadata.name
        should, may_stay = state.should_run[name]
        there = state.pods.get(name, ())
        if should and not there:
            needing.append(name)
        elif may_stay:
            ended, running = _ended(state, name, there, patience, events, waits)
            doomed += ended + _superfluous(state, running)
            if should and not running and surge(state.ds, 1):
                needing.append(name)  # what is going has a successor at once
        else:
            doomed += [pod for pod in there if not is_terminating(pod)]
    gone = state.pods.keys() - {node.metadata.name for node in state.nodes}
    doomed += [pod for name in sorted(gone) for pod in state.pods[name] if not pod.spec.nodeName and not is_terminating(pod)]
    return Plan(tuple(_writes(state, doomed, needing)), min(waits, default=None), tuple(events))


def _writes(state: Look, doomed: Sequence[Pod], needing: Sequence[str]) -> list[Write]:
    writes: list[Write] = [Create(PODS, make_pod(state, name)) for name in needing[:BURST]]
    return writes + [Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid) for pod in doomed[:BURST]]


def _ended(state: Look, node: str, there: Sequence[Pod], patience: Patience, events: list[EventRecord],
           waits: list[float]) -> tuple[list[Pod], list[Pod]]:
    """(pods that have ended and go now, pods that run)."""
    doomed, running = [], []
    for pod in there:
        if is_terminating(pod):
            continue
        name = f"{pod.metadata.namespace}/{pod.metadata.name}"
        if pod.status.phase == "Failed":
            if (wait := patience(node)) > 0:
                waits.append(wait)
                continue
            events.append(EventRecord(state.ds, "Warning", "FailedDaemonPod",
                                      f"Found failed daemon pod {name} on node {node}, will try to kill it"))
            doomed.append(pod)
        elif pod.status.phase == "Succeeded":
            events.append(EventRecord(state.ds, "Normal", "SucceededDaemonPod",
                                      f"Found succeeded daemon pod {name} on node {node}, will try to delete it"))
            doomed.append(pod)
        else:
            running.append(pod)
    return doomed, sorted(running, key=_oldest_first)


def _superfluous(state: Look, running: Sequence[Pod]) -> list[Pod]:
    if len(running) <= 1:
        return []
    return _surged(state, running) if surge(state.ds, 1) else [*running[1:]]


def _oldest_first(pod: Pod) -> tuple[bool, str, str]:
    return not pod.spec.nodeName, pod.metadata.creationTimestamp or "", pod.metadata.name


def _surged(state: Look, running: Sequence[Pod]) -> list[Pod]:
    """During a surge one old and one new pod may be on a node."""
    new = next((pod for pod in running if pod.metadata.labels.get(HASH_LABEL) == state.hash), None)
    old = next((pod for pod in running if pod.metadata.labels.get(HASH_LABEL) != state.hash), None)
    doomed = [pod for pod in running if pod is not new and pod is not old]
    if new is not None and old is not None and (not is_ready(old) or state.is_available(new)):
        doomed.append(old)
    return doomed


def make_pod(state: Look, node: str) -> Pod:
    """A pod for one node: its affinity names the node, the scheduler binds it."""
    ds = state.ds
    generation = ds.metadata.annotations.get(GENERATION, "")
    labels = {HASH_LABEL: state.hash} | ({GENERATION_LABEL: generation} if generation else {})
    pod = pod_from_template(replace(ds.spec.template, spec=state.spec), DAEMON_SETS, ds, labels=labels)
    term = NodeSelectorTerm(matchFields=[NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])])
    affinity = pod.spec.affinity or Affinity()
    required = NodeSelector(nodeSelectorTerms=[term])
    affinity.nodeAffinity = replace(affinity.nodeAffinity or NodeAffinity(), requiredDuringSchedulingIgnoredDuringExecution=required)
    pod.spec.affinity = affinity
    return pod


# rolling update


def surge(ds: DaemonSet, desired: int) -> int:
    """How many nodes may have two pods during an update."""
    rolling = ds.spec.updateStrategy.rollingUpdate
    if ds.spec.updateStrategy.type != "RollingUpdate" or rolling is None:
        return 0
    return scaled(rolling.maxSurge, desired, round_up=True)


def _bounds(state: Look) -> tuple[int, int]:
    desired = sum(should for should, _ in state.should_run.values())
    rolling = state.ds.spec.updateStrategy.rollingUpdate
    unavailable = scaled(rolling.maxUnavailable if rolling is not None else 1, desired, round_up=True)
    most = surge(state.ds, desired)
    return (most, unavailable) if most or unavailable or not desired else (0, 1)


def roll(state: Look) -> Plan:
    """Replace pods of an old template within the bounds."""
    most_surge, most_unavailable = _bounds(state)
    if most_surge:
        return Plan(tuple(_surge(state, most_surge)))
    unavailable = 0
    allowed: list[Pod] = []
    candidates: list[Pod] = []
    wanted = [node.metadata.name for node in state.nodes if state.should_run[node.metadata.name][0]]
    for name in dict.fromkeys([*wanted, *state.pods]):
        pair = _pair(state, state.pods.get(name, ()))
        new, old = pair or (None, None)
        if (new is None) == (old is None):
            unavailable += 1  # the manage loop is at work here
        elif new is not None:
            unavailable += not state.is_available(new)
        elif old is not None and not state.is_available(old):
            unavailable += 1
            allowed.append(old)
        elif old is not None:
            candidates.append(old)
    room = max(0, most_unavailable - unavailable)
    return Plan(tuple(_writes(state, allowed + candidates[:room], ())))


def _pair(state: Look, pods: Sequence[Pod]) -> tuple[Pod | None, Pod | None] | None:
    """(new pod, old pod) of a node, without those that are going; None where there are too many."""
    new: Pod | None = None
    old: Pod | None = None
    for pod in pods:
        if is_terminating(pod):
            continue
        if state.is_updated(pod):
            if new is not None:
                return None
            new = pod
        elif old is not None:
            return None
        else:
            old = pod
    return new, old


def _surge(state: Look, most: int) -> list[Write]:
    """One more pod on some nodes. What should not be made where it is goes when it does not serve, or when enough others do."""
    surged = serving = 0
    doomed: list[Pod] = []
    misplaced: list[Pod] = []
    allowed: list[str] = []
    candidates: list[str] = []
    for node in state.nodes:
        name = node.metadata.name
        if name not in state.pods:
            continue
        pair = _pair(state, state.pods[name])
        if pair is None:
            surged += 1
            continue
        new, old = pair
        first = old or new
        serves = first is not None and state.is_available(first)
        serving += serves
        if old is None:
            continue
        if new is not None and state.is_available(new):
            doomed.append(old)
        elif new is not None:
            surged += 1
        elif not state.should_run[name][0]:
            (misplaced if serves else doomed).append(old)
        else:
            (candidates if serves else allowed).append(name)
    spare = max(0, serving - sum(should for should, _ in state.should_run.values()))
    return _writes(state, doomed + misplaced[:spare], allowed + candidates[:max(0, most - surged)])


# status


def status(state: Look) -> Plan:
    """The status write, if anything changed, and when a pod becomes available by waiting."""
    ds, counts = state.ds, dict.fromkeys(("desired", "current", "ready", "available", "updated", "misplaced"), 0)
    for node in state.nodes:
        there = sorted(state.pods.get(node.metadata.name, ()), key=_oldest_first)
        if not state.should_run[node.metadata.name][0]:
            counts["misplaced"] += bool(there)
            continue
        counts["desired"] += 1
        if there:
            counts["current"] += 1
            counts["ready"] += is_ready(there[0])
            counts["available"] += is_ready(there[0]) and state.is_available(there[0])
            counts["updated"] += state.is_updated(there[0])
    new = replace(
        ds.status, desiredNumberScheduled=counts["desired"], currentNumberScheduled=counts["current"],
        numberMisscheduled=counts["misplaced"], numberReady=counts["ready"], updatedNumberScheduled=counts["updated"],
        numberAvailable=counts["available"], numberUnavailable=counts["desired"] - counts["available"],
        observedGeneration=ds.metadata.generation)
    waits = [available_in(pod, ds.spec.minReadySeconds, state.now) for pods in state.pods.values() for pod in pods]
    later = min((wait for wait in waits if wait), default=None)
    return Plan((Update(DAEMON_SETS, replace(ds, status=new), "status"),) if new != ds.status else (), later)
