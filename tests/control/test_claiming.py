"""Carrying out claims: adopted and released objects are written, unless the owner is another one by now."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from control.fake import FakeClient
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.apps.v1 import ReplicaSet
from sampan.api.core.v1 import Pod
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PODS, REPLICA_SETS
from sampan.api.scalars import Time
from sampan.control.claiming import Claiming
from sampan.control.informer import Informers
from sampan.control.key import Key, controller_of
from sampan.control.ownership import Claim, claim
from sampan.control.pods import owner_reference
from sampan.control.writer import Writer
from sampan.lib.clock import Identity

KEY = Key("default", "web")


def run(scenario: Callable[[FakeClient, Claiming, ReplicaSet], Awaitable[None]]) -> None:
    async def main() -> None:
        clock, identity = VirtualClock(), Identity(random.Random(1))
        client = FakeClient(clock, identity)
        informers = Informers(client, clock=clock, identity=identity)
        writer = Writer(client, informers, wake=lambda key: None, monotonic=clock.monotonic)
        owner = await client.create(REPLICA_SETS, ReplicaSet(metadata=ObjectMeta(name="web", namespace="default")))
        async with Tasks() as tasks:
            tasks.start(informers.run(), "informers")
            await scenario(client, Claiming(client, writer, REPLICA_SETS, informers.of(PODS)), owner)

    asyncio.run(main())


async def pod(client: FakeClient, name: str, *, owner: ReplicaSet | None = None, app: str = "web") -> Pod:
    references = [owner_reference(REPLICA_SETS, owner)] if owner is not None else []
    made: Pod = await client.create(PODS, Pod(metadata=ObjectMeta(name=name, namespace="default", labels={"app": app},
                                                                 ownerReferences=references)))
    return made


def wanted(owner: ReplicaSet, *pods: Pod) -> Claim[Pod]:
    return claim(owner, lambda labels: labels.get("app") == "web", pods)


def test_an_orphan_is_adopted_and_given_at_the_revision_of_that() -> None:
    async def scenario(client: FakeClient, claiming: Claiming, owner: ReplicaSet) -> None:
        # given
        mine, orphan = await pod(client, "mine", owner=owner), await pod(client, "orphan")
        # when
        owned = await claiming.settle(KEY, owner, wanted(owner, mine, orphan))
        # then
        assert owned[0] is mine
        assert owned[1].metadata.resourceVersion != orphan.metadata.resourceVersion
        reference = controller_of(await client.get(PODS, "orphan", "default"))
        assert reference is not None
        assert reference.uid == owner.metadata.uid

    run(scenario)


def test_what_matches_no_more_is_released() -> None:
    async def scenario(client: FakeClient, claiming: Claiming, owner: ReplicaSet) -> None:
        # given
        strayed = await pod(client, "strayed", owner=owner, app="other")
        # when
        owned = await claiming.settle(KEY, owner, wanted(owner, strayed))
        # then
        assert owned == []
        assert (await client.get(PODS, "strayed", "default")).metadata.ownerReferences == []

    run(scenario)


def test_an_owner_that_was_made_anew_since_adopts_nothing() -> None:
    async def scenario(client: FakeClient, claiming: Claiming, owner: ReplicaSet) -> None:
        # given
        mine, orphan = await pod(client, "mine", owner=owner), await pod(client, "orphan")
        former = codec.clone(owner)
        former.metadata.uid = "of-the-one-before"
        claimed = Claim(owned=[mine, orphan], adopt=[orphan])
        # when
        owned = await claiming.settle(KEY, former, claimed)
        # then
        assert owned == [mine]
        assert (await client.get(PODS, "orphan", "default")).metadata.ownerReferences == []

    run(scenario)


def test_without_orphans_nothing_is_asked_or_written() -> None:
    async def scenario(client: FakeClient, claiming: Claiming, owner: ReplicaSet) -> None:
        # given
        mine = await pod(client, "mine", owner=owner)
        before = [call for call in client.calls if call[0] not in ("list", "watch")]
        # when
        owned = await claiming.settle(KEY, owner, wanted(owner, mine))
        # then
        assert owned == [mine]
        assert [call for call in client.calls if call[0] not in ("list", "watch")] == before

    run(scenario)


def test_an_owner_that_is_leaving_adopts_and_releases_nothing() -> None:
    async def scenario(client: FakeClient, _: Claiming, owner: ReplicaSet) -> None:
        # given
        orphan, mine, other = await pod(client, "orphan"), await pod(client, "mine", owner=owner), await pod(client, "other", owner=owner, app="db")
        leaving = codec.clone(owner)
        leaving.metadata.deletionTimestamp = Time.of(VirtualClock().now())
        # when
        found = claim(leaving, lambda labels: labels["app"] == "web", [orphan, mine, other])
        # then
        assert (found.adopt, found.release, found.owned) == ([], [], [mine])

    run(scenario)
