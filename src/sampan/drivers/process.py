"""A long-lived process that may outlive us: started in its own session, or found again by its pid, and waited for by
pidfd, so that a reused pid is never mistaken for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self


class Daemon:
    """A process by its pidfd. Any number may `wait`; whoever comes first reaps it, if it is ours to reap."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)
        self.pid = pid

    @classmethod
    def spawn(cls, path: str, words: Sequence[str], env: Mapping[str, str], log_file: Path) -> Self:
        """Start a program in a session of its own; both its outputs are appended to a file (0600)."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return cls(os.posix_spawn(
            path, list(words), env, setsid=True, setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                          (os.POSIX_SPAWN_OPEN, 1, str(log_file), flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]))

    @classmethod
    def find(cls, pid: int, word: str) -> Self | None:
        """The process of that pid if `word` is among its command line's words; None when it is gone or another."""
        try:
            found = cls(pid)
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, OverflowError):
            return None
        return found if word.encode() in words and found.alive else None

    @property
    def alive(self) -> bool:
        """Whether it still runs; reaps it when it does not."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(0):
            return True
        self._reap()
        return False

    async def wait(self) -> None:
        """Return when it has ended."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        fd = os.dup(self._fd)  # a loop keeps one reader a descriptor
        try:
            loop.add_reader(fd, done.set)
            await done.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)
        self._reap()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """TERM, then KILL; returns when it has ended."""
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), grace_seconds)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.wait()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):  # adopted, or reaped already
            os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOHANG)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._fd)
