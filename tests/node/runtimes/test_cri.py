"""The real runtime passes the suite, survives its containerd, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.drivers.containerd import Containerd, ContainerdSettings
from sampan.lib.clock import Identity
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.cri import CriRuntime
from sampan.node.runtimes.errors import Unavailable
from sampan.node.runtimes.spec import ContainerSpec, Mount, Namespace, PodSandboxSpec, Resources, Security
from sampan.node.runtimes.status import ContainerStatus, EventKind, State
from sampan.testing.containers import assert_nothing_left, machine_state, real_containerd
from sampan.testing.runtime import RuntimeConformance, until
from sampan.testing.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def containerd() -> Iterator[ContainerdSettings]:
    before = machine_state("sampan-")
    with real_containerd() as settings:
        yield settings
    assert_nothing_left("sampan-", before)


class TestCriRuntime(RuntimeConformance):
    @pytest.fixture(autouse=True)
    def _endpoint(self, containerd: ContainerdSettings) -> None:
        self.endpoint = containerd.endpoint

    @asynccontextmanager
    async def open_runtime(self) -> AsyncIterator[Runtime]:
        runtime = CriRuntime(self.endpoint, SystemClock())
        yield runtime
        await runtime.close()


def test_pods_survive_their_containerd(containerd: ContainerdSettings) -> None:
    async def body() -> None:
        # given a running container that somebody else's containerd object started
        keeper, runtime = Containerd(containerd, SystemClock()), CriRuntime(containerd.endpoint, SystemClock())
        await keeper.start()
        spec, id = await _sleeper(runtime)
        before = await runtime.container_status(id)
        events = runtime.events()
        assert (await anext(events)).kind is EventKind.RELIST
        async with Tasks() as tasks:
            tasks.start(keeper.run(), "containerd")
            # when containerd is killed
            killed = keeper.pid
            os.kill(killed, signal.SIGKILL)
            # then the events' reader is told to list again, and all is as it was
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await anext(events)).kind is not EventKind.RELIST:
                    pass
            assert keeper.pid not in (0, killed)
            assert await runtime.container_status(id) == before
            assert (await runtime.exec_sync(id, ["echo", "alive"], 10)).stdout == b"alive\n"
        await runtime.remove_sandbox((await runtime.list_sandboxes({"uid": spec.uid}))[0].id)
        await events.aclose()  # type: ignore[attr-defined]
        await runtime.close()
    asyncio.run(body())


def test_a_runtime_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async def body() -> None:
        runtime = CriRuntime(f"unix://{tmp_path}/nothing.sock", SystemClock())
        with pytest.raises(Unavailable):
            await runtime.version()
        await runtime.close()
    asyncio.run(body())


def test_limits_users_and_mounts_reach_the_kernel(containerd: ContainerdSettings, tmp_path: Path) -> None:
    async def body() -> None:
        runtime = CriRuntime(containerd.endpoint, SystemClock())
        tmp_path.chmod(0o755)
        (tmp_path / "page").write_text("hello")
        security = Security(uid=1234, gid=5678, supplemental_groups=(42,), readonly_root=True, no_new_privileges=True,
                            drop_capabilities=("ALL",))
        spec, id = await _sleeper(
            runtime, security=security, mounts=(Mount("/data", str(tmp_path), readonly=True),),
            resources=Resources(cpu_shares=512, memory_bytes=64 << 20, cpu_quota=50_000, cpu_period=100_000))

        async def said(*command: str) -> str:
            result = await runtime.exec_sync(id, command, 10)
            return (result.stdout + result.stderr).decode().strip()
        # then
        assert await said("id") == "uid=1234 gid=5678 groups=42,5678"
        assert await said("cat", "/data/page") == "hello"
        assert "Read-only file system" in await said("touch", "/data/x")
        assert "Read-only file system" in await said("touch", "/x")
        assert "CapEff:\t0000000000000000" in await said("grep", "CapEff", "/proc/self/status")
        assert "NoNewPrivs:\t1" in await said("grep", "NoNewPrivs", "/proc/self/status")
        limit = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
        assert str(64 << 20) in await said("sh", "-c", f"cat {limit} 2>/dev/null")
        # when they are updated
        await runtime.update_container_resources(id, Resources(cpu_shares=512, memory_bytes=96 << 20))
        assert str(96 << 20) in await said("sh", "-c", f"cat {limit} 2>/dev/null")
        await runtime.remove_sandbox((await runtime.list_sandboxes({"uid": spec.uid}))[0].id)
        await runtime.close()
    asyncio.run(body())


def test_a_container_over_its_limit_is_oomkilled(containerd: ContainerdSettings) -> None:
    async def body() -> None:
        runtime = CriRuntime(containerd.endpoint, SystemClock())
        # given a program that fills a memory-backed file in its own limit
        spec, id = await _sleeper(runtime, command=("sh", "-c", "x=0123456789; while :; do x=$x$x; done"),
                                  resources=Resources(memory_bytes=16 << 20, memory_swap_bytes=16 << 20))

        async def look() -> ContainerStatus | None:
            status = await runtime.container_status(id)
            return status if status.container.state is State.EXITED else None
        status = await until(look)
        assert (status.exit_code, status.reason) == (137, "OOMKilled")
        await runtime.remove_sandbox((await runtime.list_sandboxes({"uid": spec.uid}))[0].id)
        await runtime.close()
    asyncio.run(body())


def test_a_pod_on_the_hosts_network_has_no_address_of_its_own(containerd: ContainerdSettings) -> None:
    async def body() -> None:
        runtime = CriRuntime(containerd.endpoint, SystemClock())
        spec = PodSandboxSpec("host", "default", Identity().uid(), labels={"uid": "host"},
                              security=Security(network=Namespace.NODE))
        sandbox = await runtime.run_sandbox(spec)
        assert (await runtime.sandbox_status(sandbox)).ips == ()
        await runtime.remove_sandbox(sandbox)
        await runtime.close()
    asyncio.run(body())


async def _sleeper(runtime: CriRuntime, command: tuple[str, ...] = ("sleep", "1000"),
                   **fields: object) -> tuple[PodSandboxSpec, str]:
    uid = Identity().uid()
    spec = PodSandboxSpec("sleeper", "default", uid, labels={"uid": uid})
    sandbox = await runtime.run_sandbox(spec)
    made = ContainerSpec("main", "busybox", "busybox", command=command, **fields)  # type: ignore[arg-type]
    id = await runtime.create_container(sandbox, made, spec)
    await runtime.start_container(id)
    return spec, id
