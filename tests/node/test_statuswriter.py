"""Pods' statuses on their way to a real server: what went is taken away, and a lost answer costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from controllers.harness import Failing
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import Pod, PodStatus
from sampan.api.errors import Conflict, Timeout
from sampan.api.resources import PODS
from sampan.node.statuswriter import RETRY_SECONDS, StatusWriter
from sampan.testing.server import RunningServer, running_server

BROKEN = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "not yet"}]}
WELL = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def status(value: dict[str, Any]) -> PodStatus:
    return codec.convert(PodStatus, value)


async def made(server: RunningServer) -> Pod:
    await server.client.create(PODS, codec.convert(Pod, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}), "default")
    return await server.client.get(PODS, "p", "default")


async def ready(server: RunningServer) -> tuple[str, str, str]:
    found = await server.client.get(PODS, "p", "default")
    return next((one.status, one.reason, one.message) for one in found.status.conditions if one.type == "Ready")


def run(test: Callable[[RunningServer, VirtualClock, Failing, StatusWriter], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server, Tasks() as tasks:
            client = Failing(server.client)
            await test(server, clock, client, StatusWriter(client, tasks, clock=clock))  # type: ignore[arg-type]

    asyncio.run(main())


def test_a_reason_that_went_is_taken_away() -> None:
    async def test(server: RunningServer, clock: VirtualClock, _: Failing, writer: StatusWriter) -> None:
        # given
        pod = await made(server)
        writer.put(pod, status(BROKEN))
        await clock.turns(20)
        assert await ready(server) == ("False", "ContainersNotReady", "not yet")
        # when
        writer.put(pod, status(WELL))
        await clock.turns(20)
        # then
        assert await ready(server) == ("True", "", "")

    run(test)


def test_a_status_whose_write_took_effect_without_an_answer_is_taken_back_all_the_same() -> None:
    async def test(server: RunningServer, clock: VirtualClock, client: Failing, writer: StatusWriter) -> None:
        # given a status that is written, and one after it whose answer is lost
        pod = await made(server)
        writer.put(pod, status(WELL))
        await clock.turns(20)

        def lost(verb: str, resource: Any, obj: Any) -> Timeout:
            client.fail = lambda *_: None
            return Timeout("the answer was lost")

        client.fail = lost
        writer.put(pod, status(BROKEN))
        await clock.turns(20)
        await server.client.patch(PODS, "p", "default", {"status": BROKEN}, subresource="status")
        # when things are as they were before it
        writer.put(pod, status(WELL))
        await clock.advance(RETRY_SECONDS)
        # then
        assert await ready(server) == ("True", "", "")

    run(test)


def test_a_conflict_is_tried_again_unless_the_name_belongs_to_another_pod() -> None:
    async def test(server: RunningServer, clock: VirtualClock, client: Failing, writer: StatusWriter) -> None:
        # given
        pod = await made(server)

        def refused(verb: str, resource: Any, obj: Any) -> Conflict:
            client.fail = lambda *_: None
            return Conflict("somebody was faster")

        # when
        client.fail = refused
        writer.put(pod, status(WELL))
        await clock.advance(RETRY_SECONDS)
        # then
        assert await ready(server) == ("True", "", "")
        # when another pod has the name
        await server.client.delete(PODS, "p", "default")
        await made(server)
        writer.put(pod, status(BROKEN))
        await clock.advance(RETRY_SECONDS * 3)
        # then nothing is written, nor tried any more
        assert not (await server.client.get(PODS, "p", "default")).status.conditions
        assert client.calls.count(("patch", "pods", "p")) == 3

    run(test)


def test_a_pod_that_is_forgotten_before_a_write_is_tried_again_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: RunningServer, clock: VirtualClock, client: Failing, writer: StatusWriter) -> None:
        # given a write that waits to be tried again
        pod = await made(server)
        client.fail = lambda *_: Timeout("not now")
        writer.put(pod, status(WELL))
        await clock.turns(20)
        client.fail = lambda *_: None
        # when
        writer.forget(pod.metadata.uid)
        await clock.advance(RETRY_SECONDS)
        await writer.flush(pod.metadata.uid)
        # then it is not
        assert client.calls == [("patch", "pods", "p")]
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    run(test)


def test_a_pod_that_is_forgotten_while_its_status_is_written_leaves_nothing() -> None:
    async def test(server: RunningServer, clock: VirtualClock, client: Failing, writer: StatusWriter) -> None:
        # given
        pod = await made(server)
        client.lose = lambda *_: writer.forget(pod.metadata.uid)
        writer.put(pod, status(WELL))
        await writer.flush(pod.metadata.uid)
        # when it is reported again
        writer.put(pod, status(WELL))
        await writer.flush(pod.metadata.uid)
        # then that is compared with what the pod says, not with what was written
        assert client.calls == [("patch", "pods", "p")] * 2

    run(test)


def test_what_others_wrote_over_it_is_written_again() -> None:
    async def test(server: RunningServer, clock: VirtualClock, _: Failing, writer: StatusWriter) -> None:
        # given a pod that is well, and the node controller that took its node for dead
        pod = await made(server)
        writer.put(pod, status(WELL))
        await clock.turns(20)
        told = await server.client.patch(PODS, "p", "default", {"status": BROKEN}, subresource="status")
        # when the node sees that
        writer.put(told, status(WELL))
        await clock.turns(20)
        # then
        assert await ready(server) == ("True", "", "")

    run(test)
