"""Recording events: repeats, similar ones, spam, outages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count

from control.fake import FakeClient
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Event, ObjectReference, Pod
from sampan.api.errors import ServiceUnavailable
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import EVENTS
from sampan.control.events import IN_FLIGHT, MOST_WAITING, EventRecorder, reference_to
from sampan.lib.clock import Identity

POD = Pod(metadata=ObjectMeta(name="web", namespace="shop", uid="u1"))


def run(scenario: Callable[[FakeClient, EventRecorder, VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock, identity = VirtualClock(), Identity(random.Random(1))
        client = FakeClient(clock, identity)
        recorder = EventRecorder(client, "tester", clock=clock, identity=identity)
        async with Tasks() as tasks:
            tasks.start(recorder.run(), "recorder")
            await scenario(client, recorder, clock)

    asyncio.run(main())


async def written(client: FakeClient, clock: VirtualClock, turns: int = 200) -> list[Event]:
    await clock.turns(turns)
    return list(client.objects.get(EVENTS, {}).values())


def test_an_event_says_what_who_and_when() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        recorder.record(POD, "Normal", "Started", "it runs")
        event = (await written(client, clock))[0]
        about = event.involvedObject
        assert (about.kind, about.apiVersion, about.namespace, about.name, about.uid) == ("Pod", "v1", "shop", "web", "u1")
        assert (event.metadata.namespace, event.count, event.source.component, event.reportingComponent) == ("shop", 1, "tester", "tester")
        assert event.firstTimestamp == event.lastTimestamp == "2026-01-01T00:00:00Z"
        assert recorder.idle()

    run(scenario)


def test_a_repeat_raises_the_count_of_the_first() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        for _ in range(3):
            recorder.record(POD, "Warning", "BackOff", "again")
            await clock.advance(60)
        events = await written(client, clock)
        assert [(event.count, event.lastTimestamp) for event in events] == [(3, "2026-01-01T00:02:00Z")]

    run(scenario)


def test_many_similar_events_become_one_combined() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        for number in range(15):
            recorder.record(POD, "Normal", "Created", f"pod {number}")
        events = await written(client, clock)
        combined = [event for event in events if event.message.startswith("(combined from similar events): ")]
        assert len(events) == 10
        assert [event.count for event in combined] == [6]
        assert {event.reportingComponent for event in combined} == {""}
        assert {event.source.component for event in combined} == {event.source.component for event in events}

    run(scenario)


def test_events_about_parts_of_one_object_are_similar() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        for number in range(12):
            about = ObjectReference(kind="Pod", apiVersion="v1", namespace="shop", name="web", uid="u", fieldPath=f"spec.containers{{c{number}}}")
            recorder.record(about, "Normal", "Started", f"Started container c{number}")
        assert len(await written(client, clock)) == 10

    run(scenario)


def test_one_object_can_not_flood_the_server() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        for number in range(100):
            recorder.record(POD, "Normal", f"Reason{number}", "x")
        assert len(await written(client, clock)) == 25
        await clock.advance(301)
        recorder.record(POD, "Normal", "Later", "x")
        assert len(await written(client, clock)) == 26

    run(scenario)


def test_a_flood_of_warnings_hides_no_good_news() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        for number in range(100):
            recorder.record(POD, "Warning", f"Reason{number}", "x")
        recorder.record(POD, "Normal", "Rescaled", "x")
        events = await written(client, clock)
        assert [event.reason for event in events if event.type == "Normal"] == ["Rescaled"]
        assert len(events) == 26

    run(scenario)


def pod(number: int) -> Pod:
    return Pod(metadata=ObjectMeta(name=f"web-{number}", namespace="shop", uid=f"u{number}"))


def test_a_burst_about_thousands_of_objects_loses_nothing() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        for number in range(4000):
            recorder.record(pod(number), "Normal", "Scheduled", "assigned")
        assert len(await written(client, clock, turns=3000)) == 4000
        assert recorder.dropped == 0

    run(scenario)


def test_events_give_way_while_their_component_is_busy_but_not_for_ever() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        busy, numbers = [True], count()
        recorder.give_way(lambda: busy[0])
        # given a server that answers nothing for a while
        client.answers.clear()

        async def under_way(more: int) -> int:
            for _ in range(more):
                name = f"p{next(numbers)}"
                recorder.record(Pod(metadata=ObjectMeta(name=name, namespace="shop", uid=name)), "Normal", "Started", "it runs")
            await clock.turns(200)
            return len(client.calls)

        # when / then: one at a time, more where many wait, all once there is nothing more important
        assert await under_way(10) == 1
        assert await under_way(MOST_WAITING // 2) == 1 + IN_FLIGHT // 2 - 1
        busy[0] = False
        assert await under_way(1) == IN_FLIGHT
        # and none is lost
        client.answers.set()
        assert len(await written(client, clock, 20_000)) == 10 + MOST_WAITING // 2 + 1

    run(scenario)


def test_repeats_of_what_still_waits_are_one_write() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        for _ in range(20):
            recorder.record(POD, "Warning", "BackOff", "again")
        (event,) = await written(client, clock)
        assert (event.count, recorder.idle()) == (20, True)
        recorder.record(POD, "Warning", "BackOff", "again")
        assert [event.count for event in await written(client, clock)] == [21]

    run(scenario)


def test_an_outage_delays_events_and_drops_the_newest_when_too_many_wait() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        client.fail = lambda verb, resource, obj: ServiceUnavailable("down")
        for number in range(MOST_WAITING + 500):
            recorder.record(pod(number), "Normal", "Scheduled", "assigned")
        assert recorder.dropped == 500
        await clock.advance(5)
        assert await written(client, clock) == []
        client.fail = lambda verb, resource, obj: None
        await clock.advance(30)
        events = await written(client, clock, turns=3000)
        assert len(events) == MOST_WAITING
        assert all(int(event.involvedObject.name[4:]) < MOST_WAITING for event in events)

    run(scenario)


def test_two_components_may_tell_of_one_object_at_the_same_instant() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        other = EventRecorder(client, "other", clock=clock, identity=Identity(random.Random(2)))
        async with Tasks() as tasks:
            tasks.start(other.run(), "other")
            recorder.record(POD, "Normal", "Mine", "x")
            other.record(POD, "Normal", "Yours", "y")
            await clock.turns(100)
            other.record(POD, "Normal", "Yours", "y")
            events = await written(client, clock)
            assert sorted((event.reason, event.count) for event in events) == [("Mine", 1), ("Yours", 2)]

    run(scenario)


def test_an_object_whose_event_is_refused_does_not_hold_up_others() -> None:
    async def scenario(client: FakeClient, recorder: EventRecorder, clock: VirtualClock) -> None:
        slow = pod(0)
        client.fail = lambda verb, resource, obj: ServiceUnavailable("down") if getattr(obj, "involvedObject", slow).name == "web-0" else None
        recorder.record(slow, "Normal", "Scheduled", "assigned")
        for number in range(1, 50):
            recorder.record(pod(number), "Normal", "Scheduled", "assigned")
        assert len(await written(client, clock)) == 49
        assert not recorder.idle()

    run(scenario)


def test_a_reference_takes_the_kind_from_the_class() -> None:
    reference = reference_to(POD)
    assert (reference.kind, reference.apiVersion) == ("Pod", "v1")
    custom = reference_to({"kind": "Boat", "apiVersion": "x.io/v1", "metadata": {"name": "b", "namespace": "n"}})
    assert (custom.kind, custom.name) == ("Boat", "b")
