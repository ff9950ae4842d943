"""The simulated runtime passes the suite of the real one, and keeps the cluster's time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sampan.aio.clock import SystemClock, VirtualClock
from sampan.lib.clock import Identity
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import CreatePodSandboxError, RuntimeFault
from sampan.node.runtimes.programs import Process, Program
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.node.runtimes.simulated_images import SimulatedImages
from sampan.node.runtimes.spec import ContainerSpec, PodSandboxSpec, Resources
from sampan.node.runtimes.status import EventKind, State
from sampan.testing.runtime import RuntimeConformance


class TestSimulatedRuntime(RuntimeConformance):
    @asynccontextmanager
    async def open_runtime(self) -> AsyncIterator[Runtime]:
        images = SimulatedImages({"busybox": Program(), "broken": Program(start_error="exec: no such file")}, strict=True)
        runtime = SimulatedRuntime(SystemClock(), Identity(random.Random(7)), images)
        yield runtime
        await runtime.shutdown()


class World:
    """A simulated runtime on a virtual clock."""

    def __init__(self, **programs: Program) -> None:
        self.clock = VirtualClock()
        self.runtime = SimulatedRuntime(self.clock, Identity(random.Random(1)), SimulatedImages(programs), "10.244.3.0/24")

    async def pod(self, image: str, *command: str, **fields: object) -> str:
        spec = PodSandboxSpec("p", "default", Identity().uid())
        sandbox = await self.runtime.run_sandbox(spec)
        found = await self.runtime.pull_image(image)
        made = ContainerSpec("main", found, image, command=command, **fields)  # type: ignore[arg-type]
        id = await self.runtime.create_container(sandbox, made, spec)
        await self.runtime.start_container(id)
        return id


def test_a_declared_exit_happens_in_the_clocks_time() -> None:
    async def body() -> None:
        # given
        world = World(job=Program(exit_after_seconds=3600, exit_code=4))
        id = await world.pod("job")
        # when almost an hour has passed
        await world.clock.advance(3599)
        assert (await world.runtime.container_status(id)).container.state is State.RUNNING
        await world.clock.advance(1)
        # then
        status = await world.runtime.container_status(id)
        assert (status.container.state, status.exit_code, status.reason) == (State.EXITED, 4, "Error")
        assert status.started_at is not None
        assert status.finished_at is not None
        assert (status.finished_at - status.started_at).total_seconds() == 3600
    asyncio.run(body())


def test_a_coroutine_is_a_container() -> None:
    async def worker(process: Process) -> int:
        await process.print(f"working for {process.pod}")
        await process.sleep(60)
        return 0

    async def body() -> None:
        world = World(worker=Program(main=worker))
        id = await world.pod("worker")
        await world.clock.advance(60)
        status = await world.runtime.container_status(id)
        assert status.reason == "Completed"
        assert b"stdout F working for default/p\n" in await world.runtime.read_log(status.log_path, 0, 1000)
    asyncio.run(body())


def test_a_coroutine_that_fails_ends_with_one_and_says_why() -> None:
    async def broken(_process: Process) -> int:
        raise ValueError("out of cheese")

    async def body() -> None:
        world = World(broken=Program(main=broken))
        id = await world.pod("broken")
        await world.clock.turns(5)
        status = await world.runtime.container_status(id)
        assert status.exit_code == 1
        assert b"stderr F ValueError: out of cheese" in await world.runtime.read_log(status.log_path, 0, 1000)
    asyncio.run(body())


def test_using_more_memory_than_the_limit_is_oomkilled() -> None:
    async def greedy(process: Process) -> int:
        process.use_memory(200 << 20)
        return 0

    async def body() -> None:
        world = World(greedy=Program(main=greedy))
        id = await world.pod("greedy", resources=Resources(memory_bytes=100 << 20))
        await world.clock.turns(5)
        status = await world.runtime.container_status(id)
        assert (status.exit_code, status.reason) == (137, "OOMKilled")
    asyncio.run(body())


def test_a_program_that_handles_term_has_its_grace() -> None:
    async def polite(process: Process) -> int:
        await process.terminated.wait()
        await process.sleep(5)
        return 0

    async def body() -> None:
        for grace, code in ((10.0, 0), (3.0, 137)):
            world = World(polite=Program(main=polite, handles_term=True))
            id = await world.pod("polite")
            await world.clock.turns(5)
            async with asyncio.TaskGroup() as group:
                group.create_task(world.runtime.stop_container(id, grace))
                await world.clock.advance(20)
            assert (await world.runtime.container_status(id)).exit_code == code
    asyncio.run(body())


def test_a_slow_pull_takes_the_clocks_time_and_a_failing_one_says_so() -> None:
    async def body() -> None:
        world = World(big=Program(pull_seconds=30), gone=Program(pull_error="manifest unknown"))
        async with asyncio.TaskGroup() as group:
            pulling = group.create_task(world.runtime.pull_image("big"))
            await world.clock.advance(29)
            assert not pulling.done()
            await world.clock.advance(1)
        with pytest.raises(RuntimeFault, match="manifest unknown"):
            await world.runtime.pull_image("gone")
    asyncio.run(body())


def test_a_planted_fault_is_raised_once() -> None:
    async def body() -> None:
        world = World()
        world.runtime.faults["run_sandbox"] = [CreatePodSandboxError("the network plugin is not ready")]
        with pytest.raises(CreatePodSandboxError):
            await world.pod("web")
        await world.pod("web")
    asyncio.run(body())


def test_addresses_are_in_the_nodes_range_and_free_again() -> None:
    async def body() -> None:
        world = World()
        seen: set[str] = set()
        for number in range(600):
            sandbox = await world.runtime.run_sandbox(PodSandboxSpec("p", "n", str(number)))
            seen.update((await world.runtime.sandbox_status(sandbox)).ips)
            await world.runtime.remove_sandbox(sandbox)
        assert len(seen) == 253
        assert all(ip.startswith("10.244.3.") for ip in seen)
    asyncio.run(body())


def test_a_subscriber_that_does_not_read_is_told_to_list_again() -> None:
    async def body() -> None:
        world = World()
        events = world.runtime.events()
        await anext(events)
        for number in range(400):
            await world.runtime.run_sandbox(PodSandboxSpec("p", "n", str(number)))
            if number == 0:
                assert (await anext(events)).kind is EventKind.STARTED
            if number == 99:
                await world.runtime.update_pod_cidr("10.245.0.0/16")
        assert EventKind.RELIST in [(await anext(events)).kind for _ in range(40)]
        await events.aclose()  # type: ignore[attr-defined]
    asyncio.run(body())


def test_pods_that_run_for_ever_cost_no_task() -> None:
    async def body() -> None:
        world = World()
        for _ in range(100):
            await world.pod("web", "nginx", "-g", "daemon off;")
        assert len(asyncio.all_tasks()) == 1
    asyncio.run(body())
