"""Small clusters for tests of the scheduler: nodes, pods and where one is put."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Node, Pod
from sampan.scheduler.config import DEFAULT
from sampan.scheduler.cycle import Placed, Profile, Refused, schedule
from sampan.scheduler.dra.extended import wants_devices
from sampan.scheduler.preemption import Candidate, NoCandidate, aftermath, preempt
from sampan.scheduler.snapshot import Snapshot

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def node(name: str, cpu: str = "4", memory: str = "8Gi", *, labels: dict[str, str] | None = None, pods: str = "110", images: Any = (),
         more: dict[str, str] | None = None, **spec: Any) -> Node:
    amounts = {"cpu": cpu, "memory": memory, "pods": pods, **(more or {})}
    return codec.convert(Node, {"metadata": {"name": name, "uid": name, "labels": {HOST: name, **(labels or {})}}, "spec": spec,
                                "status": {"allocatable": amounts, "images": list(images)}})


def pod(name: str, cpu: str = "", memory: str = "", *, port: int = 0, on: str = "", labels: dict[str, str] | None = None, namespace: str = "default",
        more: dict[str, str] | None = None, start: str | None = None, **spec: Any) -> Pod:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory), *(more or {}).items()) if value}
    container: dict[str, Any] = {"name": "main", "image": spec.pop("image", "x"), "resources": {"requests": requests, "limits": more or {}}}
    if port:
        container["ports"] = [{"containerPort": port, "hostPort": port}]
    status = {"startTime": start} if start else {}
    return codec.convert(Pod, {"metadata": {"name": name, "namespace": namespace, "uid": name, "labels": labels or {}},
                               "spec": {"containers": [container], "nodeName": on, **spec}, "status": status})


def cluster(*nodes: Node, running: tuple[Pod, ...] = ()) -> Snapshot:
    snapshot = Snapshot(capacity=2)
    for one in nodes:
        snapshot.put_node(one)
    for one_pod in running:
        snapshot.put_pod(one_pod)
    return snapshot


def place(snapshot: Snapshot, wanted: Pod, profile: Profile = DEFAULT) -> str:
    """The node's name, or the whole message."""
    shape = snapshot.shape(wanted)
    outcome = schedule(shape, snapshot, profile)
    if isinstance(outcome, Placed):
        return snapshot.node(outcome.row).metadata.name
    if not outcome.total:
        return outcome.message
    found = None if outcome.unread else preempt(wanted, shape, outcome, snapshot, profile)
    if isinstance(found, Candidate):
        return f"{outcome.message} -> {snapshot.node(found.row).metadata.name}: {', '.join(sorted(one.pod.metadata.name for one in found.victims))}"
    return outcome.message + aftermath(outcome, profile, wants_devices(shape, snapshot), found)


def settle(snapshot: Snapshot, wanted: Pod, profile: Profile = DEFAULT, start: int = 0) -> str:
    """Place it and count it there; "" when it fits nowhere."""
    shape = snapshot.shape(wanted)
    outcome = schedule(shape, snapshot, profile, start)
    if isinstance(outcome, Refused):
        return ""
    snapshot.assume(wanted, shape, outcome.row)
    return snapshot.node(outcome.row).metadata.name


def refusal(snapshot: Snapshot, wanted: Pod) -> Candidate | NoCandidate:
    shape = snapshot.shape(wanted)
    outcome = schedule(shape, snapshot, DEFAULT)
    assert isinstance(outcome, Refused)
    return preempt(wanted, shape, outcome, snapshot, DEFAULT)
