"""`sampan image`, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.cli.image import main
from sampan.cluster import config
from sampan.drivers.oci.image import machine_architecture, read_layout
from sampan.lib.errors import ConfigError
from sampan.testing import require
from sampan.testing.containers import assert_nothing_left, machine_state, real_containerd


def test_a_folder_becomes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    (tmp_path / "Dockerfile").write_text("ARG WHO\nFROM scratch\nCOPY page /\nLABEL by=$WHO\nCMD [\"/page\"]")
    (tmp_path / "page").write_text("hello")
    # when built for both architectures
    words = ["build", str(tmp_path), "-t", "web:v1", "-o", str(tmp_path / "out.tar"), "--build-arg", "WHO=me"]
    assert main([*words, "--arch", "amd64", "--arch", "arm64"]) == 0
    # then
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in said] == [["wrote", "docker.io/library/web:v1", name] for name in ("amd64", "arm64")]
    assert read_layout(tmp_path / "out.tar", "arm64").config.labels == {"by": "me"}


def test_busybox_is_built_from_this_machines(tmp_path: Path) -> None:
    require.program("busybox", "busybox-static")
    assert main(["build", "busybox", "-o", str(tmp_path / "out.tar")]) == 0
    assert read_layout(tmp_path / "out.tar", machine_architecture()).config.command == ("sh",)


def test_what_cannot_be_done_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no cluster in") as caught:
        main(["list", "--data", str(tmp_path)])
    assert "sampan up" in caught.value.hint
    config.save(tmp_path, config.ClusterConfig("x", simulated=True))
    with pytest.raises(ConfigError, match="are simulated: they need no images"):
        main(["load", "file", "--data", str(tmp_path)])
    with pytest.raises(ConfigError, match="no containerd answers at"):
        main(["list", "--address", f"unix://{tmp_path}/none.sock"])
    with pytest.raises(ConfigError, match="'Web' is not an image name"):
        main(["build", "busybox", "-t", "Web", "-o", "/dev/null"])


@pytest.mark.e2e
def test_images_are_built_loaded_and_listed_in_containerd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = machine_state("sampan-")
    with real_containerd("10.199.9.0/24") as containerd:
        address = ["--address", containerd.endpoint]
        assert main(["build", "busybox", "-t", "mine:1", "-t", "mine:2", *address]) == 0
        main(["build", "busybox", "-t", "other", "-o", str(tmp_path / "other.tar")])
        assert main(["load", str(tmp_path / "other.tar"), *address]) == 0
        assert "loaded docker.io/library/other:latest" in capsys.readouterr().out
        assert main(["list", *address]) == 0
        listed = capsys.readouterr().out.splitlines()
        assert listed[0].split() == ["IMAGE", "ID", "SIZE"]
        assert {f"docker.io/library/{name}" for name in ("mine:1", "mine:2", "other:latest", "busybox:latest")} <= {
            line.split()[0] for line in listed}
        with pytest.raises(ConfigError, match="there is no file"):
            main(["load", str(tmp_path / "none"), *address])
    assert_nothing_left("sampan-", before)
