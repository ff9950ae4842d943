"""Steps of a rollout, as transcripts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controllers.plans import render
from sampan.api.apps.v1 import Deployment, DeploymentStrategy, ReplicaSet, RollingUpdateDeployment
from sampan.api.core.v1 import Container, PodTemplateSpec
from sampan.api.meta.v1 import LabelSelector, ObjectMeta
from sampan.api.resources import DEPLOYMENTS
from sampan.api.scalars import Time
from sampan.controllers.deployment.decide import creation_failed, decide
from sampan.controllers.deployment.replicasets import REVISION, ROLLBACK_TO, last_revision, make_new, new_annotations
from sampan.kinds.plan import Plan
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def template(image: str) -> PodTemplateSpec:
    result = PodTemplateSpec(metadata=ObjectMeta(labels={"app": "web"}))
    result.spec.containers = [Container(name="c", image=image)]
    return result


def amount(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


class Play:
    def __init__(self) -> None:
        self.deployment = Deployment()
        self.sets: list[ReplicaSet] = []

    def handle(self, block: Block) -> str:
        return getattr(self, block.name)(block)  # type: ignore[no-any-return]

    def deployment_(self, block: Block) -> None:
        found = Deployment(metadata=ObjectMeta(name="web", namespace="default", uid="d", generation=1))
        found.spec.replicas, found.spec.template = block.number("replicas"), template(block.get("image", "new"))
        found.spec.selector, found.spec.paused = LabelSelector(matchLabels={"app": "web"}), block.flag("paused")
        found.spec.revisionHistoryLimit = block.number("history", 10)
        rolling = RollingUpdateDeployment(maxSurge=amount(block.get("surge", "25%")), maxUnavailable=amount(block.get("unavailable", "25%")))
        found.spec.strategy = DeploymentStrategy(type=block.get("strategy", "RollingUpdate"), rollingUpdate=rolling)
        found.spec.progressDeadlineSeconds = block.number("deadline") or None
        for key in ("rollback", "note"):
            if key in block.args:
                found.metadata.annotations[{"rollback": ROLLBACK_TO}.get(key, key)] = block.get(key)
        self.deployment, self.sets = found, []

    def given(self, block: Block) -> str:
        """A Deployment, and its ReplicaSets by their images: `image size available (desired)`."""
        self.deployment_(block)
        for number, text in enumerate(block.input.splitlines()):
            image, size, available, *desired = text.split()
            rs = ReplicaSet(metadata=ObjectMeta(name=image, namespace="default", uid=image, creationTimestamp=Time(f"2026-01-01T0{number}:00:00Z")))
            rs.spec.replicas = rs.status.replicas = int(size)
            rs.status.availableReplicas = rs.status.readyReplicas = int(available)
            rs.spec.template = template(image)
            rs.metadata.annotations |= {"deployment.kubernetes.io/revision": str(number + 1), "of": image}
            if desired:
                rs.metadata.annotations["deployment.kubernetes.io/desired-replicas"] = desired[0]
                rs.metadata.annotations["deployment.kubernetes.io/max-replicas"] = desired[1]
            self.sets.append(rs)
        return self.step(block)

    def step(self, _: Block) -> str:
        plan = decide(self.deployment, self.sets, {}, NOW)
        shown = Plan(tuple(write for write in plan.writes if getattr(write, "subresource", "") == ""), None, plan.events)
        status = next((write.object.status for write in plan.writes if _is_status(write)), None)
        counts = f"\nstatus replicas={status.replicas} updated={status.updatedReplicas} available={status.availableReplicas}" if status else ""
        sizes = [f"{write.object.metadata.name}={write.object.spec.replicas}" for write in shown.writes if hasattr(write, "object")]
        for write in plan.writes:
            if getattr(write, "resource", None) is DEPLOYMENTS:
                counts += _about(write.object)  # type: ignore[union-attr]
        return render(shown) + ("\nsizes " + " ".join(sizes) if sizes else "") + counts


def _about(deployment: Deployment) -> str:
    progress = [f"\nprogressing {one.reason}: {one.message}" for one in deployment.status.conditions if one.type == "Progressing"]
    shown = {key: value for key, value in deployment.metadata.annotations.items() if key != REVISION}
    image = deployment.spec.template.spec.containers[0].image
    return "".join(progress) + (f"\nannotations {shown} image {image}" if shown else "")


def _is_status(write: Any) -> bool:
    return getattr(write, "resource", None) is DEPLOYMENTS and getattr(write, "subresource", "") == "status"


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)


def a_deployment() -> Deployment:
    play = Play()
    play.deployment_(Block("given", 1, {"replicas": "1", "deadline": "600"}))
    return play.deployment


def test_a_creation_that_is_refused_is_told_and_shown_once() -> None:
    # given
    deployment = a_deployment()
    # when
    first = creation_failed(deployment, "web-1", "exceeded quota", NOW)
    deployment.status = first.writes[0].object.status  # type: ignore[union-attr]
    second = creation_failed(deployment, "web-1", "exceeded quota", NOW)
    # then
    shown = deployment.status.conditions[0]
    assert (shown.type, shown.status, shown.reason) == ("Progressing", "False", "ReplicaSetCreateError")
    assert shown.message == first.events[0].message == 'Failed to create new replica set "web-1": exceeded quota'
    assert (second.writes, second.events) == ((), first.events)


def test_a_name_too_long_for_its_hash_is_cut() -> None:
    # given
    deployment = a_deployment()
    deployment.metadata.name = "d" * 253
    # when
    name = make_new(deployment, []).metadata.name
    # then
    assert len(name) == 253
    assert set(name.partition("-")[0]) == {"d"}


def test_two_of_the_highest_revision_are_each_others_last() -> None:
    def of(number: str) -> ReplicaSet:
        return ReplicaSet(metadata=ObjectMeta(annotations={REVISION: number}))

    assert last_revision([of("3"), of("5"), of("5")]) == 5
    assert last_revision([of("5"), of("2"), of("4")]) == 4
    assert last_revision([of("1")]) == 0


def test_a_revision_that_cannot_be_read_is_left_alone() -> None:
    # given
    deployment, rs = a_deployment(), ReplicaSet(metadata=ObjectMeta(annotations={REVISION: "x"}))
    deployment.metadata.annotations = {"a": "b"}
    # then
    assert new_annotations(deployment, rs, 4) == {REVISION: "x"}
