"""What is found and removed, and what is left alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sampan.cluster.processes import wait_until
from sampan.drivers import leftovers
from sampan.testing import require


def test_shims_of_this_socket_are_killed_with_their_containers_and_no_others() -> None:
    require.linux()
    # given two processes that look like shims, one with a child
    def shim(socket: str) -> tuple[subprocess.Popen[str], int]:
        script = "sleep 1000 & echo $!; wait"
        process = subprocess.Popen(["containerd-shim-runc-v2", "-c", script, "sh", "-address", socket],
                                   executable="/bin/sh", stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        # between fork and exec the child has its parent's words
        assert wait_until(lambda: Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep\0"), 10)
        return process, child
    (ours, child), (other, others_child) = shim("/run/ours.sock"), shim("/run/other.sock")
    # when
    assert leftovers.shims(Path("/run/ours.sock")) == [ours.pid]
    assert leftovers.kill_shims(Path("/run/ours.sock")) == 1
    # then
    assert ours.wait(10) == -9
    assert other.poll() is None
    assert leftovers.shims(Path("/run/ours.sock")) == []
    assert Path(f"/proc/{child}/stat").exists() is False or "Z" in Path(f"/proc/{child}/stat").read_text()
    subprocess.run(["kill", str(other.pid), str(others_child)], check=True)
    other.wait(10)
    for process in (ours, other):
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.kernel
def test_mounts_below_a_folder_go_deepest_first(tmp_path: Path) -> None:
    require.root()
    # given mounts within mounts, one with a space in its name, and one beside
    inner, beside = tmp_path / "a" / "b c", tmp_path / "ab"
    for folder in (tmp_path / "a", beside):
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    try:
        assert leftovers.mounts_below([tmp_path / "a"]) == [str(inner), str(tmp_path / "a")]
        # when
        assert leftovers.unmount_below([tmp_path / "a"]) == 2
        # then
        assert leftovers.mounts_below([tmp_path]) == [str(beside)]
    finally:
        leftovers.unmount_below([tmp_path])
    assert leftovers.mounts_below([tmp_path]) == []
