"""When what a Service publishes last changed for its cause."""

from __future__ import annotations

from sampan.api.core.v1 import Pod, PodCondition, Service
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.control.key import Key
from sampan.control.serving import TriggerTimes


def at(minute: int) -> Time:
    return Time(f"2026-01-01T00:{minute:02}:00Z")


SERVICE = Service(metadata=ObjectMeta(name="web", namespace="default", creationTimestamp=at(0)))


def pod(name: str, minute: int) -> Pod:
    found = Pod(metadata=ObjectMeta(name=name, namespace="default"))
    found.status.conditions = [PodCondition(type="Ready", status="True", lastTransitionTime=at(minute))]
    return found


def test_a_new_service_began_with_itself() -> None:
    assert TriggerTimes().since_last(SERVICE, [pod("a", 5)]) == at(0)


def test_of_several_changes_the_earliest_counts() -> None:
    times = TriggerTimes()
    times.since_last(SERVICE, [pod("a", 5)])
    assert times.since_last(SERVICE, [pod("a", 9), pod("b", 7), pod("c", 8)]) == at(7)
    assert times.since_last(SERVICE, [pod("a", 9), pod("b", 7), pod("c", 8)]) == ""


def test_a_deletion_and_a_clock_that_went_back_have_no_time() -> None:
    times = TriggerTimes()
    times.since_last(SERVICE, [pod("a", 5), pod("b", 6)])
    assert times.since_last(SERVICE, [pod("a", 5)]) == ""
    assert times.since_last(SERVICE, [pod("a", 3)]) == ""


def test_a_service_that_comes_again_begins_anew() -> None:
    times = TriggerTimes()
    times.since_last(SERVICE, [pod("a", 5)])
    times.forget(Key("default", "web"))
    assert times.since_last(SERVICE, [pod("a", 5)]) == at(0)
