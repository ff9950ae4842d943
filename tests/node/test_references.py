"""Objects that pods refer to: one watch each, however many need it, and none that nobody needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import ConfigMap, Pod
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS
from sampan.node.references import ObjectWatches, References
from sampan.testing import waiting
from sampan.testing.server import RunningServer, running_server


def pod(uid: str, *config_maps: str) -> Pod:
    volumes: list[dict[str, Any]] = [{"name": name, "configMap": {"name": name}} for name in config_maps]
    return codec.convert(Pod, {"metadata": {"name": uid, "namespace": "default", "uid": uid},
                               "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}})


@asynccontextmanager
async def watches() -> AsyncIterator[tuple[RunningServer, ObjectWatches]]:
    clock = VirtualClock()
    async with running_server(clock=clock) as server, Tasks() as tasks:
        yield server, ObjectWatches(server.client, tasks, clock=clock, identity=server.identity)
        await tasks.stop()


def test_two_nodes_share_the_watch_of_an_object_and_each_hears_of_it() -> None:
    async def check() -> None:
        async with watches() as (server, shared):
            await server.client.create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name="a"), data={"k": "1"}), "default")
            # given two nodes with a pod each that refers to the same object
            told: list[str] = []
            first, second = References(shared, told.append), References(shared, told.append)
            first.hold(pod("u1", "a", "missing"))
            second.hold(pod("u2", "a"))
            assert len(shared) == 2
            await first.ready("u1")
            await second.ready("u2")
            assert second.config_map("default", "a").data == {"k": "1"}  # type: ignore[union-attr]
            assert first.config_map("default", "missing") is None
            # when it changes
            told.clear()
            await server.client.patch(CONFIG_MAPS, "a", "default", {"data": {"k": "2"}})
            await waiting.until(lambda: sorted(told) == ["u1", "u2"], "not both were told")
            # then both have it
            assert first.config_map("default", "a").data == {"k": "2"}  # type: ignore[union-attr]

    waiting.run(check())


def test_a_watch_ends_with_the_last_pod_that_needs_it() -> None:
    async def check() -> None:
        async with watches() as (_, shared):
            first, second = References(shared, lambda _: None), References(shared, lambda _: None)
            first.hold(pod("u1", "a", "b"))
            second.hold(pod("u2", "a"))
            # when a pod refers to one object less, and another pod is gone
            first.hold(pod("u1", "a"))
            assert len(shared) == 1
            second.release("u2")
            assert len(shared) == 1
            first.release("u1")
            # then
            assert len(shared) == 0
            assert first.config_map("default", "a") is None

    waiting.run(check())
