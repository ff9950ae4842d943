"""DaemonSets and StatefulSets at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.apps.v1 import ControllerRevision
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS, STATEFUL_SETS
from sampan.control.history import HASH_LABEL
from sampan.controllers.daemonset.controller import DaemonSetController
from sampan.controllers.daemonset.decide import node_of
from sampan.controllers.statefulset.controller import StatefulSetController
from sampan.testing.datadriven import transcripts


def template(image: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": image}], "nodeSelector": {"pool": "x"}}}


def build(world: World) -> list[Any]:
    return [DaemonSetController(world.context), StatefulSetController(world.context)]


async def node(world: World, name: str, **spec: Any) -> None:
    await world.make(NODES, {"metadata": {"name": name, "labels": {"pool": "x"}}, "spec": spec})
    await world.patch(NODES, name, {"spec": {"taints": spec.get("taints")}})


async def ready(world: World, *, only: str = "") -> None:
    for pod in await world.all(PODS):
        if not pod.status.conditions and only in pod.metadata.name:
            now = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            await world.patch(PODS, pod.metadata.name, {"status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": now}]}}, subresource="status")
    await world.settle()


async def images(world: World) -> dict[str, str]:
    return {node_of(pod) or pod.metadata.name: pod.spec.containers[0].image for pod in await world.all(PODS)}


def test_every_fitting_node_has_one_pod_new_ones_too() -> None:
    async def scenario(world: World) -> None:
        await node(world, "a")
        await node(world, "t", taints=[{"key": "only", "effect": "NoSchedule"}])
        await world.make(DAEMON_SETS, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template("app:1")}})
        await world.settle()
        assert set(await images(world)) == {"a"}
        await node(world, "b")
        await world.settle()
        assert set(await images(world)) == {"a", "b"}
        await ready(world)
        status = (await world.get(DAEMON_SETS, "d")).status
        assert (status.desiredNumberScheduled, status.numberAvailable, status.updatedNumberScheduled) == (2, 2, 2)

    run(build, scenario)


def test_an_update_replaces_one_after_another() -> None:
    async def scenario(world: World) -> None:
        for name in ("a", "b", "c"):
            await node(world, name)
        await world.make(DAEMON_SETS, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template("app:1")}})
        await world.settle()
        await ready(world)
        await world.patch(DAEMON_SETS, "d", {"spec": {"template": template("app:2")}})
        for done in (1, 2, 3):
            await world.settle()
            assert sorted((await images(world)).values()) == ["app:1"] * (3 - done) + ["app:2"] * done
            await ready(world)
        assert [one.revision for one in await world.all(CONTROLLER_REVISIONS)].count(2) == 1

    run(build, scenario)


def sts(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "spec": {"serviceName": "s", "replicas": 3, "selector": {"matchLabels": {"app": "d"}},
                                                "template": template("app:1"), **spec}}


def test_a_stateful_set_goes_up_in_order_and_down_in_reverse() -> None:
    async def scenario(world: World) -> None:
        await world.make(STATEFUL_SETS, sts())
        for number in range(3):
            await world.settle()
            assert set(await images(world)) == {f"s-{one}" for one in range(number + 1)}
            await ready(world)
        await world.patch(STATEFUL_SETS, "s", {"spec": {"replicas": 1}})
        await world.settle()
        assert set(await images(world)) == {"s-0"}
        assert (await world.get(PODS, "s-0")).spec.hostname == "s-0"

    run(build, scenario)


def test_in_parallel_all_come_at_once_and_a_partition_holds_the_update() -> None:
    async def scenario(world: World) -> None:
        await world.make(STATEFUL_SETS, sts(podManagementPolicy="Parallel", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}))
        await world.settle()
        assert len(await images(world)) == 3
        await ready(world)
        await world.patch(STATEFUL_SETS, "s", {"spec": {"template": template("app:2")}})
        await world.settle()
        await ready(world)
        assert await images(world) == {"s-0": "app:1", "s-1": "app:1", "s-2": "app:2"}
        status = (await world.get(STATEFUL_SETS, "s")).status
        assert (status.currentReplicas, status.updatedReplicas) == (2, 1)
        assert status.currentRevision != status.updateRevision

    run(build, scenario)


def test_a_broken_pod_stops_the_update() -> None:
    async def scenario(world: World) -> None:
        await world.make(STATEFUL_SETS, sts(replicas=2, podManagementPolicy="Parallel"))
        await world.settle()
        await ready(world)
        await world.patch(STATEFUL_SETS, "s", {"spec": {"template": template("bad")}})
        await world.settle()
        assert await images(world) == {"s-0": "app:1", "s-1": "bad"}

    run(build, scenario)


def test_the_status_follows_a_taint_that_comes_and_goes_while_the_pod_stays() -> None:
    async def scenario(world: World) -> None:
        # given a pod on the one node
        await node(world, "n1")
        await world.make(DAEMON_SETS, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template("v1")}})
        await world.settle()
        await ready(world)

        async def counts() -> tuple[int, int]:
            found = (await world.get(DAEMON_SETS, "d")).status
            return found.desiredNumberScheduled, found.numberMisscheduled

        assert await counts() == (1, 0)
        # when it comes
        await world.patch(NODES, "n1", {"spec": {"taints": [{"key": "full", "effect": "NoSchedule"}]}})
        await world.settle()
        # then after a while, as nothing is to be done
        assert await counts() == (1, 0)
        await world.clock.advance(60)
        await world.settle()
        assert await counts() == (0, 1)
        # when it goes
        await world.patch(NODES, "n1", {"spec": {"taints": []}})
        await world.settle()
        # then at once
        assert await counts() == (1, 0)

    run(build, scenario)


@pytest.mark.parametrize("selector", [{"matchLabels": {"app": "d"}}, {"matchExpressions": [{"key": "app", "operator": "In", "values": ["d"]}]}])
def test_a_pod_that_nobody_has_is_adopted_by_whatever_selects_it(selector: dict[str, Any]) -> None:
    async def scenario(world: World) -> None:
        # given an orphan on the one node, and a pod that is selected by nobody
        await node(world, "n1")
        await world.make(PODS, {"metadata": {"name": "orphan", "labels": {"app": "d"}}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}})
        await world.make(PODS, {"metadata": {"name": "other", "labels": {"app": "e"}}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}})
        # when
        await world.make(DAEMON_SETS, {"metadata": {"name": "d"}, "spec": {"selector": selector, "template": template("v1")}})
        await world.settle()
        # then
        owners = {pod.metadata.name: [ref.name for ref in pod.metadata.ownerReferences] for pod in await world.all(PODS)}
        assert owners["orphan"] == ["d"]
        assert owners["other"] == []

    run(build, scenario)


def test_a_set_that_is_made_again_takes_over_pods_and_revisions() -> None:
    async def scenario(world: World) -> None:
        # given a set of two revisions that was orphaned
        def wanted(image: str) -> dict[str, Any]:
            return {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template(image)}}

        await node(world, "n1")
        await world.make(DAEMON_SETS, wanted("v1"))
        await world.settle()
        await ready(world)
        await world.patch(DAEMON_SETS, "d", {"spec": {"template": template("v2")}})
        await world.settle()
        await ready(world)
        await world.delete(DAEMON_SETS, "d", propagation="Background")  # nobody collects
        for resource in (PODS, CONTROLLER_REVISIONS):
            for one in await world.all(resource):
                await world.patch(resource, one.metadata.name, {"metadata": {"ownerReferences": None}})
        await world.settle()
        before = await world.all(PODS), await world.all(CONTROLLER_REVISIONS)
        # when
        again = await world.make(DAEMON_SETS, wanted("v2"))
        await world.settle()
        # then everything is its own, and stays as it was
        after = await world.all(PODS), await world.all(CONTROLLER_REVISIONS)
        assert [[one.metadata.uid for one in found] for found in after] == [[one.metadata.uid for one in found] for found in before]
        assert {ref.uid for found in after for one in found for ref in one.metadata.ownerReferences} == {again.metadata.uid}
        assert sorted(one.revision for one in after[1]) == [1, 2]
        assert (await world.get(DAEMON_SETS, "d")).status.updatedNumberScheduled == 1

    run(build, scenario)


def test_of_two_revisions_of_one_template_the_newer_is_kept() -> None:
    async def scenario(world: World) -> None:
        # given a set with a pod
        await node(world, "n1")
        await world.make(DAEMON_SETS, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template("v1")}})
        await world.settle()
        await ready(world)
        [first], [pod] = await world.all(CONTROLLER_REVISIONS), await world.all(PODS)
        # when somebody makes another revision of its template
        await world.server.client.create(CONTROLLER_REVISIONS, ControllerRevision(
            metadata=ObjectMeta(name="copy", namespace="default", labels={"app": "d", HASH_LABEL: "copied"}), data=first.data, revision=5))
        await world.settle()
        # then it is adopted and kept, and the pod is of it
        [kept], [now] = await world.all(CONTROLLER_REVISIONS), await world.all(PODS)
        assert (kept.metadata.name, kept.revision, [ref.name for ref in kept.metadata.ownerReferences]) == ("copy", 5, ["d"])
        assert (now.metadata.uid, now.metadata.labels[HASH_LABEL]) == (pod.metadata.uid, "copied")
        assert (await world.get(DAEMON_SETS, "d")).status.updatedNumberScheduled == 1

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [DaemonSetController(world.context)])
