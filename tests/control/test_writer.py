"""Applying plans: slow start, failures, expectations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from control.fake import FakeClient
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import ConfigMap
from sampan.api.errors import Forbidden, ServiceUnavailable, Timeout
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS
from sampan.control.informer import Informers
from sampan.control.key import Key
from sampan.control.writer import Writer
from sampan.kinds.plan import Create, Delete, Patch, Plan, Update
from sampan.lib.clock import Identity

OWNER = Key("default", "owner")


def run(scenario: Callable[[FakeClient, Informers, Writer, list[Key], VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock, identity, woken = VirtualClock(), Identity(random.Random(1)), list[Key]()
        client = FakeClient(clock, identity)
        informers = Informers(client, clock=clock, identity=identity)
        writer = Writer(client, informers, wake=woken.append, monotonic=clock.monotonic)
        async with Tasks() as tasks:
            tasks.start(informers.run(), "informers")
            await scenario(client, informers, writer, woken, clock)

    asyncio.run(main())


def made(name: str = "") -> Create:
    return Create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name=name, generateName="x-", namespace="default")))


def test_after_a_write_the_cache_is_stale_until_it_has_seen_it() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        informer = informers.of(CONFIG_MAPS)
        await informers.synced()
        assert writer.fresh(OWNER)
        await writer.do(OWNER, Plan((made("a"),)))
        assert len(informer) == 0
        assert not writer.fresh(OWNER)
        assert writer.fresh(Key("default", "somebody else"))
        await clock.turns(20)
        assert woken == [OWNER]
        assert writer.fresh(OWNER)

    run(scenario)


def test_a_deletion_is_expected_until_the_object_is_gone_or_going() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        informers.of(CONFIG_MAPS)
        obj = await client.create(CONFIG_MAPS, made("a").object)
        await informers.synced()
        await writer.do(OWNER, Plan((Delete(CONFIG_MAPS, "default", "a", obj.metadata.uid),)))
        assert not writer.fresh(OWNER)
        await clock.turns(20)
        assert writer.fresh(OWNER)

    run(scenario)


def test_creations_start_slowly_and_stop_at_the_first_failing_batch() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        left = [5]

        def fail(verb: str, resource: object, obj: object) -> Forbidden | None:
            left[0] -= 1
            return Forbidden("enough") if left[0] < 0 else None

        client.fail = fail
        outcome = await writer.apply(OWNER, Plan((made(),) * 100))
        # batches of 1, 2 and 4: the third fails in part, the rest is not tried
        assert (len(outcome.answers), len(outcome.failures), outcome.skipped) == (5, 2, 93)

    run(scenario)


def test_nothing_goes_on_after_an_update_that_failed() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        # given a plan that marks an object, then deletes another
        obj, other = await client.create(CONFIG_MAPS, made("a").object), await client.create(CONFIG_MAPS, made("b").object)
        away = Delete(CONFIG_MAPS, "default", "b", other.metadata.uid)
        for mark in (Update(CONFIG_MAPS, obj), Patch(CONFIG_MAPS, "default", "a", {"data": {}})):
            client.fail = lambda verb, resource, _: Forbidden("no") if verb in ("update", "patch") else None
            # when the mark can't be made
            outcome = await writer.apply(OWNER, Plan((mark, away, made("c"))))
            # then nothing is deleted or created
            assert (outcome.done, [write for write, _ in outcome.failures], outcome.skipped) == ([], [mark], 2)
        assert sorted(key.name for key in client.objects[CONFIG_MAPS]) == ["a", "b"]

    run(scenario)


def test_deletions_go_on_after_one_that_failed_and_after_creations_that_did() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        objects = [await client.create(CONFIG_MAPS, made(name).object) for name in "ab"]
        away = [Delete(CONFIG_MAPS, "default", one.metadata.name, one.metadata.uid) for one in objects]
        client.fail = lambda verb, resource, _: Forbidden("no") if verb == "create" else None
        outcome = await writer.apply(OWNER, Plan((made("c"), *away)))
        assert (outcome.done, outcome.answers, len(outcome.failures), outcome.skipped) == (away, [], 1, 0)
        assert client.objects[CONFIG_MAPS] == {}

    run(scenario)


def lose_answers(client: FakeClient) -> None:
    """From now on what is created is there, and nobody hears of it."""
    create = client.create

    async def lost(*args: Any, **more: Any) -> Any:
        await create(*args, **more)
        raise Timeout("no answer")

    client.create = lost  # type: ignore[method-assign]


def test_what_was_created_without_an_answer_must_be_seen_first() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        # given a creation that the server did, and whose answer was lost
        informer = informers.of(CONFIG_MAPS)
        await informers.synced()
        lose_answers(client)
        outcome = await writer.apply(OWNER, Plan((made("a"),)))
        assert (len(outcome.failures), len(informer)) == (1, 0)
        # then the next look comes when the cache has it
        assert not writer.fresh(OWNER)
        await clock.turns(20)
        assert (woken, len(informer)) == ([OWNER], 1)
        assert writer.fresh(OWNER)

    run(scenario)


def test_nothing_is_created_before_it_is_known_what_was() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        # given a creation that the server did, whose answer was lost, at a time when the server can't be asked either
        informer = informers.of(CONFIG_MAPS)
        await informers.synced()
        lose_answers(client)
        client.fail = lambda verb, resource, _: ServiceUnavailable("later") if verb == "list" else None
        await writer.apply(OWNER, Plan((made("a"),)))
        # then whoever asks hears that it is not known
        with pytest.raises(ServiceUnavailable):
            await writer.catch_up(OWNER)
        # when the server answers again
        client.fail = lambda verb, resource, _: None
        await writer.catch_up(OWNER)
        # then the cache must have what was made
        assert not writer.fresh(OWNER) or len(informer) == 1
        await clock.turns(20)
        assert (writer.fresh(OWNER), len(informer)) == (True, 1)

    run(scenario)


def test_a_creation_that_was_refused_is_certain() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        informers.of(CONFIG_MAPS)
        await informers.synced()
        client.fail = lambda verb, resource, _: Forbidden("no") if verb == "create" else None
        lists = client.lists
        await writer.apply(OWNER, Plan((made("a"),)))
        assert writer.fresh(OWNER)
        assert client.lists == lists

    run(scenario)


def test_deleting_what_is_gone_or_another_is_no_failure() -> None:
    async def scenario(client: FakeClient, informers: Informers, writer: Writer, woken: list[Key], clock: VirtualClock) -> None:
        await client.create(CONFIG_MAPS, made("a").object)
        plan = Plan((Delete(CONFIG_MAPS, "default", "gone", "u"), Delete(CONFIG_MAPS, "default", "a", "another uid")))
        outcome = await writer.apply(OWNER, plan)
        assert outcome.failures == []
        assert writer.fresh(OWNER)

    run(scenario)
