"""Informers against a tiny server: resume, relist, indexes, handlers, sharing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from control.fake import FakeClient
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import ConfigMap
from sampan.api.errors import ServiceUnavailable
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resources import CONFIG_MAPS
from sampan.control.indexes import by_label, by_namespace, by_owner, selected
from sampan.control.informer import Informers
from sampan.control.key import Key
from sampan.lib.clock import Identity


def thing(name: str, **meta: Any) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", **meta))


def run(scenario: Callable[[FakeClient, Informers, VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock, identity = VirtualClock(), Identity(random.Random(1))
        client = FakeClient(clock, identity)
        informers = Informers(client, clock=clock, identity=identity)
        async with Tasks() as tasks:
            tasks.start(informers.run(), "informers")
            await scenario(client, informers, clock)

    asyncio.run(main())


def test_handlers_get_old_and_new_of_everything_listed_and_watched() -> None:
    async def scenario(client: FakeClient, informers: Informers, clock: VirtualClock) -> None:
        await client.create(CONFIG_MAPS, thing("a"))
        seen: list[tuple[str, str]] = []
        informer = informers.of(CONFIG_MAPS)
        informer.on_change(lambda old, new: seen.append(((old and old.data.get("v", "-")) or "", (new and new.data.get("v", "-")) or "")))
        await informers.synced()
        assert seen == [("", "-")]
        changed = codec.clone(informer.get(Key("default", "a")))
        changed.data["v"] = "2"
        await client.update(CONFIG_MAPS, changed)
        await client.delete(CONFIG_MAPS, "a", "default")
        await clock.turns(20)
        assert seen == [("", "-"), ("-", "2"), ("2", "")]
        assert informer.get(Key("default", "a")) is None

    run(scenario)


def test_a_cut_watch_resumes_without_a_list() -> None:
    async def scenario(client: FakeClient, informers: Informers, clock: VirtualClock) -> None:
        informer = informers.of(CONFIG_MAPS)
        await informers.synced()
        await client.create(CONFIG_MAPS, thing("a"))
        await clock.turns(20)
        client.break_watches()
        await client.create(CONFIG_MAPS, thing("b"))
        await clock.advance(1)
        assert sorted(obj.metadata.name for obj in informer.items()) == ["a", "b"]
        assert client.lists == 1

    run(scenario)


def test_after_gone_it_lists_again_and_tells_what_was_missed() -> None:
    async def scenario(client: FakeClient, informers: Informers, clock: VirtualClock) -> None:
        informer = informers.of(CONFIG_MAPS)
        await client.create(CONFIG_MAPS, thing("a"))
        await client.create(CONFIG_MAPS, thing("b"))
        await informers.synced()
        await clock.turns(20)
        told: list[str] = []
        informer.on_change(lambda old, new: told.append(f"{'+' if old is None else '-' if new is None else '~'}{(new or old).metadata.name}"))
        told.clear()
        client.break_watches(forget=True)
        await client.delete(CONFIG_MAPS, "a", "default")
        await client.create(CONFIG_MAPS, thing("c"))
        await clock.advance(5)
        assert told == ["-a", "+c"]
        assert informer.revision == client.revision

    run(scenario)


def test_an_outage_is_ridden_out_with_growing_pauses() -> None:
    async def scenario(client: FakeClient, informers: Informers, clock: VirtualClock) -> None:
        client.fail = lambda verb, resource, obj: ServiceUnavailable("down")
        informer = informers.of(CONFIG_MAPS)
        await clock.advance(3600)
        assert 800 < len(client.calls) < 1200
        client.fail = lambda verb, resource, obj: None
        await clock.advance(60)
        assert informer.synced.is_set()

    run(scenario)


def test_indexes_follow_every_change() -> None:
    async def scenario(client: FakeClient, informers: Informers, clock: VirtualClock) -> None:
        informer = informers.of(CONFIG_MAPS)
        owned = thing("a", labels={"app": "web", "tier": "x"}, ownerReferences=[OwnerReference(uid="u1")])
        await client.create(CONFIG_MAPS, owned)
        await client.create(CONFIG_MAPS, thing("b", labels={"app": "web"}))
        await informers.synced()
        owners, labels = informer.index(by_owner), informer.index(by_label)
        assert [obj.metadata.name for obj in owners.get("u1")] == ["a"]
        assert [obj.metadata.name for obj in selected(labels, "default", {"app": "web", "tier": "x"})] == ["a"]
        changed = codec.clone(informer.get(Key("default", "a")))
        changed.metadata.ownerReferences = []
        changed.metadata.labels = {"app": "db"}
        await client.update(CONFIG_MAPS, changed)
        await clock.turns(20)
        assert owners.get("u1") == []
        assert owners.values() == []
        assert [obj.metadata.name for obj in labels.get(("default", "app", "db"))] == ["a"]
        await client.delete(CONFIG_MAPS, "a", "default")
        await clock.turns(20)
        assert labels.get(("default", "app", "db")) == []
        assert informer.index(by_namespace).count("default") == 1

    run(scenario)


def test_one_resource_has_one_informer_and_when_fires_at_its_revision() -> None:
    async def scenario(client: FakeClient, informers: Informers, clock: VirtualClock) -> None:
        informer = informers.of(CONFIG_MAPS)
        assert informers.of(CONFIG_MAPS) is informer
        await informers.synced()
        fired: list[int] = []
        informer.when(2, lambda: fired.append(2))
        await client.create(CONFIG_MAPS, thing("a"))
        await clock.turns(20)
        assert fired == []
        await client.create(CONFIG_MAPS, thing("b"))
        await clock.turns(20)
        assert fired == [2]
        assert client.lists == 1

    run(scenario)
