"""Processes by pidfd."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from sampan.drivers.process import Daemon
from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS


def spawn(log: Path, *words: str) -> Daemon:
    require.linux()
    return Daemon.spawn("/bin/sh", ["sh", *words], dict(os.environ), log)


def test_a_daemon_has_its_own_session_and_log(tmp_path: Path) -> None:
    async def body() -> None:
        daemon = spawn(tmp_path / "log", "-c", "echo out; echo err >&2; exec sleep 1000")
        assert os.getsid(daemon.pid) == daemon.pid != os.getsid(0)
        before = daemon.alive
        await daemon.stop()
        assert (before, daemon.alive) == (True, False)
        assert (tmp_path / "log").read_text() in ("out\nerr\n", "out\n", "")
        assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    asyncio.run(body())


def test_everybody_who_waits_sees_the_end(tmp_path: Path) -> None:
    async def body() -> None:
        daemon = spawn(tmp_path / "log", "-c", "read line")
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(daemon.wait())
        await daemon.wait()
        assert not Path(f"/proc/{daemon.pid}").exists()
    asyncio.run(body())


def test_one_that_ignores_term_is_killed(tmp_path: Path) -> None:
    async def body() -> None:
        daemon = spawn(tmp_path / "log", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "ready" not in (tmp_path / "log").read_text():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.001)
        child = int(Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()[0])
        await daemon.stop(grace_seconds=0.05)
        assert not daemon.alive
        os.kill(child, signal.SIGKILL)
    asyncio.run(body())


def test_it_is_found_again_by_pid_and_a_word(tmp_path: Path) -> None:
    async def body() -> None:
        require.linux()
        daemon = Daemon.spawn("/bin/sleep", ["sleep", "1000"], dict(os.environ), tmp_path / "log")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (found := Daemon.find(daemon.pid, "1000")) is None:  # noqa: ASYNC110 - its words are there a moment after its pid
                await asyncio.sleep(0.001)
        assert Daemon.find(daemon.pid, "another") is None
        found.send(signal.SIGKILL)
        await found.wait()
        assert Daemon.find(daemon.pid, "1000") is None
        found.send(signal.SIGKILL)
        assert not daemon.alive
    asyncio.run(body())
