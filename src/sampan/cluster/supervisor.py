"""Keeps a cluster's processes running: the control plane and each node agent, restarted with back-off when they end.

What `sampan up --foreground` is, and what `sampan up` leaves in the background. Standard library only, no asyncio:
it sleeps in `sigtimedwait` and costs nothing. When it dies its children end too (parent death signal); containers go
on, and the next `sampan up` picks them up.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sampan.cluster import processes

FIRST_BACKOFF_SECONDS, MOST_BACKOFF_SECONDS, STEADY_SECONDS = 0.1, 10.0, 60.0
STOP_SECONDS = 20.0
PR_SET_PDEATHSIG = 1
LOG_BYTES = 10 * 1024 * 1024


@dataclass
class Child:
    """One process to keep; `after` names the file that must exist before it is started."""

    name: str
    command: Sequence[str]
    after: Path | None = None
    pid: int = 0
    started: float = 0.0
    backoff: float = 0.0
    due: float = 0.0
    restarts: int = field(default=0)


class Supervisor:
    """Runs children in the order given and stops them in the reverse order."""

    def __init__(self, folder: Path, children: Sequence[Child]) -> None:
        self._folder, self._children = folder, list(children)
        self._stopping = False

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; the exit code."""
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        processes.write(self._folder / "run" / "supervisor.pid", processes.current())
        while not self._stopping:
            wait = self._start_due()
            got = signal.sigtimedwait(signals, wait)
            if got is not None and got.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._stopping = True
            self._reap()
        self._stop_all()
        return 0

    def _start_due(self) -> float:
        """Start what is due; seconds until there is something to look at again."""
        now, wait = time.monotonic(), 3600.0
        for child in self._children:
            if child.pid:
                continue
            if child.after is not None and not child.after.exists():
                wait = min(wait, 0.02)
            elif child.due <= now:
                self._start(child)
            else:
                wait = min(wait, child.due - now)
        return wait

    def _start(self, child: Child) -> None:
        log = self._folder / "logs" / f"{child.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(child, output, parent)
        os.close(output)
        child.pid, child.started = pid, time.monotonic()
        found = processes.of(pid)
        if found is not None:
            processes.write(self._folder / "run" / f"{child.name}.pid", found)

    @staticmethod
    def _become(child: Child, output: int, parent: int) -> None:
        """In the forked child: die with the parent, log to the file, run the command. Never returns."""
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(0)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.execv(child.command[0], list(child.command))  # noqa: S606 - a fixed command of ours
        except OSError as error:
            os.write(2, f"{child.command[0]}: {error}\n".encode())
        os._exit(127)

    def _reap(self) -> None:
        while True:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._ended(child)

    def _ended(self, child: Child) -> None:
        lasted = time.monotonic() - child.started
        child.pid, child.restarts = 0, child.restarts + 1
        child.backoff = FIRST_BACKOFF_SECONDS if lasted > STEADY_SECONDS else min(max(child.backoff * 2, FIRST_BACKOFF_SECONDS), MOST_BACKOFF_SECONDS)
        child.due = time.monotonic() + child.backoff
        (self._folder / "run" / f"{child.name}.pid").unlink(missing_ok=True)
        (self._folder / "run" / f"{child.name}.ended").write_text(f"{child.restarts}\n")

    def _stop_all(self) -> None:
        for child in reversed(self._children):
            if not child.pid:
                continue
            os.kill(child.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while child.pid and time.monotonic() < deadline:
                signal.sigtimedwait({signal.SIGCHLD}, 0.1)
                self._reap()
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)
        (self._folder / "run" / "supervisor.pid").unlink(missing_ok=True)


def sampan_command(*args: str) -> list[str]:
    """How this installation's own `sampan` is run."""
    return [sys.executable, "-m", "sampan", *args]
