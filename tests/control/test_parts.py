"""Parts of an informer: each follower hears of its own objects only."""

from __future__ import annotations

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Container, Pod, PodSpec
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PODS
from sampan.client.base import DeleteOptions
from sampan.control.indexes import by_label, by_node
from sampan.control.informer import Informers
from sampan.control.key import Key
from sampan.control.parts import Parts
from sampan.testing import waiting
from sampan.testing.server import RunningServer, running_server


def pod(name: str, node: str = "", **labels: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="default", labels=labels),
               spec=PodSpec(nodeName=node, containers=[Container(name="c", image="x")]))


class Heard:
    """Notes what a handler is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, old: Pod | None, new: Pod | None) -> None:
        self.told.append(f"{old.metadata.name if old else '-'} {new.metadata.name if new else '-'}")


async def seen(server: RunningServer, informers: Informers) -> None:
    """The informer has caught up with the server."""
    informer = informers.of(PODS)
    await waiting.until(lambda: informer.revision >= server.store.revision, "the informer is behind")


def test_each_node_hears_of_its_own_pods() -> None:
    async def check() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server, Tasks() as tasks:
            informers = Informers(server.client, clock=clock, identity=server.identity)
            parts = Parts(informers.of(PODS), by_node)
            tasks.start(informers.run(), "informers")
            await server.client.create(PODS, pod("early", "n1"))
            await informers.synced()
            # given followers of two nodes, one pod being there
            await seen(server, informers)
            first, second = Heard(), Heard()
            parts.of("n1").on_change(first)
            parts.of("n2").on_change(second)
            # when a pod is made without a node, bound, and deleted at once
            await server.client.create(PODS, pod("late"))
            await seen(server, informers)
            assert first.told == ["- early"]
            await server.client.create(PODS, {"metadata": {"name": "late"}, "target": {"name": "n1"}}, "default", name="late", subresource="binding")
            await seen(server, informers)
            # then
            assert first.told == ["- early", "- late"]
            assert sorted(one.metadata.name for one in parts.of("n1").items()) == ["early", "late"]
            await server.client.delete(PODS, "late", "default", DeleteOptions(grace_period_seconds=0))
            await seen(server, informers)
            assert first.told[-1] == "late -"
            assert second.told == []
            await tasks.stop()

    waiting.run(check())


def test_an_object_that_moves_leaves_one_part_and_comes_into_another_and_one_mistake_hurts_nobody_else() -> None:
    async def check() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server, Tasks() as tasks:
            informers = Informers(server.client, clock=clock, identity=server.identity)
            informer = informers.of(PODS)
            parts = Parts(informer, by_label)
            tasks.start(informers.run(), "informers")
            await server.client.create(PODS, pod("p", app="a", tier="x"))
            await informers.synced()
            await seen(server, informers)

            def broken(old: Pod | None, new: Pod | None) -> None:
                raise ValueError("a mistake")

            # given followers of the labels, one of them wrong
            a, b, tier = Heard(), Heard(), Heard()
            parts.of(("default", "app", "a")).on_change(broken)
            parts.of(("default", "app", "a")).on_change(a)
            parts.of(("default", "app", "b")).on_change(b)
            parts.of(("default", "tier", "x")).on_change(tier)
            # when
            await server.client.patch(PODS, "p", "default", {"metadata": {"labels": {"app": "b"}}})
            await seen(server, informers)
            # then
            assert (a.told, b.told, tier.told) == (["- p", "p -"], ["- p"], ["- p", "p p"])
            assert informer.get(Key("default", "p")) is not None
            await tasks.stop()

    waiting.run(check())
