"""Generations and conditions."""

from __future__ import annotations

from sampan.api.core.v1 import NodeCondition, ReplicationController, ReplicationControllerSpec
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.kinds import meta


def controller(replicas: int, generation: int = 0) -> ReplicationController:
    return ReplicationController(metadata=ObjectMeta(name="c", generation=generation), spec=ReplicationControllerSpec(replicas=replicas))


def test_the_generation_moves_only_when_the_spec_changes() -> None:
    old, same, other = controller(1, generation=4), controller(1, generation=99), controller(2)
    meta.bump_generation(same, old)
    meta.bump_generation(other, old)
    assert (same.metadata.generation, other.metadata.generation) == (4, 5)


def test_a_status_write_keeps_the_spec_and_its_generation() -> None:
    old, new = controller(1, generation=4), controller(7, generation=5)
    meta.keep_spec(new, old)
    assert (new.spec.replicas, new.metadata.generation) == (1, 4)


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    # given a node that has been ready for a while
    was = [NodeCondition(type="Ready", status="True", lastTransitionTime=Time("2020-01-01T00:00:00Z"))]
    # when it says so again, and then that it is not
    again = meta.with_condition(was, NodeCondition(type="Ready", status="True", lastTransitionTime=Time("2021-01-01T00:00:00Z")))
    broken = meta.with_condition(was, NodeCondition(type="Ready", status="False", lastTransitionTime=Time("2021-01-01T00:00:00Z")))
    # then only the change has a new time
    assert [one.lastTransitionTime for one in (*again, *broken)] == ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]
    assert meta.is_true(again, "Ready")
    assert not meta.is_true(broken, "Ready")
    assert meta.condition(was, "DiskPressure") is None
    assert meta.without_condition(was, "Ready") == []
