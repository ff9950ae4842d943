"""containerd as a child: what it is told, what is said when it cannot be."""

from __future__ import annotations

import asyncio
import os
import signal
import tomllib
from pathlib import Path

import pytest

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.drivers.containerd import Containerd, ContainerdSettings, find_programs, render_config
from sampan.lib.errors import MissingPart, SampanError
from sampan.testing import require
from sampan.testing.containers import assert_nothing_left, machine_state
from sampan.testing.waiting import PATIENCE_SECONDS

PROGRAMS = {"containerd": "/usr/bin/containerd", "runc": "/usr/sbin/runc", "ctr": "/usr/bin/ctr", "cni": "/usr/lib/cni"}


def settings(folder: Path) -> ContainerdSettings:
    return ContainerdSettings(folder / "root", Path(f"/run/sampan-test-{os.getpid()}"), folder / "cni")


def test_the_configuration_keeps_to_its_own_folders(tmp_path: Path) -> None:
    made = ContainerdSettings(tmp_path / "root", tmp_path / "state", tmp_path / "cni", tmp_path / "registries")
    config = tomllib.loads(render_config(made, PROGRAMS))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert (config["version"], config["root"], config["state"]) == (2, str(made.root), str(made.state))
    assert config["grpc"]["address"] == str(made.socket)
    assert cri["stream_server_address"] == "127.0.0.1"
    assert cri["restrict_oom_score_adj"] is True
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": str(made.cni_conf_dir), "max_conf_num": 1}
    assert cri["containerd"]["runtimes"]["runc"]["options"] == {"BinaryName": "/usr/sbin/runc", "SystemdCgroup": False}
    assert cri["registry"]["config_path"] == str(made.registry_dir)


def test_a_missing_program_is_named_with_the_line_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name == "runc" else f"/bin/{name}")
    with pytest.raises(MissingPart, match="runc") as caught:
        find_programs()
    assert "apt-get install --no-remove containerd runc" in caught.value.hint


def test_a_socket_path_that_is_too_long_is_said(tmp_path: Path) -> None:
    require.containers()
    made = ContainerdSettings(tmp_path / "root", tmp_path / ("long" * 30), tmp_path / "cni")
    with pytest.raises(SampanError, match="too long for a socket"):
        asyncio.run(Containerd(made, SystemClock()).start())


@pytest.mark.e2e
def test_it_starts_is_adopted_comes_back_and_leaves_nothing(tmp_path: Path) -> None:
    require.containers()
    made = settings(tmp_path)
    before = machine_state(made.state.name)

    async def body() -> None:
        first, second = Containerd(made, SystemClock()), Containerd(made, SystemClock())
        await first.start()
        # a second keeper finds the same process
        await second.start()
        assert first.pid == second.pid != 0
        async with Tasks() as tasks:
            running = tasks.start(second.run(), "containerd")
            # when it is killed, then it comes back
            os.kill(second.pid, signal.SIGKILL)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while second.restarts == 0:  # noqa: ASYNC110 - another process is waited for
                    await asyncio.sleep(0.01)
            assert second.pid != 0
            # when it is told to end, then the keeper ends too
            await second.remove()
            await asyncio.wait_for(running, PATIENCE_SECONDS)
        assert second.pid == 0
    asyncio.run(body())
    assert not made.state.exists()
    assert not made.root.exists()
    assert_nothing_left(made.state.name, before)


@pytest.mark.e2e
def test_a_containerd_that_cannot_run_says_its_last_words(tmp_path: Path) -> None:
    require.containers()
    made = settings(tmp_path)

    async def body() -> None:
        containerd = Containerd(made, SystemClock())
        for place, said in (("state", "containerd ended at once: .*is a directory"), ("root", "not its CRI: .*")):
            # given a file where it wants a folder, or a folder where it wants a socket
            await _in_the_way(containerd, made, place, said)
    asyncio.run(body())


async def _in_the_way(containerd: Containerd, made: ContainerdSettings, place: str, said: str) -> None:
    if place == "root":
        made.root.mkdir(parents=True)
        (made.root / "io.containerd.metadata.v1.bolt").write_text("")
    else:
        (made.socket / "folder").mkdir(parents=True)
    try:
        with pytest.raises(SampanError, match=said):
            await containerd.start()
        assert containerd.pid == 0
    finally:
        await containerd.remove()


@pytest.mark.e2e
def test_an_image_that_is_none_is_refused_in_ctrs_words(tmp_path: Path) -> None:
    require.containers()
    made = settings(tmp_path)

    async def body() -> None:
        containerd = Containerd(made, SystemClock())
        await containerd.start()
        try:
            with pytest.raises(SampanError, match="did not take the image"):
                await containerd.import_image(b"not a tar")
        finally:
            await containerd.remove()
    asyncio.run(body())
