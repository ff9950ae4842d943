"""A node agent's work on an in-process API server, the simulated runtime and virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.node.one_node import NODE, OneNode, one_node

from sampan.api.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSource,
    Container,
    EnvVar,
    EnvVarSource,
    ExecAction,
    HTTPGetAction,
    ObjectFieldSelector,
    Pod,
    Probe,
    TCPSocketAction,
    Volume,
    VolumeMount,
)
from sampan.api.errors import NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, LEASES, NODES, PODS
from sampan.client.base import DeleteOptions
from sampan.node.runtimes.programs import Process, Program
from sampan.testing import waiting

Check = Callable[[OneNode], Awaitable[None]]


def with_node(root: Path, check: Check, **programs: Program) -> None:
    async def run() -> None:
        async with one_node(root, programs) as node:
            await check(node)

    waiting.run(run())


def web(image: str = "web", **more: object) -> Container:
    return Container(name="main", image=image, **more)  # type: ignore[arg-type]


async def gone(node: OneNode, name: str = "web") -> bool:
    try:
        await node.pod(name)
    except NotFound:
        return True
    return False


def test_a_node_registers_and_renews_its_lease(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        found = await node.client.get(NODES, NODE)
        assert {c.type: c.status for c in found.status.conditions}["Ready"] == "True"

        async def renewed() -> str:
            return str((await node.client.get(LEASES, NODE, "kube-node-lease")).spec.renewTime)

        first = await renewed()
        await node.clock.advance(15)
        assert await renewed() > first

    with_node(tmp_path, check)


def test_a_pod_runs_is_reported_and_goes_when_it_is_deleted(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        await node.create(web())
        running = await node.until_phase("Running")
        assert running.status.podIP.startswith("10.244.0.")
        assert running.status.containerStatuses[0].containerID.startswith("simulated://")
        await node.client.delete(PODS, "web", "default")
        await node.until(lambda: gone(node))
        assert not await node.runtime.list_sandboxes()
        assert not (tmp_path / "pods").exists() or not list((tmp_path / "pods").iterdir())

    with_node(tmp_path, check)


def test_a_node_of_a_fleet_tells_of_a_pod_once_but_not_too_late(tmp_path: Path) -> None:
    async def check() -> None:
        async with one_node(tmp_path, {"slow": Program(pull_seconds=30)}, gather_seconds=1.0) as node:
            told = list[tuple[str, str]]()

            async def follow() -> None:
                async for event in node.client.watch(PODS, "default"):
                    told.append((event.object.metadata.name, event.object.status.phase))

            assert node.tasks is not None
            node.tasks.start(follow(), "follow")
            # when containers start at once, then one write tells of everything
            await node.create(web())
            await node.until_phase("Running")
            await node.clock.advance(5)
            assert told == [("web", "Pending"), ("web", "Running")]
            # when a pull takes long, then it is told of meanwhile
            await node.create(web("slow"), name="slow")
            await node.clock.advance(0.5)
            assert not (await node.pod("slow")).status.containerStatuses
            await node.clock.advance(0.6)
            state = (await node.pod("slow")).status.containerStatuses[0].state
            assert state.waiting is not None
            assert state.waiting.reason == "ContainerCreating"
            await node.clock.advance(30)
            await node.until_phase("Running", "slow")
            assert told[2:] == [("slow", "Pending")] * 2 + [("slow", "Running")]
            # when one ends
            await node.client.delete(PODS, "web", "default", DeleteOptions(grace_period_seconds=0))
            await node.until(lambda: gone(node))

    waiting.run(check())


def test_a_job_pod_ends_and_stays_listed(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        await node.create(web("work"), restartPolicy="Never")
        await node.until_phase("Running")
        await node.clock.advance(6)
        done = await node.until_phase("Succeeded")
        assert done.status.containerStatuses[0].state.terminated is not None

    with_node(tmp_path, check, work=Program(exit_after_seconds=5))


def test_a_crashing_container_backs_off_longer_each_time(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        await node.create(web("crash"))

        async def restarts(count: int) -> bool:
            statuses = (await node.pod()).status.containerStatuses
            return bool(statuses) and statuses[0].restartCount >= count

        async def waits() -> bool:
            statuses = (await node.pod()).status.containerStatuses
            return bool(statuses) and statuses[0].state.waiting is not None and statuses[0].state.waiting.reason == "CrashLoopBackOff"

        await node.until(lambda: restarts(1))
        await node.until(waits)
        await node.clock.advance(9)
        assert not await restarts(2)
        await node.clock.advance(2)
        await node.until(lambda: restarts(2))
        await node.until(waits)
        await node.clock.advance(18)
        assert not await restarts(3)
        await node.clock.advance(4)
        await node.until(lambda: restarts(3))

    with_node(tmp_path, check, crash=Program(exit_after_seconds=0, exit_code=1))


def test_a_failing_readiness_probe_takes_the_pod_out_and_liveness_restarts_it(tmp_path: Path) -> None:
    healthy = {"ready": True, "alive": True}

    async def answer(process: Process) -> int:
        return 0 if healthy[process.argv[-1]] else 1

    async def check(node: OneNode) -> None:
        def probe(what: str) -> Probe:
            return Probe(exec=ExecAction(command=["check", what]), periodSeconds=5, failureThreshold=2)

        await node.create(web(readinessProbe=probe("ready"), livenessProbe=probe("alive")))

        async def ready(wanted: bool) -> bool:
            return any(c.type == "Ready" and c.status == str(wanted) for c in (await node.pod()).status.conditions)

        await node.until(lambda: ready(True))
        healthy["ready"] = False
        await node.clock.advance(11)
        await node.until(lambda: ready(False))
        healthy["ready"] = True
        await node.clock.advance(6)
        await node.until(lambda: ready(True))
        healthy["alive"] = False
        await node.clock.advance(11)
        healthy["alive"] = True

        async def restarted() -> bool:
            await node.clock.advance(1)
            return (await node.pod()).status.containerStatuses[0].restartCount == 1

        await node.until(restarted)
        assert any(reason == "Killing" and "failed liveness probe" in message for reason, message in node.events)

    with_node(tmp_path, check, web=Program(exec=answer))


def test_probes_of_simulated_pods_never_leave_for_the_network(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        probe = Probe(httpGet=HTTPGetAction(port=8080, path="/"), periodSeconds=1)
        await node.create(web(readinessProbe=probe, livenessProbe=Probe(tcpSocket=TCPSocketAction(port=9)), startupProbe=probe))

        async def ready() -> bool:
            return any(c.type == "Ready" and c.status == "True" for c in (await node.pod()).status.conditions)

        await node.until(ready)
        assert not any(reason == "Unhealthy" for reason, _ in node.events)

    with_node(tmp_path, check)


def test_a_volume_follows_its_config_map(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        config: ConfigMap = await node.client.create(CONFIG_MAPS, ConfigMap(
            metadata=ObjectMeta(name="page", namespace="default"), data={"index.html": "one"}))
        volume = Volume(name="page", configMap=ConfigMapVolumeSource(name="page"))
        pod = await node.create(web(volumeMounts=[VolumeMount(name="page", mountPath="/www")]), volumes=[volume])
        await node.until_phase("Running")
        file = tmp_path / "pods" / pod.metadata.uid / "volumes" / "kubernetes.io~configmap" / "page" / "index.html"
        assert file.read_text() == "one"
        await node.client.patch(CONFIG_MAPS, config.metadata.name, "default", {"data": {"index.html": "two"}})
        await node.until(lambda: file.read_text() == "two")

    with_node(tmp_path, check)


def test_a_pod_waits_for_a_config_map_that_is_missing(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        await node.create(web(), volumes=[Volume(name="page", configMap=ConfigMapVolumeSource(name="page"))])
        await node.until(lambda: any(reason == "FailedMount" and 'configmap "page" not found' in message for reason, message in node.events))
        await node.client.create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name="page", namespace="default")))
        await node.clock.advance(5)
        await node.until_phase("Running")

    with_node(tmp_path, check)


def test_an_agent_that_comes_back_finds_its_pods_running(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        assert node.tasks is not None
        await node.create(web())
        await node.until_phase("Running")
        before = [c.id for c in await node.runtime.list_containers()]
        first = next(task for task in node.tasks._tasks if task.get_name() == "one node")
        first.cancel()
        await asyncio.wait([first])
        await node.start_agent()
        await node.clock.advance(5)
        assert [c.id for c in await node.runtime.list_containers()] == before
        assert (await node.pod()).status.containerStatuses[0].restartCount == 0

    with_node(tmp_path, check)


def test_pods_that_the_api_forgot_are_stopped(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        assert node.tasks is not None
        await node.create(web())
        await node.until_phase("Running")
        first = next(task for task in node.tasks._tasks if task.get_name() == "one node")
        first.cancel()
        await asyncio.wait([first])
        await node.client.delete(PODS, "web", "default", DeleteOptions(grace_period_seconds=0))
        await node.start_agent()
        await node.clock.advance(5)

        async def empty() -> bool:
            return not await node.runtime.list_sandboxes()

        await node.until(empty)

    with_node(tmp_path, check)


def test_a_forced_deletion_stops_at_once(tmp_path: Path) -> None:
    async def check(node: OneNode) -> None:
        await node.create(web("stubborn"), terminationGracePeriodSeconds=600)
        await node.until_phase("Running")
        await node.client.delete(PODS, "web", "default", DeleteOptions(grace_period_seconds=0))

        async def empty() -> bool:
            await node.clock.advance(1)
            return not await node.runtime.list_sandboxes()

        await node.until(empty)

    with_node(tmp_path, check, stubborn=Program(handles_term=True))


@pytest.mark.parametrize("error", ["not found", "access denied"])
def test_an_image_that_cannot_be_pulled_backs_off(tmp_path: Path, error: str) -> None:
    async def check(node: OneNode) -> None:
        await node.create(web("bad"))

        async def waits() -> str:
            pod: Pod = await node.pod()
            state = pod.status.containerStatuses[0].state if pod.status.containerStatuses else None
            return state.waiting.reason or "" if state is not None and state.waiting is not None else ""

        async def backs_off() -> bool:
            await node.clock.advance(0.5)
            return await waits() == "ImagePullBackOff"

        await node.until(backs_off)
        assert ("Failed", "Error: ErrImagePull") in node.events

    with_node(tmp_path, check, bad=Program(pull_error=error))


def test_a_mistake_of_ours_leaves_no_pod_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check(node: OneNode) -> None:
        # given a turn that ends in what nobody foresaw
        node.runtime.faults["create_container"] = [KeyError("surprise")]  # type: ignore[list-item]
        await node.create(web())
        await node.until(lambda: "a pod's worker failed" in caplog.text)
        # when time goes by
        await node.clock.advance(3)
        # then it was tried again
        await node.until_phase("Running")

    with_node(tmp_path, check)


@pytest.mark.parametrize("host", [False, True])
def test_a_container_is_told_the_address_that_its_pod_has_since_this_turn(tmp_path: Path, host: bool) -> None:
    told: list[tuple[str, str]] = []

    async def main(process: Process) -> int:
        told.append((process.env["IP"], process.env["IPS"]))
        return 0

    async def check(node: OneNode) -> None:
        env = [EnvVar(name=name, valueFrom=EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath=f"status.{field}")))
               for name, field in (("IP", "podIP"), ("IPS", "podIPs"))]
        # given an image that is there: nothing is waited for between sandbox and container
        await node.create(web(env=env, imagePullPolicy="IfNotPresent"), name="before", restartPolicy="Never")
        await node.until_phase("Succeeded", "before")
        told.clear()
        # when
        await node.create(web(env=env, imagePullPolicy="IfNotPresent"), restartPolicy="Never", hostNetwork=host)
        # then
        ended = await node.until_phase("Succeeded")
        assert told == [(ended.status.podIP, ended.status.podIP)]
        assert ended.status.podIP == "192.0.2.7" if host else ended.status.podIP.startswith("10.244.0.")

    with_node(tmp_path, check, web=Program(main=main))
