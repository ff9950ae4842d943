"""Leader election: one leads, another takes over, a lost leader stops."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from control.fake import FakeClient
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import ServiceUnavailable
from sampan.api.resources import LEASES
from sampan.control.key import Key
from sampan.control.leader import ElectionSettings, LeaderElector, LostLeadership
from sampan.lib.clock import Identity


class Silent:
    """A client whose server listens, and answers nothing when it is `silent`."""

    def __init__(self, client: FakeClient) -> None:
        self._client, self.silent = client, False

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **more: Any) -> Any:
            if self.silent:
                await asyncio.Event().wait()
            return await getattr(self._client, name)(*args, **more)

        return call


class Candidate:
    def __init__(self, client: Any, clock: VirtualClock, name: str) -> None:
        self.works, self.client = 0, client
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


def test_a_leader_stops_in_time_when_the_server_takes_requests_and_answers_none() -> None:
    async def main() -> None:
        # given a leader, and one who waits and reaches the server
        clock = VirtualClock()
        client = FakeClient(clock, Identity(random.Random(2)))
        first, second = Candidate(Silent(client), clock, "a"), Candidate(client, clock, "b")
        async with Tasks() as tasks:
            leading = tasks.start(first.run(), "a", keep_going=True)
            await clock.advance(5)
            tasks.start(second.run(), "b")
            await clock.advance(1)
            # when the leader's requests are not answered any more
            first.client.silent = True
            await clock.advance(11)
            # then it has stopped before the lease is over, and the other begins once it is
            assert first.works == 1
            assert not first.elector.leading
            assert second.works == 0
            await clock.advance(25)
            assert second.works == 1
            with pytest.raises(LostLeadership):
                leading.result()

    asyncio.run(main())
