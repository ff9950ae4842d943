"""Steps of StatefulSets, as transcripts on `decide` alone.

    set replicas=3 policy=Parallel partition=1 unavailable=2 start=5 strategy=OnDelete
    pods: one a line, `NUMBER REVISION STATE`; REVISION is `old` or `new`, STATE one of ready, starting, failed, leaving, none

The output: what is written and told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api.apps.v1 import (
    ControllerRevision,
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetUpdateStrategy,
)
from sampan.api.core.v1 import Container, Pod, PodCondition, PodTemplateSpec
from sampan.api.meta.v1 import LabelSelector, ObjectMeta
from sampan.api.scalars import Time
from sampan.control import history
from sampan.controllers.statefulset.decide import Step, decide
from sampan.controllers.statefulset.pods import make_pod, to_look_at
from sampan.kinds.plan import Create
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def template(image: str) -> PodTemplateSpec:
    made = PodTemplateSpec(metadata=ObjectMeta(labels={"app": "web"}))
    made.spec.containers = [Container(name="c", image=image)]
    return made


def a_set(block: Block) -> StatefulSet:
    sts = StatefulSet(metadata=ObjectMeta(name="web", namespace="default", uid="s", generation=1))
    spec = sts.spec
    spec.replicas, spec.template, spec.selector = block.number("replicas", 3), template("new"), LabelSelector(matchLabels={"app": "web"})
    spec.podManagementPolicy = block.get("policy", "OrderedReady")
    spec.minReadySeconds = block.number("seconds")
    if "start" in block.args:
        spec.ordinals = StatefulSetOrdinals(start=block.number("start"))
    unavailable = block.get("unavailable")
    rolling = RollingUpdateStatefulSetStrategy(partition=block.number("partition"))
    rolling.maxUnavailable = int(unavailable) if unavailable.isdigit() else unavailable or None
    strategy = block.get("strategy", "RollingUpdate")
    spec.updateStrategy = StatefulSetUpdateStrategy(type=strategy, rollingUpdate=rolling if strategy == "RollingUpdate" else None)
    return sts


def revision(sts: StatefulSet, name: str) -> ControllerRevision:
    return ControllerRevision(metadata=ObjectMeta(name=name), data=history.template_data(template(name)), revision=1)


def a_pod(sts: StatefulSet, number: int, of: str, state: str) -> Pod:
    pod = make_pod(sts, template(of), of, number)
    pod.metadata.uid = f"web-{number}"
    pod.status.phase = {"failed": "Failed", "starting": "Pending"}.get(state, "Running")
    if state in ("ready", "leaving"):
        pod.status.conditions = [PodCondition(type="Ready", status="True", lastTransitionTime=Time("2026-01-01T11:59:55Z"))]
    if state == "leaving":
        pod.metadata.deletionTimestamp = Time("2026-01-01T11:59:59Z")
    return pod


def play(block: Block) -> str:
    sts = a_set(block)
    pods = [a_pod(sts, int(number), of, state) for number, of, state in (line.split() for line in block.input.splitlines()[1:])]
    plan = decide(Step(sts, revision(sts, "old"), revision(sts, "new"), pods, {}, NOW))
    made = [f"{write.object.metadata.name} {history.HASH_LABEL}={write.object.metadata.labels[history.HASH_LABEL]}"
            for write in plan.writes if isinstance(write, Create)]
    return "\n".join([render(plan), *made])


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)


def test_a_set_that_wants_as_many_pods_as_there_are_numbers_makes_some_at_a_time() -> None:
    # given
    sts = a_set(Block("set", 1, {"replicas": str(2**31 - 1), "policy": "Parallel"}))
    # when
    numbers = to_look_at(sts, {3, 2_000_000_000})
    # then
    assert numbers == [*range(501), 2_000_000_000]
    assert len(decide(Step(sts, revision(sts, "old"), revision(sts, "new"), (), {}, NOW)).writes) == 500
