"""What is found and removed, and what is left alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.cluster.processes import wait_until
from sampan.drivers import leftovers
from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS


@contextlib.contextmanager
def looks_like_a_shim(socket: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process with a shim's name and socket, and the pid of its child. It stays when the child goes, as a shim does."""
    with subprocess.Popen(["containerd-shim-runc-v2", "-c", "sleep 1000 & echo $!; kill -STOP $$", "sh", "-address", str(socket)],
                          executable="/bin/sh", stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            # between fork and exec the child has its parent's words
            assert wait_until(lambda: Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep\0"), 10)
            yield process, child
        finally:
            process.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def test_shims_of_this_socket_are_killed_with_their_containers_and_no_others(tmp_path: Path) -> None:
    require.linux()
    # given two processes that look like shims, each with a child
    socket = tmp_path / "ours.sock"
    with looks_like_a_shim(socket) as (ours, child), looks_like_a_shim(tmp_path / "other.sock") as (other, _):
        # when
        assert leftovers.shims(socket) == [ours.pid]
        assert leftovers.kill_shims(socket) == 1
        # then
        assert ours.wait(PATIENCE_SECONDS) == -9
        assert other.poll() is None
        assert leftovers.shims(socket) == []
        assert Path(f"/proc/{child}/stat").exists() is False or "Z" in Path(f"/proc/{child}/stat").read_text()


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
