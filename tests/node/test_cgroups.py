"""Cgroups as files: v1 controllers, the v2 tree, and a machine that has both. In a folder; the kernel's own in e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.node.cgroups import Cgroups
from sampan.node.runtimes.spec import Resources

LIMITS = Resources(cpu_shares=512, cpu_quota=50_000, cpu_period=100_000, memory_bytes=1 << 26)


def _v1(base: Path) -> None:
    for name in ("cpu", "memory", "pids", "unified"):
        (base / name).mkdir()


def test_a_pod_has_a_folder_in_every_v1_controller(tmp_path: Path) -> None:
    _v1(tmp_path)
    Cgroups(tmp_path).make("/sampan/kubepods/pod1", LIMITS)
    assert [name for name in ("cpu", "memory", "pids", "unified") if (tmp_path / name / "sampan/kubepods/pod1").is_dir()] == ["cpu", "memory", "pids"]


def test_removal_takes_the_whole_tree_also_the_hybrid_part(tmp_path: Path) -> None:
    _v1(tmp_path)
    groups = Cgroups(tmp_path)
    groups.make("/sampan/kubepods/pod1", LIMITS)
    (tmp_path / "unified" / "sampan" / "kubepods").mkdir(parents=True)  # runc's doing
    groups.remove("/sampan")
    assert not list(tmp_path.glob("*/sampan"))
    groups.remove("/sampan")


def test_limits_are_written_to_the_files_that_are_there(tmp_path: Path) -> None:
    _v1(tmp_path)
    folder = tmp_path / "memory" / "sampan"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("max")
    Cgroups(tmp_path).make("/sampan", LIMITS)
    assert (folder / "memory.limit_in_bytes").read_text() == str(1 << 26)


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000)])
def test_shares_become_weights_in_the_v2_tree(tmp_path: Path, shares: int, weight: int) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("")
    pod = tmp_path / "pod1"
    pod.mkdir()
    for name in ("cpu.weight", "cpu.max", "memory.max"):
        (pod / name).write_text("")
    Cgroups(tmp_path).make("/pod1", Resources(cpu_shares=shares, cpu_quota=50_000, cpu_period=100_000, memory_bytes=1 << 26))
    assert [(pod / name).read_text() for name in ("cpu.weight", "cpu.max", "memory.max")] == [str(weight), "50000 100000", str(1 << 26)]
