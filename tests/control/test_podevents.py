"""What is told about pods that were created or deleted, or were not."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api.apps.v1 import ReplicaSet
from sampan.api.core.v1 import Pod
from sampan.api.errors import Forbidden
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PODS
from sampan.control.podevents import pod_event
from sampan.kinds.plan import Create, Delete, Patch, Write

OWNER = ReplicaSet(metadata=ObjectMeta(name="web", namespace="default"))
POD = Pod(metadata=ObjectMeta(name="web-x", namespace="default"))
DELETION = Delete(PODS, "default", "web-x", "uid")


@pytest.mark.parametrize(("write", "answer", "told"), [
    (Create(PODS, POD), POD, ("Normal", "SuccessfulCreate", "Created pod: web-x")),
    (Create(PODS, POD), Forbidden("exceeded quota"), ("Warning", "FailedCreate", "Error creating: exceeded quota")),
    (DELETION, None, ("Normal", "SuccessfulDelete", "Deleted pod: web-x")),
    (DELETION, Forbidden("no"), ("Warning", "FailedDelete", "Error deleting: no")),
])
def test_the_owner_tells_of_creations_and_deletions(write: Write, answer: Any, told: tuple[str, str, str]) -> None:
    # when
    event = pod_event(OWNER, write, answer)
    # then
    assert event is not None
    assert event.about is OWNER
    assert (event.kind, event.reason, event.message) == told


def test_other_writes_are_not_told_of() -> None:
    assert pod_event(OWNER, Patch(PODS, "default", "web-x", {}), POD) is None
