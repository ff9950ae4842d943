"""Where a claim stands whose volume the node enlarges, and what is promised to it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.controllers.expand.enlarge import (
    PRE_RESIZE_CAPACITY,
    Next,
    begun,
    finished,
    first,
    pending,
    remembered,
    size,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_claim(wants: str, has: str, stage: str = "", promised: str = "", conditions: tuple[str, ...] = ()) -> PersistentVolumeClaim:
    status = {"capacity": {"storage": has}, "conditions": [{"type": one, "status": "True"} for one in conditions]}
    if stage:
        status["allocatedResourceStatuses"] = {"storage": stage}
    if promised:
        status["allocatedResources"] = {"storage": promised}
    return codec.convert(PersistentVolumeClaim, {
        "metadata": {"name": "data", "namespace": "ns"}, "spec": {"resources": {"requests": {"storage": wants}}}, "status": status})


def a_volume(holds: str, before: str = "") -> PersistentVolume:
    annotations = {PRE_RESIZE_CAPACITY: before} if before else {}
    return codec.convert(PersistentVolume, {"metadata": {"name": "v", "annotations": annotations}, "spec": {
        "capacity": {"storage": holds}, "flexVolume": {"driver": "example.com/lvm"}}})


@pytest.mark.parametrize(("claim", "volume", "expected"), [
    (a_claim("2Gi", "1Gi"), a_volume("1Gi"), Next.BEGIN),
    # cut short before the volume was written, and after that
    (a_claim("2Gi", "1Gi", "ControllerResizeInProgress", "2Gi"), a_volume("1Gi"), Next.BEGIN),
    (a_claim("2Gi", "1Gi", "ControllerResizeInProgress", "2Gi"), a_volume("2Gi"), Next.BEGIN),
    # the node's turn; and given another try when that could not
    (a_claim("2Gi", "1Gi", "NodeResizePending", "2Gi"), a_volume("2Gi", "1Gi"), Next.NOTHING),
    (a_claim("2Gi", "1Gi", "NodeResizeInProgress", "2Gi"), a_volume("2Gi", "1Gi"), Next.NOTHING),
    (a_claim("2Gi", "1Gi", "NodeResizeInfeasible", "2Gi"), a_volume("2Gi", "1Gi"), Next.PENDING),
    # the node is done
    (a_claim("2Gi", "2Gi"), a_volume("2Gi", "1Gi"), Next.CLEAR),
    (a_claim("1Gi", "1Gi"), a_volume("2Gi", "1Gi"), Next.BEGIN),
])
def test_the_first_step_follows_from_what_both_say(claim: PersistentVolumeClaim, volume: PersistentVolume, expected: Next) -> None:
    assert first(claim, volume) is expected


@pytest.mark.parametrize(("stage", "holds", "expected"), [
    ("NodeResizePending", "1Gi", "3Gi"), ("ControllerResizeInfeasible", "1Gi", "2Gi"), ("", "1Gi", "2Gi"),
    ("ControllerResizeInfeasible", "2Gi", "3Gi"), ("", "2Gi", "3Gi")])
def test_what_was_promised_is_kept_while_it_is_under_way(stage: str, holds: str, expected: str) -> None:
    assert size(a_claim("2Gi", "1Gi", stage, "3Gi"), a_volume(holds)) == expected


def test_conditions_of_resizing_replace_one_another_and_leave_the_others() -> None:
    # given
    claim = a_claim("2Gi", "1Gi", conditions=("ModifyingVolume", "NodeResizeError"))
    # when
    claim = begun(claim, a_volume("1Gi"), NOW).object
    # then
    assert [one.type for one in claim.status.conditions] == ["ModifyingVolume", "Resizing"]
    # when
    claim = pending(pending(claim, NOW).object, NOW).object
    # then
    assert [one.type for one in claim.status.conditions] == ["ModifyingVolume", "Resizing", "FileSystemResizePending"]
    # when
    update, event = finished(claim, claim.spec.resources.requests["storage"])
    # then
    assert [one.type for one in update.object.status.conditions] == ["ModifyingVolume"]
    assert update.object.status.allocatedResourceStatuses == {}
    assert event.message == "ExpandVolume succeeded for volume ns/data"


def test_the_size_of_before_is_remembered_once() -> None:
    write = remembered(a_claim("2Gi", "1Gi"), a_volume("2Gi"))
    assert write is not None
    assert write.object.metadata.annotations == {PRE_RESIZE_CAPACITY: "1Gi"}
    assert remembered(a_claim("3Gi", "2Gi"), write.object) is None
