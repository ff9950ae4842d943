"""The node's object and its heartbeats, against the real API server."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.coordination.v1 import Lease
from sampan.api.core.v1 import Node
from sampan.api.resources import LEASES, NODES
from sampan.apiserver.flowcontrol.inflight import too_many
from sampan.apiserver.request import ADMIN
from sampan.client.inprocess import AsgiApp, InProcessClient, Message
from sampan.lib.clock import Identity
from sampan.node.config import NodeSettings
from sampan.node.registration import RENEW_JITTER, TICK_SECONDS, Registration, next_beat_seconds
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.testing import waiting
from sampan.testing.server import running_server


class World:
    """A node's registration at work on a server of its own."""

    def __init__(self, client: InProcessClient, clock: VirtualClock) -> None:
        identity = Identity(random.Random(3))
        self.client, self.clock = client, clock
        self.busy: Busy | None = None
        self.runtime = SimulatedRuntime(clock, identity)
        self.registration = Registration(client, self.runtime, NodeSettings("n1", Path("/nowhere")), clock=clock, identity=identity)

    async def lease(self) -> Lease:
        return await self.client.get(LEASES, "n1", "kube-node-lease")

    async def node(self) -> Node:
        return await self.client.get(NODES, "n1")


class Busy:
    """A server that asks the next ones who write leases to come back later."""

    def __init__(self, app: AsgiApp) -> None:
        self._app, self.told = app, list[int]()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["method"] == "PUT" and self.told:
            await send({"response": too_many(self.told.pop())})
        else:
            await self._app(scope, receive, send)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    clock = VirtualClock()
    async with running_server(clock=clock) as server, Tasks() as tasks:
        busy = Busy(server.app)
        made = World(InProcessClient(busy, ADMIN, clock=clock), clock)
        made.busy = busy
        await made.registration.register()
        tasks.start(made.registration.run(), "registration")
        await clock.turns(20)
        yield made
        await tasks.stop()


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_a_beat_is_due_on_a_tick_within_the_jitter(chance: float) -> None:
    # given a clock that stands anywhere
    now = 1234.5678
    # when
    due = now + next_beat_seconds(now, 10.0, chance)
    # then
    assert round(due / TICK_SECONDS, 6) == round(due / TICK_SECONDS)
    assert 10.0 - TICK_SECONDS < due - now <= 10.0 * (1 + RENEW_JITTER)


def test_a_lease_is_made_for_the_node_and_renewed_every_quarter_of_its_time() -> None:
    async def check() -> None:
        async with world() as made:
            lease = await made.lease()
            assert lease.spec.holderIdentity == "n1"
            assert lease.metadata.ownerReferences[0].uid == (await made.node()).metadata.uid
            # when three times a quarter of the lease's time goes by
            before = lease.spec.renewTime
            await made.clock.advance(32)
            # then it was renewed, and holds
            after = (await made.lease()).spec.renewTime
            assert before is not None
            assert after is not None
            assert (after.moment() - before.moment()).total_seconds() > 29

    waiting.run(check())


def test_a_lease_that_somebody_else_wrote_or_deleted_is_renewed_at_the_same_beat() -> None:
    async def check() -> None:
        async with world() as made:
            # given a lease with another holder, which the node has not seen
            lease = await made.lease()
            await made.client.patch(LEASES, "n1", "kube-node-lease", {"spec": {"holderIdentity": "somebody"}})
            # when
            await made.clock.advance(12)
            # then
            assert (await made.lease()).spec.holderIdentity == "n1"
            # given that it is deleted
            await made.client.delete(LEASES, "n1", "kube-node-lease")
            # when
            await made.clock.advance(12)
            # then
            assert (await made.lease()).metadata.uid != lease.metadata.uid

    waiting.run(check())


def test_a_heartbeat_that_had_to_wait_is_followed_by_one_that_tells_the_time() -> None:
    async def check() -> None:
        async with world() as made:
            assert made.busy is not None
            # given a server that lets the next heartbeat wait for longer than there is between two
            made.busy.told = [25]
            # when
            await made.clock.advance(10.4 + 25 + 1)
            # then the lease tells of now, not of when the server was asked first
            renewed = (await made.lease()).spec.renewTime
            assert made.busy.told == []
            assert renewed is not None
            assert (made.clock.now() - renewed.moment()).total_seconds() < 2

    waiting.run(check())


def test_the_status_is_written_when_something_changed_or_minutes_went_by() -> None:
    async def check() -> None:
        async with world() as made:
            # given a node that nothing happens to
            version = (await made.node()).metadata.resourceVersion
            await made.clock.advance(200)
            assert (await made.node()).metadata.resourceVersion == version
            # when an image is pulled
            await made.runtime.pull_image("registry.example/web:1")
            await made.clock.advance(12)
            # then
            node = await made.node()
            assert [(image.names or [""])[-1] for image in node.status.images] == ["registry.example/web:1"]
            # when another takes its place
            await made.runtime.remove_image("registry.example/web:1")
            await made.runtime.pull_image("registry.example/web:2")
            await made.clock.advance(12)
            # then as many images are not the same images
            node = await made.node()
            assert [(image.names or [""])[-1] for image in node.status.images] == ["registry.example/web:2"]
            # when five minutes go by
            await made.clock.advance(330)
            # then
            assert (await made.node()).metadata.resourceVersion != node.metadata.resourceVersion

    waiting.run(check())
