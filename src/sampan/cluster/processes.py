"""The processes of a cluster on this machine: started detached, found again, stopped, never mistaken for others.

A pid file holds the pid and the process's start time, since pids are given again. Standard library only: the
supervisor is one of these processes and must stay small.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of ours; `started` is its start time in the kernel's clock ticks."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        stat = _stat(self.pid)
        return stat is not None and stat[1] == self.started and stat[0] != "Z"

    def send(self, number: int) -> None:
        """Signal it if it still is the one."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stat(pid: int) -> tuple[str, str] | None:
    """(state, start time) from /proc; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]


def current() -> Process:
    """This process."""
    return of(os.getpid()) or Process(os.getpid(), "")


def of(pid: int) -> Process | None:
    """A running process; None where there is none."""
    stat = _stat(pid)
    return None if stat is None else Process(pid, stat[1])


def write(path: Path, process: Process) -> None:
    """Leave a pid file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{process.pid} {process.started}\n")


def read(path: Path) -> Process | None:
    """The process of a pid file, if it still runs."""
    try:
        pid, started = path.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    process = Process(int(pid), started)
    return process if process.alive() else None


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition until it holds or the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def stop(process: Process, seconds: float) -> bool:
    """Ask it to end, kill it after `seconds`; true when it ended by itself."""
    process.send(signal.SIGTERM)
    if wait_until(lambda: not process.alive(), seconds):
        return True
    process.send(signal.SIGKILL)
    wait_until(lambda: not process.alive(), 5.0)
    return False
