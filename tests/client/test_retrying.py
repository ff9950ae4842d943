"""A server that asks to come back later is asked again, as often and as late as upstream's clients do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from apiserver.flowworld import USERS, World, with_world
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import TooManyRequests
from sampan.api.resources import CONFIG_MAPS
from sampan.apiserver.flowcontrol.inflight import FlowSettings
from sampan.apiserver.server import Settings
from sampan.client.base import Client
from sampan.client.inprocess import InProcessClient
from sampan.client.kubeconfig import Access
from sampan.client.remote import RemoteClient
from sampan.client.retrying import MOST_RETRIES, MOST_WAIT_SECONDS, insist, wait_seconds
from sampan.testing import waiting
from sampan.testing.client import config_map
from sampan.testing.https import served

SMALL = FlowSettings(reads=20, writes=0)


@pytest.mark.parametrize(("code", "told", "seconds"), [
    (429, "1", 1), (500, "3", 3), (503, "0", 0), (599, "+2", 2), (429, "-4", 0),
    (429, "", None), (503, "Wed, 21 Oct 2026 07:28:00 GMT", None), (503, "1.5", None), (429, "1_0", None), (429, "9" * 40, None),
    (200, "1", None), (409, "1", None), (301, "1", None),
])
def test_only_429_and_server_errors_with_a_number_are_asked_again(code: int, told: str, seconds: int | None) -> None:
    assert wait_seconds(code, told) == seconds


class Server:
    """Answers with what it is told to, then with the last of it for ever."""

    def __init__(self, clock: VirtualClock, *answers: tuple[int, str]) -> None:
        self.clock, self.answers, self.asked_at = clock, list(answers), list[float]()

    async def ask(self) -> tuple[int, str]:
        self.asked_at.append(self.clock.monotonic())
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def insist(self) -> tuple[int, str]:
        return await insist(await self.ask(), self.ask, lambda answer: wait_seconds(*answer), self.clock)


def played(*answers: tuple[int, str], seconds: float = 1000) -> tuple[tuple[int, str], list[float]]:
    """(the last answer, when the server was asked)."""

    async def body() -> tuple[tuple[int, str], list[float]]:
        clock = VirtualClock()
        server = Server(clock, *answers)
        async with Tasks() as tasks:
            task = tasks.start(server.insist(), "request")
            await clock.advance(seconds)
            return task.result(), server.asked_at

    return asyncio.run(body())


def test_a_request_is_made_again_when_the_server_says() -> None:
    assert played((429, "1"), (503, "5"), (200, "")) == ((200, ""), [0, 1, 6])


def test_ten_retries_are_the_most() -> None:
    answer, asked_at = played((429, "1"))
    assert answer == (429, "1")
    assert asked_at == list(range(MOST_RETRIES + 1))


def test_who_is_asked_to_wait_for_long_is_told_at_once() -> None:
    assert played((503, str(MOST_WAIT_SECONDS + 1))) == ((503, str(MOST_WAIT_SECONDS + 1)), [0])
    # and so is who has waited that long in parts
    assert played((429, "25")) == ((429, "25"), [0, 25, 50])


def test_a_refusal_that_asks_for_nothing_ends_it() -> None:
    assert played((429, "1"), (429, ""), (200, "")) == ((429, ""), [0, 1])


def test_who_waits_can_be_cancelled() -> None:
    async def body() -> None:
        clock = VirtualClock()
        server = Server(clock, (429, "5"))
        async with Tasks() as tasks:
            # given
            task = tasks.start(server.insist(), "request")
            await clock.turns(3)
            # when
            task.cancel()
            await asyncio.wait([task])
            # then
            assert task.cancelled()
            await clock.advance(100)
            assert server.asked_at == [0]

    asyncio.run(body())


async def first_event(client: Client) -> str:
    async for event in client.watch(CONFIG_MAPS, "default"):
        return event.kind
    return ""


VERBS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "get": lambda client: client.get(CONFIG_MAPS, "there", "default"),
    "list": lambda client: client.list(CONFIG_MAPS, "default"),
    "watch": first_event,
    "create": lambda client: client.create(CONFIG_MAPS, config_map("new")),
    "update": lambda client: client.update(CONFIG_MAPS, config_map("there")),
    "patch": lambda client: client.patch(CONFIG_MAPS, "there", "default", {"data": {"a": "b"}}, unread=True),
    "delete": lambda client: client.delete(CONFIG_MAPS, "there", "default"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_in_process_waits_out_flow_control(verb: str) -> None:
    async def test(world: World) -> None:
        # given a level whose only seat is taken
        await world.level({"type": "Reject"})
        await world.server.client.create(CONFIG_MAPS, config_map("there"))
        taken = world.slow("noisy", "n")
        await world.clock.turns(20)
        headers = {"authorization": "Bearer quiet"}
        impatient, client = (InProcessClient(world.server.app, None, headers=headers, clock=clock) for clock in (None, world.clock))
        with pytest.raises(TooManyRequests):
            await VERBS[verb](impatient)
        async with Tasks() as tasks:
            # when
            asked = tasks.start(_awaited(VERBS[verb](client)), verb)
            await world.clock.advance(1.5)
            assert not asked.done()
            world.let_go.set()
            await taken
            await world.clock.advance(1)
            # then
            await waiting.until(asked.done, f"{verb} was not made again")
            asked.result()

    with_world(test, flow=SMALL)


def test_every_verb_over_the_network_waits_out_flow_control() -> None:
    async def body() -> None:
        clock = VirtualClock()
        settings = Settings(bootstrap_rbac=False, users=USERS, flow=SMALL)
        async with served(settings=settings) as (running, access), Tasks() as tasks:
            world = World(running, clock, tasks)
            await world.everybody_may_do_everything()
            await world.level({"type": "Reject"})
            await running.client.create(CONFIG_MAPS, config_map("there"))
            client = RemoteClient(Access(access.server, access.ca, token="quiet"), clock=clock)
            for verb, ask in VERBS.items():
                # given that the level's only seat is taken
                world.let_go = asyncio.Event()
                taken = world.slow("noisy", verb)
                await clock.turns(20)
                # when
                asked = tasks.start(_awaited(ask(client)), verb)
                await waiting.until(lambda: clock.next_due_seconds() is not None, f"{verb} does not wait")
                world.let_go.set()
                await taken
                await clock.advance(1)
                # then
                await asked
            await client.close()

    waiting.run(body())


async def _awaited(what: Awaitable[object]) -> object:
    return await what
