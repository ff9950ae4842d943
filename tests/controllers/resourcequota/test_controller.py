"""Quotas follow what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resourceinfo import Resource
from sampan.api.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    PODS,
    RESOURCE_QUOTAS,
)
from sampan.controllers.garbagecollector.controller import GarbageCollector
from sampan.controllers.resourcequota.controller import ResourceQuotaController
from sampan.testing.datadriven import transcripts

BOATS: Resource[Any] = Resource(group="x.io", version="v1", plural="boats", kind="Boat", singular="boat", namespaced=True)
BOATS_DEFINITION = {"metadata": {"name": "boats.x.io"}, "spec": {
    "group": "x.io", "scope": "Namespaced", "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}
POD = {"containers": [{"name": "c", "image": "i"}]}


def test_a_quota_shows_what_is_there_and_what_was_freed() -> None:
    async def scenario(world: World) -> None:
        await world.make(CONFIG_MAPS, {"metadata": {"name": "one"}})
        await world.make(PODS, {"metadata": {"name": "p"}, "spec": POD})
        await world.make(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "9", "pods": "5"}}})
        await world.settle()
        used = (await world.get(RESOURCE_QUOTAS, "q")).status.used
        assert used["pods"] == "1"
        before = int(used["count/configmaps"])
        await world.delete(PODS, "p", grace_period_seconds=0)
        await world.delete(CONFIG_MAPS, "one")
        await world.settle()
        used = (await world.get(RESOURCE_QUOTAS, "q")).status.used
        assert (used["pods"], int(used["count/configmaps"])) == ("0", before - 1)

    run(lambda world: [ResourceQuotaController(world.context)], scenario)


def test_a_custom_resource_that_comes_back_is_counted_anew() -> None:
    def build(world: World) -> list[Any]:
        # the garbage collector takes the informers of what is gone away
        return [ResourceQuotaController(world.context), GarbageCollector(world.context)]

    async def used(world: World) -> dict[str, str]:
        await world.clock.advance(6)
        await world.settle()
        return dict((await world.get(RESOURCE_QUOTAS, "q")).status.used)

    async def scenario(world: World) -> None:
        # given a quota of boats, before there are any
        await world.make(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"count/boats.x.io": "5"}}})
        assert await used(world) == {}
        # when they are defined
        await world.make(CUSTOM_RESOURCE_DEFINITIONS, BOATS_DEFINITION)
        # then
        assert await used(world) == {"count/boats.x.io": "0"}
        await world.server.client.create(BOATS, {"apiVersion": "x.io/v1", "kind": "Boat", "metadata": {"name": "b", "namespace": "default"}}, "default")
        assert await used(world) == {"count/boats.x.io": "1"}
        # when the definition goes, and comes back
        await world.delete(CUSTOM_RESOURCE_DEFINITIONS, "boats.x.io")
        await used(world)
        await world.make(CUSTOM_RESOURCE_DEFINITIONS, BOATS_DEFINITION)
        # then the boats are those that there are now
        assert await used(world) == {"count/boats.x.io": "0"}
        for name in ("c", "d"):
            await world.server.client.create(BOATS, {"apiVersion": "x.io/v1", "kind": "Boat", "metadata": {"name": name, "namespace": "default"}}, "default")
        await world.server.client.delete(BOATS, "c", "default")
        assert await used(world) == {"count/boats.x.io": "1"}

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [ResourceQuotaController(world.context)])
