"""What is read of the runtime about one pod, and how much is asked for it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from sampan.aio.clock import VirtualClock
from sampan.lib.clock import Identity
from sampan.node.observe import Observed, Observer, log_tail
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.node.runtimes.spec import ContainerSpec, PodSandboxSpec
from sampan.node.runtimes.status import Sandbox
from sampan.node.specs import CONTAINER_NAME, POD_UID
from sampan.testing import waiting


class Counted(SimulatedRuntime):
    """Counts the lists that are asked for."""

    lists = 0

    async def list_sandboxes(self, labels: Mapping[str, str] | None = None) -> Sequence[Sandbox]:
        self.lists += 1
        return await super().list_sandboxes(labels)


def made() -> tuple[VirtualClock, Counted, Observer]:
    clock = VirtualClock()
    runtime = Counted(clock, Identity(random.Random(1)))
    return clock, runtime, Observer(runtime, clock=clock, changed=lambda _uid: None)


def sandbox(uid: str, attempt: int = 0) -> PodSandboxSpec:
    return PodSandboxSpec("web", "default", uid, attempt=attempt, labels={POD_UID: uid})


def container(name: str, image: str, uid: str, attempt: int) -> ContainerSpec:
    return ContainerSpec(name, image, attempt=attempt, labels={POD_UID: uid, CONTAINER_NAME: name})


def test_a_sandbox_of_this_moment_is_seen_without_a_list_and_as_a_list_shows_it() -> None:
    async def check() -> None:
        _, runtime, observer = made()
        # given
        assert await observer.observe("u1") == Observed()
        lists = runtime.lists
        # when
        seen = await observer.begun("u1", await runtime.run_sandbox(sandbox("u1")))
        # then
        assert runtime.lists == lists
        assert seen.sandbox is not None
        assert (seen.sandbox.ready, seen.sandbox.ips) == (True, ("10.244.0.2",))
        assert seen == await observer.observe("u1")
        # but one that is gone again is not there
        await runtime.remove_sandbox(seen.sandbox.id)
        observer.forget("u1")
        assert await observer.begun("u1", seen.sandbox.id) == Observed()

    waiting.run(check())


def test_the_newest_attempt_comes_first_and_pods_do_not_mix() -> None:
    async def check() -> None:
        clock, runtime, observer = made()
        image = await runtime.pull_image("web:1")
        # given a pod with two attempts of a container and two of its sandbox, and another pod
        old, other = await runtime.run_sandbox(sandbox("u1")), await runtime.run_sandbox(sandbox("u2"))
        await runtime.stop_sandbox(old)
        await clock.advance(1)
        new = await runtime.run_sandbox(sandbox("u1", 1))
        for attempt in range(2):
            await runtime.create_container(new, container("main", image, "u1", attempt), sandbox("u1", 1))
        await runtime.create_container(other, container("main", image, "u2", 0), sandbox("u2"))
        # when
        seen = await observer.observe("u1")
        # then
        assert seen.sandbox is not None
        assert (seen.sandbox.id, seen.old_sandboxes) == (new, (old,))
        assert [view.attempt for view in seen.containers["main"]] == [1, 0]

    waiting.run(check())


def test_a_logs_end_is_what_was_printed(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    assert log_tail(path) == b""
    path.write_bytes(b"2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stderr P tw\n2026-01-01T00:00:00Z stderr F o\nno log line\n")
    assert log_tail(path) == b"one\ntwo\n"
