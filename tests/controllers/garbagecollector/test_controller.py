"""The garbage collector at work, on built-in and custom kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.late import with_lag
from controllers.play import play
from sampan.api.errors import Conflict
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, EVENTS, NAMESPACES, SECRETS
from sampan.controllers.garbagecollector.controller import GarbageCollector
from sampan.testing.datadriven import transcripts


def build(world: World) -> list[Any]:
    return [GarbageCollector(world.context)]


def owned(name: str, owner: Any, *, block: bool = True, **meta: Any) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name, "uid": owner.metadata.uid, "blockOwnerDeletion": block}
    return {"metadata": {"name": name, "ownerReferences": [reference], **meta}}


async def names(world: World) -> list[str]:
    return sorted(one.metadata.name for one in await world.all(CONFIG_MAPS) if one.metadata.name != "kube-root-ca.crt")


async def chain(world: World) -> tuple[Any, Any, Any]:
    top = await world.make(CONFIG_MAPS, {"metadata": {"name": "top"}})
    mid = await world.make(CONFIG_MAPS, owned("mid", top))
    leaf = await world.make(CONFIG_MAPS, owned("leaf", mid, finalizers=["example.com/hold"]))
    await world.settle()
    return top, mid, leaf


def test_in_the_foreground_the_leaves_go_first_and_hold_the_rest() -> None:
    async def scenario(world: World) -> None:
        await chain(world)
        await world.delete(CONFIG_MAPS, "top", propagation="Foreground")
        await world.settle()
        assert await names(world) == ["leaf", "mid", "top"]
        await world.patch(CONFIG_MAPS, "leaf", {"metadata": {"finalizers": None}})
        await world.settle()
        assert await names(world) == []

    run(build, scenario)


def test_in_the_background_the_owner_goes_first() -> None:
    async def scenario(world: World) -> None:
        await chain(world)
        await world.patch(CONFIG_MAPS, "leaf", {"metadata": {"finalizers": None}})
        await world.delete(CONFIG_MAPS, "top", propagation="Background")
        assert await names(world) == ["leaf", "mid"]
        await world.settle()
        assert await names(world) == []

    run(build, scenario)


def test_orphans_stay_without_the_reference() -> None:
    async def scenario(world: World) -> None:
        await chain(world)
        await world.delete(CONFIG_MAPS, "top", propagation="Orphan")
        await world.settle()
        assert await names(world) == ["leaf", "mid"]
        assert (await world.get(CONFIG_MAPS, "mid")).metadata.ownerReferences == []
        assert len((await world.get(CONFIG_MAPS, "leaf")).metadata.ownerReferences) == 1

    run(build, scenario)


def test_a_cycle_in_the_foreground_comes_to_an_end() -> None:
    async def scenario(world: World) -> None:
        _, mid, _ = await chain(world)
        await world.patch(CONFIG_MAPS, "leaf", {"metadata": {"finalizers": None}})
        back = owned("x", mid)["metadata"]["ownerReferences"]
        await world.patch(CONFIG_MAPS, "top", {"metadata": {"ownerReferences": back}})
        await world.settle()
        await world.delete(CONFIG_MAPS, "top", propagation="Foreground")
        await world.settle()
        assert await names(world) == []

    run(build, scenario)


def test_an_absent_owner_is_forgotten_while_another_is_there() -> None:
    async def scenario(world: World) -> None:
        real = await world.make(CONFIG_MAPS, {"metadata": {"name": "real"}})
        half = owned("half", real)
        half["metadata"]["ownerReferences"].append({"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "u-nobody"})
        await world.make(CONFIG_MAPS, half)
        lost = owned("lost", real)
        lost["metadata"]["ownerReferences"][0]["uid"] = "another"
        await world.make(CONFIG_MAPS, lost)
        await world.settle()
        assert await names(world) == ["half", "real"]
        assert [ref.name for ref in (await world.get(CONFIG_MAPS, "half")).metadata.ownerReferences] == ["real"]

    run(build, scenario)


def test_an_owner_in_another_namespace_does_not_count_and_is_told() -> None:
    async def scenario(world: World) -> None:
        await world.make(NAMESPACES, {"metadata": {"name": "other"}})
        boss = await world.make(CONFIG_MAPS, {"metadata": {"name": "boss"}}, "other")
        await world.make(CONFIG_MAPS, owned("low", boss))
        await world.settle()
        assert "low" not in await names(world)
        event = next(one for one in await world.all(EVENTS) if one.reason == "OwnerRefInvalidNamespace")
        assert event.message.endswith('does not exist in namespace "default"')

    run(build, scenario)


def test_an_owner_that_can_never_be_one_is_told_of_once() -> None:
    async def scenario(world: World) -> None:
        # given a cluster's object that names a namespace's as its owner
        boss = await world.make(CONFIG_MAPS, {"metadata": {"name": "boss"}})
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "boss", "uid": boss.metadata.uid}
        await world.make(NAMESPACES, {"metadata": {"name": "odd", "ownerReferences": [reference]}})
        # when a quarter of an hour passes
        for _ in range(15):
            await world.clock.advance(60)
            await world.settle()
        # then
        [event] = [one for one in await world.all(EVENTS) if one.reason == "OwnerRefInvalidNamespace"]
        assert (event.count, event.message.endswith('does not exist in namespace ""')) == (1, True)
        assert await world.get(NAMESPACES, "odd") is not None

    run(build, scenario)


def test_who_changes_all_the_time_is_deleted_all_the_same() -> None:
    async def scenario(world: World) -> None:
        # given a dependent that somebody changes each time before its deletion arrives
        boss = await world.make(CONFIG_MAPS, {"metadata": {"name": "boss"}})
        await world.make(CONFIG_MAPS, owned("busy", boss))
        await world.settle()
        world.client.fail = lambda verb, resource, obj: Conflict("changed") if verb == "delete" and len(world.client.calls) % 2 else None
        # when its owner goes
        await world.delete(CONFIG_MAPS, "boss")
        await world.settle()
        # then
        assert "busy" not in await names(world)

    run(build, scenario)


def test_an_owner_of_a_version_that_nobody_serves_is_not_taken_for_absent() -> None:
    async def scenario(world: World) -> None:
        reference = {"apiVersion": "v7", "kind": "ConfigMap", "name": "boss", "uid": "00000000-0000-0000-0000-000000000001"}
        await world.make(CONFIG_MAPS, {"metadata": {"name": "low", "ownerReferences": [reference]}})
        await world.settle()
        assert "low" in await names(world)

    run(build, scenario)


BOATS: Resource[Any] = Resource(group="x.io", version="v1", plural="boats", kind="Boat", singular="boat", namespaced=True)


async def define_boats(world: World) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    await world.make(CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": "boats.x.io"}, "spec": {
        "group": "x.io", "scope": "Namespaced", "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}})
    await world.clock.advance(2)
    await world.settle()


def test_what_custom_resources_own_goes_with_their_definition() -> None:
    async def scenario(world: World) -> None:
        # given
        await define_boats(world)
        boat = await world.server.client.create(BOATS, {"apiVersion": "x.io/v1", "kind": "Boat", "metadata": {"name": "b", "namespace": "default"}}, "default")
        reference = {"apiVersion": "x.io/v1", "kind": "Boat", "name": "b", "uid": boat["metadata"]["uid"]}
        await world.make(CONFIG_MAPS, {"metadata": {"name": "crew", "ownerReferences": [reference]}})
        await world.settle()
        assert "crew" in await names(world)
        # when
        await world.delete(CUSTOM_RESOURCE_DEFINITIONS, "boats.x.io")
        await world.clock.advance(1)
        await world.settle()
        # then
        assert "crew" not in await names(world)

    run(build, scenario)


def test_custom_resources_are_collected_too() -> None:
    async def scenario(world: World) -> None:
        await define_boats(world)
        top = await world.make(CONFIG_MAPS, {"metadata": {"name": "top"}})
        body = {"apiVersion": "x.io/v1", "kind": "Boat", **owned("b", top)}
        await world.server.client.create(BOATS, body, "default")
        await world.settle()
        await world.delete(CONFIG_MAPS, "top")
        await world.settle()
        assert (await world.server.client.list(BOATS, "default")).items == []

    run(build, scenario)


def test_an_orphan_stays_although_the_cache_still_has_it_with_its_owner() -> None:
    lagging_ones, caches = with_lag(build)

    async def scenario(world: World) -> None:
        # given an owner that is deleted without what it owns, and a cache that does not see that the reference was taken away
        top = await world.make(CONFIG_MAPS, {"metadata": {"name": "top"}})
        await world.make(SECRETS, owned("kept", top))
        await world.settle()
        caches[0].held.add("secrets")
        await world.delete(CONFIG_MAPS, "top", propagation="Orphan")
        # when the owner's end is seen
        await world.clock.advance(5)
        assert await names(world) == []
        await caches[0].let_go()
        await world.clock.advance(60)
        # then
        assert (await world.get(SECRETS, "kept")).metadata.ownerReferences == []

    run(lagging_ones, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, build)
