"""The supervisor with small programs in the place of ours."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sampan.cluster import processes
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

KEEP = ("/bin/sh", "-c", "echo up; exec sleep 6000")


@contextmanager
def supervised(folder: Path, *children: str) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own; each child is an expression."""
    code = f"from pathlib import Path; from sampan.cluster.supervisor import Child, Supervisor; KEEP = {KEEP!r}; Supervisor(Path({str(folder)!r}), [{', '.join(children)}]).run()"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pid(folder: Path, name: str) -> int:
    found = processes.read(folder / "run" / f"{name}.pid")
    return found.pid if found is not None else 0


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path, "Child('one', KEEP)"):
        log = tmp_path / "logs" / "one.log"
        until_true(lambda: pid(tmp_path, "one") and log.read_text() == "up\n", "it runs")
        first = processes.read(tmp_path / "run" / "one.pid")
        assert first is not None
        first.send(signal.SIGKILL)
        until_true(lambda: pid(tmp_path, "one") not in (0, first.pid), "it runs again")
        assert (tmp_path / "run" / "one.ended").read_text() == "1\n"
        until_true(lambda: log.read_text() == "up\nup\n", "its output is in its log")
        assert log.stat().st_mode & 0o777 == 0o600


def test_a_child_waits_for_its_file(tmp_path: Path) -> None:
    with supervised(tmp_path, "Child('first', KEEP)", f"Child('second', KEEP, after=Path({str(tmp_path / 'go')!r}))"):
        until_true(lambda: pid(tmp_path, "first"), "the first runs")
        assert pid(tmp_path, "second") == 0
        (tmp_path / "go").touch()
        until_true(lambda: pid(tmp_path, "second"), "the second runs")


def test_children_end_with_the_supervisor_asked_or_killed(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        folder = tmp_path / str(number)
        with supervised(folder, "Child('one', KEEP)", "Child('two', KEEP)") as supervisor:
            until_true(lambda: pid(folder, "one") and pid(folder, "two"), "both run")  # noqa: B023
            children = [processes.read(folder / "run" / f"{name}.pid") for name in ("one", "two")]
            supervisor.send_signal(number)
            supervisor.wait(timeout=PATIENCE_SECONDS)
            until_true(lambda: not any(child.alive() for child in children if child), "both have ended")  # noqa: B023
            assert (folder / "run" / "supervisor.pid").exists() == (number == signal.SIGKILL)


def test_a_child_that_cannot_start_is_tried_more_and_more_slowly(tmp_path: Path) -> None:
    with supervised(tmp_path, "Child('none', ('/no/such/program',))"):
        until_true(lambda: (tmp_path / "run" / "none.ended").exists() and int((tmp_path / "run" / "none.ended").read_text() or 0) >= 3, "three attempts")
        assert "/no/such/program: [Errno 2] No such file" in (tmp_path / "logs" / "none.log").read_text()
