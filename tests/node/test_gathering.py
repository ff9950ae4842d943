"""One timer for all who wait with what they have to say. That pods use it is told in `test_agent`."""

from __future__ import annotations

import asyncio

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.node.gathering import Gathering


def test_who_has_not_ended_in_time_is_called_once() -> None:
    async def scenario() -> None:
        clock, called = VirtualClock(), list[str]()
        async with Tasks() as tasks:
            # given three who wait, one of them begins twice, one later, and one that ends
            gathering = Gathering(tasks, clock=clock, seconds=1.0)
            gathering.begin("a", lambda: called.append("a"))
            gathering.begin("b", lambda: called.append("b"))
            await clock.advance(0.5)
            gathering.begin("a", lambda: called.append("a again"))
            gathering.begin("c", lambda: called.append("c"))
            gathering.end("b")
            # when the first one's time is over
            await clock.advance(0.5)
            # then
            assert called == ["a"]
            # when the other's is, too
            await clock.advance(0.5)
            assert called == ["a", "c"]
            assert not len(gathering)
            # then somebody who comes later is served as well
            gathering.begin("d", lambda: called.append("d"))
            await clock.advance(2)
            assert called == ["a", "c", "d"]

    asyncio.run(scenario())
