"""Whom a ReplicaSet deletes first, as transcripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api.apps.v1 import ReplicaSet
from sampan.api.core.v1 import Container, ContainerStatus, Pod, PodCondition
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.control.pods import DELETION_COST
from sampan.controllers.replicaset.decide import REPLICA_SET, decide
from sampan.kinds.plan import Create
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pod(text: str) -> Pod:
    """`name key=value …`: node, phase, ready (age), cost, restarts, once, sidecar (of init containers), age (in seconds); `going`."""
    name, *words = text.split()
    args = dict(word.partition("=")[::2] for word in words)
    result = Pod(metadata=ObjectMeta(name=name, namespace="default", uid=name, creationTimestamp=ago(args.get("age", "100"))))
    result.spec.nodeName, result.status.phase = args.get("node", "n1"), args.get("phase", "Running")
    if args.get("node") == "none":
        result.spec.nodeName = ""
    if "cost" in args:
        result.metadata.annotations[DELETION_COST] = args["cost"]
    if "going" in args:
        result.metadata.deletionTimestamp = Time.of(NOW)
    ready = args.get("ready", args.get("age", "100"))
    status = "False" if ready == "no" else "True"
    result.status.conditions = [PodCondition(type="Ready", status=status, lastTransitionTime=None if ready == "no" else ago(ready))]
    result.status.containerStatuses = [ContainerStatus(name="c", restartCount=int(args.get("restarts", "0")))]
    result.spec.initContainers = [Container(name="once"), Container(name="sidecar", restartPolicy="Always")]
    result.status.initContainerStatuses = [ContainerStatus(name=name, restartCount=int(args.get(name, "0"))) for name in ("once", "sidecar")]
    return result


def ago(seconds: str) -> Time:
    return Time.of(NOW - timedelta(seconds=float(seconds)))


def play(block: Block) -> str:
    pods = [pod(text) for text in block.input.splitlines()]
    rs = ReplicaSet(metadata=ObjectMeta(name="web", namespace="default", uid="rs"))
    rs.spec.replicas = block.number("want")
    return render(decide(REPLICA_SET, rs, pods, pods if block.flag("related") else [], NOW))


def test_the_prefix_of_names_as_long_as_they_can_be_has_no_dash() -> None:
    # given
    rs = ReplicaSet(metadata=ObjectMeta(name="r" * 253, namespace="default", uid="rs"))
    rs.spec.replicas = 1
    # when
    made = decide(REPLICA_SET, rs, [], [], NOW).writes[0]
    # then
    assert isinstance(made, Create)
    assert made.object.metadata.generateName == "r" * 253


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)
