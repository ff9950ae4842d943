"""What every `Runtime` does: the conformance suite that the real and the simulated one both pass.

A subclass named `Test…` gives `open_runtime`, a runtime on which the images `busybox` and `broken` (whose program is not
there) are present or can be pulled. Commands are busybox's: `sleep`, `echo`, `cat`, `env`, `true`, `false`, `sh -c`, `nc`.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest
from msgspec.structs import replace

from sampan.aio.clock import SystemClock
from sampan.lib.clock import Identity
from sampan.node.runtimes.base import Channel, Runtime, StreamSession
from sampan.node.runtimes.errors import BadExec, ErrImagePull, InvalidImageName, NameTaken, NotFound, RunContainerError
from sampan.node.runtimes.errors import Timeout as ExecTimeout
from sampan.node.runtimes.spec import ContainerSpec, PodSandboxSpec
from sampan.node.runtimes.status import ContainerStatus, EventKind, RuntimeEvent, State
from sampan.testing.waiting import PATIENCE_SECONDS

T = TypeVar("T")


@dataclass
class Bench:
    """A runtime and one sandbox on it."""

    runtime: Runtime
    sandbox: PodSandboxSpec
    sandbox_id: str

    async def image(self, name: str) -> str:
        """The reference of an image, pulled where it is not here."""
        found = await self.runtime.image_status(name)
        return found.id if found is not None else await self.runtime.pull_image(name)

    async def create(self, *command: str, image: str = "busybox", name: str = "main", **fields: Any) -> str:
        """A container with that command."""
        spec = ContainerSpec(name, await self.image(image), image, command=command, log_path=f"{name}.log", **fields)
        return await self.runtime.create_container(self.sandbox_id, spec, self.sandbox)

    async def start(self, *command: str, **fields: Any) -> str:
        """A started one."""
        id = await self.create(*command, **fields)
        await self.runtime.start_container(id)
        return id

    async def ended(self, id: str) -> ContainerStatus:
        """The status once it has exited."""
        async def look() -> ContainerStatus | None:
            status = await self.runtime.container_status(id)
            return status if status.container.state is State.EXITED else None
        return await until(look)

    async def log(self, id: str, lines: int) -> list[str]:
        """The log, once it has that many lines, without times."""
        path = (await self.runtime.container_status(id)).log_path

        async def look() -> list[str] | None:
            with suppress(NotFound):
                text = (await self.runtime.read_log(path, 0, 1 << 20)).decode()
                found = [line.partition(" ")[2] for line in text.splitlines()]
                return found if len(found) >= lines else None
            return None
        return await until(look)


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` gives as soon as it is not None."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (found := await look()) is None:  # noqa: ASYNC110 - what is awaited is outside of this process
            await asyncio.sleep(0.01)
        return found


async def drain(session: StreamSession) -> tuple[bytes, bytes, dict[str, Any]]:
    """All of a session: stdout, stderr, status."""
    said = {Channel.STDOUT: b"", Channel.STDERR: b"", Channel.ERROR: b""}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (frame := await session.receive()) is not None:
            said[frame.channel] += frame.data
    await session.close()
    return said[Channel.STDOUT], said[Channel.STDERR], json.loads(said[Channel.ERROR])


def on_bench(test: Callable[[Any, Bench], Awaitable[None]]) -> Callable[[Any], None]:
    """Run a coroutine test on a fresh sandbox that is removed afterwards."""
    def run(self: RuntimeConformance) -> None:
        async def body() -> None:
            async with self.open_runtime() as runtime:
                uid = Identity().uid()
                with tempfile.TemporaryDirectory() as logs:
                    spec = PodSandboxSpec("web", "default", uid, hostname="web", log_directory=logs,
                                          labels={"app": "web", "uid": uid}, annotations={"note": "kept"})
                    bench = Bench(runtime, spec, await runtime.run_sandbox(spec))
                    try:
                        await test(self, bench)
                    finally:
                        for sandbox in await runtime.list_sandboxes({"uid": uid}):
                            await runtime.remove_sandbox(sandbox.id)
        asyncio.run(body())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


class RuntimeConformance:
    """The suite."""

    clock: ClassVar[SystemClock] = SystemClock()

    def open_runtime(self) -> AbstractAsyncContextManager[Runtime]:
        """The runtime under test."""
        raise NotImplementedError

    @on_bench
    async def test_a_runtime_says_who_it_is_and_is_ready(self, bench: Bench) -> None:
        version, status = await bench.runtime.version(), await bench.runtime.status()
        assert version.name
        assert version.version[0].isdigit()
        assert status.runtime_ready
        assert status.network_ready, status.network_message

    # sandboxes

    @on_bench
    async def test_a_sandbox_is_listed_with_its_labels_and_address(self, bench: Bench) -> None:
        seen = await bench.runtime.list_sandboxes({"uid": bench.sandbox.uid})
        assert [item.id for item in seen] == [bench.sandbox_id]
        assert (seen[0].name, seen[0].namespace, seen[0].uid) == ("web", "default", bench.sandbox.uid)
        assert seen[0].annotations["note"] == "kept"
        status = await bench.runtime.sandbox_status(bench.sandbox_id)
        assert status.sandbox.ready
        assert len(status.ips) == 1
        assert await bench.runtime.list_sandboxes({"uid": "another"}) == []

    @on_bench
    async def test_a_stopped_sandbox_is_not_ready_and_a_removed_one_is_gone(self, bench: Bench) -> None:
        container = await bench.start("sleep", "1000")
        # when stopped, twice
        await bench.runtime.stop_sandbox(bench.sandbox_id)
        await bench.runtime.stop_sandbox(bench.sandbox_id)
        # then its container is too
        assert not (await bench.runtime.sandbox_status(bench.sandbox_id)).sandbox.ready
        assert (await bench.ended(container)).exit_code == 137
        # when removed, twice
        await bench.runtime.remove_sandbox(bench.sandbox_id)
        await bench.runtime.remove_sandbox(bench.sandbox_id)
        with pytest.raises(NotFound):
            await bench.runtime.sandbox_status(bench.sandbox_id)
        with pytest.raises(NotFound):
            await bench.runtime.container_status(container)

    @on_bench
    async def test_a_name_is_taken_until_the_attempt_is_another(self, bench: Bench) -> None:
        with pytest.raises(NameTaken):
            await bench.runtime.run_sandbox(bench.sandbox)
        second = await bench.runtime.run_sandbox(replace(bench.sandbox, attempt=1))
        assert second != bench.sandbox_id
        await bench.create("true")
        with pytest.raises(NameTaken):
            await bench.create("true")
        await bench.create("true", attempt=1)

    # containers

    @on_bench
    async def test_a_container_is_created_then_running_then_killed(self, bench: Bench) -> None:
        id = await bench.create("sleep", "1000", labels={"container": "main"}, annotations={"a": "b"})
        created = await bench.runtime.container_status(id)
        assert created.container.state is State.CREATED
        assert created.started_at is None
        await bench.runtime.start_container(id)
        running = await bench.runtime.container_status(id)
        assert running.container.state is State.RUNNING
        assert running.started_at is not None
        assert running.finished_at is None
        # when stopped without grace, twice
        await bench.runtime.stop_container(id, 0)
        await bench.runtime.stop_container(id, 0)
        # then
        ended = await bench.ended(id)
        assert (ended.exit_code, ended.reason) == (137, "Error")
        assert ended.finished_at is not None
        assert ended.finished_at >= running.started_at
        assert ended.container.labels["container"] == "main"
        assert ended.container.annotations["a"] == "b"
        assert ended.container.sandbox_id == bench.sandbox_id

    @on_bench
    async def test_exit_codes_and_reasons_are_told(self, bench: Bench) -> None:
        for attempt, (command, code, reason) in enumerate([
                (("true",), 0, "Completed"), (("false",), 1, "Error"), (("sh", "-c", "exit 3"), 3, "Error")]):
            ended = await bench.ended(await bench.start(*command, attempt=attempt))
            assert (ended.exit_code, ended.reason) == (code, reason)

    @on_bench
    async def test_a_program_that_is_not_there_cannot_be_started(self, bench: Bench) -> None:
        id = await bench.create(image="broken")
        with pytest.raises(RunContainerError):
            await bench.runtime.start_container(id)
        status = await bench.runtime.container_status(id)
        assert (status.container.state, status.exit_code, status.reason) == (State.EXITED, 128, "StartError")
        assert status.message

    @on_bench
    async def test_containers_are_listed_by_sandbox_and_label(self, bench: Bench) -> None:
        one = await bench.create("true", name="one", labels={"n": "1", "uid": bench.sandbox.uid})
        two = await bench.start("sleep", "1000", name="two", labels={"n": "2", "uid": bench.sandbox.uid})
        seen = {item.id: item for item in await bench.runtime.list_containers(bench.sandbox_id)}
        assert set(seen) == {one, two}
        assert (seen[two].name, seen[two].state, seen[one].state) == ("two", State.RUNNING, State.CREATED)
        chosen = await bench.runtime.list_containers(labels={"n": "1", "uid": bench.sandbox.uid})
        assert [item.id for item in chosen] == [one]
        # when removed, running or not
        await bench.runtime.remove_container(one)
        await bench.runtime.remove_container(two)
        await bench.runtime.remove_container(two)
        assert await bench.runtime.list_containers(bench.sandbox_id) == []

    @on_bench
    async def test_what_is_not_there_is_not_found_or_gone_already(self, bench: Bench) -> None:
        ghost = "0" * 64
        with pytest.raises(NotFound):
            await bench.runtime.container_status(ghost)
        with pytest.raises(NotFound):
            await bench.runtime.sandbox_status(ghost)
        with pytest.raises(NotFound):
            await bench.runtime.exec_sync(ghost, ["true"], 1)
        await bench.runtime.stop_container(ghost, 1)
        await bench.runtime.remove_container(ghost)
        await bench.runtime.stop_sandbox(ghost)
        await bench.runtime.remove_sandbox(ghost)

    # images

    @on_bench
    async def test_an_image_is_known_by_name_and_id(self, bench: Bench) -> None:
        id = await bench.image("busybox")
        found = await bench.runtime.image_status("busybox:latest")
        assert found is not None
        assert found.tags == ("docker.io/library/busybox:latest",)
        assert await bench.runtime.image_status(id) == found
        assert found.id in [image.id for image in await bench.runtime.list_images()]
        assert found.size_bytes > 0

    @on_bench
    async def test_images_that_cannot_be_are_refused(self, bench: Bench) -> None:
        assert await bench.runtime.image_status("127.0.0.1:9/no/such:image") is None
        with pytest.raises(ErrImagePull):
            await bench.runtime.pull_image("127.0.0.1:9/no/such:image")
        with pytest.raises(InvalidImageName, match="couldn't parse image name"):
            await bench.runtime.pull_image("Not//An Image")

    # logs

    @on_bench
    async def test_a_log_has_both_outputs_in_the_cri_format(self, bench: Bench) -> None:
        id = await bench.start("sh", "-c", "echo one; echo two >&2")
        await bench.ended(id)
        assert sorted(await bench.log(id, 2)) == ["stderr F two", "stdout F one"]

    @on_bench
    async def test_environment_and_arguments_reach_the_command(self, bench: Bench) -> None:
        id = await bench.start("env", env=(("GREETING", "hello"), ("EMPTY", "")))
        lines = await bench.log(id, 2)
        await bench.ended(id)
        assert "stdout F GREETING=hello" in await bench.log(id, 2), lines
        said = await bench.start("echo", args=("a b", "c"), attempt=1)
        await bench.ended(said)
        assert "stdout F a b c" in await bench.log(said, 1)

    @on_bench
    async def test_a_reopened_log_is_another_file(self, bench: Bench) -> None:
        id = await bench.start("sh", "-c", "echo one; sleep 1000")
        await bench.log(id, 1)
        path = (await bench.runtime.container_status(id)).log_path
        before = await bench.runtime.log_end(path)
        assert before.size_bytes > 0
        # when rotated
        if os.path.exists(path):
            os.rename(path, f"{path}.1")
        await bench.runtime.reopen_log(id)
        # then
        after = await bench.runtime.log_end(path)
        assert after.size_bytes == 0
        assert after.identity != before.identity
        await bench.runtime.stop_container(id, 0)
        await bench.runtime.reopen_log(id)

    # into a container

    @on_bench
    async def test_exec_sync_gives_code_and_outputs(self, bench: Bench) -> None:
        id = await bench.start("sleep", "1000")
        result = await bench.runtime.exec_sync(id, ["sh", "-c", "echo out; echo err >&2; exit 5"], 10)
        assert (result.exit_code, result.stdout, result.stderr) == (5, b"out\n", b"err\n")

    @on_bench
    async def test_exec_sync_ends_at_its_timeout(self, bench: Bench) -> None:
        id = await bench.start("sleep", "1000")
        with pytest.raises(ExecTimeout):
            await bench.runtime.exec_sync(id, ["sleep", "60"], 1)

    @on_bench
    async def test_a_container_that_has_ended_takes_no_command(self, bench: Bench) -> None:
        id = await bench.start("true")
        await bench.ended(id)
        with pytest.raises(BadExec):
            await bench.runtime.exec_sync(id, ["true"], 1)
        with pytest.raises(BadExec):
            await bench.runtime.exec(id, ["true"])

    @on_bench
    async def test_exec_reads_stdin_to_its_end(self, bench: Bench) -> None:
        # given more than any buffer on the way holds
        sent = b"0123456789abcdef" * (1 << 16)
        session = await bench.runtime.exec(await bench.start("sleep", "1000"), ["cat"], stdin=True)

        async def feed() -> None:
            for at in range(0, len(sent), 40_000):
                await session.send(sent[at:at + 40_000])
            await session.close_stdin()
        # when
        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            answer = group.create_task(drain(session))
        # then
        out, err, status = answer.result()
        assert out == sent
        assert err == b""
        assert status["status"] == "Success"

    @on_bench
    async def test_exec_tells_how_the_command_ended(self, bench: Bench) -> None:
        session = await bench.runtime.exec(await bench.start("sleep", "1000"), ["sh", "-c", "echo out; echo err >&2; exit 7"])
        out, err, status = await drain(session)
        assert (out, err) == (b"out\n", b"err\n")
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
        assert await session.receive() is None

    @on_bench
    async def test_exec_with_a_terminal_has_one_output(self, bench: Bench) -> None:
        session = await bench.runtime.exec(await bench.start("sleep", "1000"), ["sh", "-c", "echo out; echo err >&2"],
                                           stdin=True, tty=True)
        await session.resize(100, 40)
        out, err, _ = await drain(session)
        assert sorted(out.split()) == [b"err", b"out"]
        assert err == b""

    @on_bench
    async def test_a_session_can_be_closed_at_any_time(self, bench: Bench) -> None:
        session = await bench.runtime.exec(await bench.start("sleep", "1000"), ["sleep", "1000"], stdin=True)
        await session.close()
        await session.close()
        assert await session.receive() is None

    @on_bench
    async def test_attach_speaks_with_the_containers_own_process(self, bench: Bench) -> None:
        id = await bench.start("cat", stdin=True)
        session = await bench.runtime.attach(id, stdin=True)
        await session.send(b"hello\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame = await session.receive()
        assert frame is not None
        assert (frame.channel, frame.data) == (Channel.STDOUT, b"hello\n")
        await session.close()
        assert "stdout F hello" in await bench.log(id, 1)

    @on_bench
    async def test_port_forward_reaches_what_listens_in_the_pod(self, bench: Bench) -> None:
        await bench.start("nc", "-ll", "-p", "8080", "-e", "cat")
        forward = await bench.runtime.port_forward(bench.sandbox_id)

        async def answer() -> bytes | None:
            stream = await forward.open(8080)
            await stream.write(b"ping")
            got = await stream.read()
            await stream.close()
            return got or None
        # when it listens, then twice at once
        assert await until(answer) == b"ping"
        one, two = await forward.open(8080), await forward.open(8080)
        await one.write(b"one")
        await two.write(b"two")
        assert (await one.read(), await two.read()) == (b"one", b"two")
        # when the client has said all, the server ends
        await one.close_write()
        assert await one.read() == b""
        assert await one.error() == ""
        await forward.close()

    @on_bench
    async def test_port_forward_says_that_nobody_listens(self, bench: Bench) -> None:
        await bench.start("sleep", "1000")
        forward = await bench.runtime.port_forward(bench.sandbox_id)
        stream = await forward.open(81)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await stream.read() == b""
            assert "connection refused" in await stream.error()
        await forward.close()

    # events and counters

    @on_bench
    async def test_events_begin_with_relist_and_tell_what_is_true(self, bench: Bench) -> None:
        events = bench.runtime.events()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await anext(events) == RuntimeEvent(EventKind.RELIST)
            # the subscription may start a moment after the word: containers until one is told
            seen: list[RuntimeEvent] = []
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_until_stopped(events, seen, bench))
                for attempt in range(100):
                    await bench.ended(await bench.start("true", attempt=attempt))
                    if reading.done():
                        break
        stopped = seen[-1]
        assert stopped.kind is EventKind.STOPPED
        assert (await bench.runtime.container_status(stopped.id)).container.state is State.EXITED
        await events.aclose()  # type: ignore[attr-defined]

    @on_bench
    async def test_stats_count_what_runs(self, bench: Bench) -> None:
        id = await bench.start("sleep", "1000")

        async def look() -> bool | None:
            found = next((item for item in await bench.runtime.stats() if item.sandbox_id == bench.sandbox_id), None)
            mine = next((item for item in found.containers if item.id == id), None) if found else None
            return True if mine is not None and mine.memory_usage_bytes > 0 and mine.name == "main" else None
        assert await until(look)


async def _until_stopped(events: Any, seen: list[RuntimeEvent], bench: Bench) -> None:
    """Read until one of the bench's containers stopped, whose status must say so at once."""
    async for event in events:
        if event.kind is EventKind.STOPPED and event.id != bench.sandbox_id:
            with suppress(NotFound):
                status = await bench.runtime.container_status(event.id)
                assert status.container.state is State.EXITED
                seen.append(event)
                return
