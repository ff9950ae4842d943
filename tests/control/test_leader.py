"""Leader election: one leads, another takes over, a lost leader stops."""

from __future__ import annotations

import asyncio
import random

import pytest

from control.fake import FakeClient
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import ServiceUnavailable
from sampan.api.resources import LEASES
from sampan.control.key import Key
from sampan.control.leader import ElectionSettings, LeaderElector, LostLeadership
from sampan.lib.clock import Identity


class Candidate:
    def __init__(self, client: FakeClient, clock: VirtualClock, name: str) -> None:
        self.works = 0
        self.elector = LeaderElector(client, ElectionSettings(holder=name, name="boss"), clock=clock, identity=Identity(random.Random(1)))

    async def work(self) -> None:
        self.works += 1
        await asyncio.Event().wait()

    async def run(self) -> None:
        await self.elector.run(self.work)


def test_only_one_works_and_the_other_follows_at_once_when_it_releases() -> None:
    async def main() -> None:
        clock = VirtualClock()
        client = FakeClient(clock, Identity(random.Random(2)))
        first, second = Candidate(client, clock, "a"), Candidate(client, clock, "b")
        async with Tasks() as tasks:
            leading = tasks.start(first.run(), "a")
            await clock.advance(1)
            tasks.start(second.run(), "b")
            await clock.advance(60)
            assert (first.works, second.works) == (1, 0)
            leading.cancel()
            await clock.advance(5)
            assert second.works == 1
            lease = client.objects[LEASES][Key("kube-system", "boss")]
            assert (lease.spec.holderIdentity, lease.spec.leaseTransitions) == ("b", 1)

    asyncio.run(main())


def test_a_leader_that_can_not_renew_stops_before_another_starts() -> None:
    async def main() -> None:
        clock = VirtualClock()
        client = FakeClient(clock, Identity(random.Random(2)))
        first = Candidate(client, clock, "a")
        async with Tasks() as tasks:
            leading = tasks.start(first.run(), "a", keep_going=True)
            await clock.advance(5)
            client.fail = lambda verb, resource, obj: ServiceUnavailable("down")
            await clock.advance(14)
            assert leading.done()
            with pytest.raises(LostLeadership):
                leading.result()

    asyncio.run(main())
