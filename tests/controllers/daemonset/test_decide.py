"""Steps of DaemonSets, as transcripts on `manage`, `roll` and `status`.

    set surge=1 unavailable=1 seconds=10 strategy=OnDelete
    nodes: one a line, `NAME PODS…`; before the pods may stand `!EFFECT` for a taint that is not tolerated, or `-` for a node that is not selected;
           a pod is `NAME=HASH:STATE`, HASH `old` or `new`, STATE one of ready (for five seconds), steady (for an hour), starting,
           failed, succeeded, leaving, over (it has succeeded and is being deleted); `gone: PODS…` is a node that is no more

The output: what is written and told, then the status. An update is rolled when nothing else is to be done, as the loop does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api.apps.v1 import DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from sampan.api.core.v1 import Container, Node, Pod, PodCondition, PodTemplateSpec, Taint, Toleration
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.control.history import HASH_LABEL
from sampan.controllers.daemonset.decide import look, manage, node_of, pod_spec, roll, status
from sampan.kinds.plan import Create, Update
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_set(block: Block) -> DaemonSet:
    made = DaemonSet(metadata=ObjectMeta(name="d", namespace="default", uid="d", generation=1))
    template = PodTemplateSpec(metadata=ObjectMeta(labels={"app": "d"}))
    template.spec.containers, template.spec.nodeSelector = [Container(name="c", image="i")], {"pool": "d"}
    made.spec.template, made.spec.minReadySeconds = template, block.number("seconds")
    kind = block.get("strategy", "RollingUpdate")
    rolling = RollingUpdateDaemonSet(maxSurge=amount(block.get("surge", "0")), maxUnavailable=amount(block.get("unavailable", "1")))
    made.spec.updateStrategy = DaemonSetUpdateStrategy(type=kind, rollingUpdate=rolling if kind == "RollingUpdate" else None)
    return made


def amount(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def a_pod(text: str, node: str, number: int) -> Pod:
    name, _, rest = text.partition("=")
    of, _, state = rest.partition(":")
    pod = Pod(metadata=ObjectMeta(name=name, namespace="default", uid=name, labels={HASH_LABEL: of},
                                  creationTimestamp=Time(f"2026-01-01T11:00:{number:02}Z")))
    pod.spec.nodeName = node
    pod.status.phase = {"failed": "Failed", "succeeded": "Succeeded", "over": "Succeeded", "starting": "Pending"}.get(state, "Running")
    if state in ("ready", "steady", "leaving"):
        since = Time("2026-01-01T11:59:55Z" if state == "ready" else "2026-01-01T11:00:00Z")
        pod.status.conditions = [PodCondition(type="Ready", status="True", lastTransitionTime=since)]
    if state in ("leaving", "over"):
        pod.metadata.deletionTimestamp = Time("2026-01-01T12:00:00Z")
    return pod


class Play:
    def __init__(self) -> None:
        self.patient: set[str] = set()

    def handle(self, block: Block) -> str:
        nodes, pods = [], []
        for line in block.input.splitlines()[1:]:
            name, *found = line.split()
            node = Node(metadata=ObjectMeta(name=name.rstrip(":"), labels={"pool": "d"}))
            if found and found[0] == "-":
                node.metadata.labels, found = {}, found[1:]
            elif found and found[0].startswith("!"):
                node.spec.taints, found = [Taint(key="k", effect=found[0][1:])], found[1:]
            pods += [a_pod(text, node.metadata.name, len(pods) + number) for number, text in enumerate(found)]
            if name != "gone:":
                nodes.append(node)
        state = look(a_set(block), pods, nodes, "new", NOW)
        plan = manage(state, lambda node: 7.0 if block.get("patience") == node else 0.0)
        if not plan.writes and state.ds.spec.updateStrategy.type == "RollingUpdate":
            plan = type(plan)(roll(state).writes, plan.requeue_after_seconds, plan.events)
        made = [f"  for {node_of(one.object)}" for one in plan.writes if isinstance(one, Create)]
        after = status(state)
        [write] = after.writes
        assert isinstance(write, Update)
        new = write.object.status
        counts = (f"desired={new.desiredNumberScheduled} current={new.currentNumberScheduled} updated={new.updatedNumberScheduled} "
                  f"ready={new.numberReady} available={new.numberAvailable} misscheduled={new.numberMisscheduled}")
        again = [f"status again in {after.requeue_after_seconds:g} s"] if after.requeue_after_seconds is not None else []
        return "\n".join([render(plan), *made, counts, *again])


def test_tolerations_of_the_template_stay_unless_they_are_those_of_daemons() -> None:
    # given tolerations like the ones that every daemon has: with an end, with a value, for all effects
    ds = DaemonSet()
    ds.spec.template.spec.tolerations = [
        Toleration(key="node.kubernetes.io/not-ready", operator="Exists", effect="NoExecute", tolerationSeconds=30),
        Toleration(key="node.kubernetes.io/unreachable", operator="Equal", value="x", effect="NoExecute"),
        Toleration(key="node.kubernetes.io/disk-pressure", operator="Exists")]
    # when
    found = [(one.key.partition("/")[2], one.operator, one.effect, one.tolerationSeconds) for one in pod_spec(ds).tolerations]
    # then only the first is one of them: it has no end
    assert found == [
        ("not-ready", "Exists", "NoExecute", None), ("unreachable", "Equal", "NoExecute", None), ("disk-pressure", "Exists", "", None),
        ("unreachable", "Exists", "NoExecute", None), ("disk-pressure", "Exists", "NoSchedule", None), ("memory-pressure", "Exists", "NoSchedule", None),
        ("pid-pressure", "Exists", "NoSchedule", None), ("unschedulable", "Exists", "NoSchedule", None)]


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)
