"""Processes found by pid file are never mistaken for others."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sampan.cluster import processes
from sampan.cluster.processes import Process


def test_a_process_is_known_by_its_pid_and_its_start(tmp_path: Path) -> None:
    # given
    child = subprocess.Popen(["sleep", "60"])
    found = processes.of(child.pid)
    assert found is not None
    processes.write(tmp_path / "run" / "x.pid", found)
    # then
    assert processes.read(tmp_path / "run" / "x.pid") == found
    processes.write(tmp_path / "other.pid", Process(child.pid, "1"))
    assert processes.read(tmp_path / "other.pid") is None
    # when
    child.kill()
    # then a zombie does not count
    assert processes.wait_until(lambda: not found.alive(), 5)
    child.wait()
    assert processes.read(tmp_path / "run" / "x.pid") is None


def test_a_pid_file_that_is_not_there_or_not_whole_names_nobody(tmp_path: Path) -> None:
    assert processes.read(tmp_path / "none.pid") is None
    (tmp_path / "half.pid").write_text("12")
    assert processes.read(tmp_path / "half.pid") is None


def test_stopping_asks_first_and_kills_then(tmp_path: Path) -> None:
    polite = subprocess.Popen(["sleep", "60"])
    stubborn = subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"], stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    assert stubborn.stdout.readline() == b"ready\n"
    assert processes.stop(processes.of(polite.pid) or processes.current(), 5) is True
    assert processes.stop(processes.of(stubborn.pid) or processes.current(), 0.1) is False
    assert (polite.wait(), stubborn.wait()) == (-15, -9)
    stubborn.stdout.close()
