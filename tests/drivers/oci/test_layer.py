"""Layers: the same bytes for the same files."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from sampan.drivers.oci.layer import Entry, layer_tar, tree


def members(layer: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {member.name: member for member in tar}


def test_a_layer_does_not_depend_on_time_or_order(tmp_path: Path) -> None:
    # given the same files written twice, in another order, at another time
    entries = [Entry("b/file", 0o644, b"one"), Entry("a", 0o755, link="b/file"), Entry("c", 0o700, uid=33, gid=34)]
    first = layer_tar(entries)
    (tmp_path / "file").write_bytes(b"one")
    os.utime(tmp_path / "file", (1, 1))
    # then
    assert layer_tar([entries[2], Entry("b/file", 0o644, tmp_path / "file"), entries[1]]) == first
    found = members(first)
    assert list(found) == ["a", "b", "b/file", "c"]
    assert found["b"].isdir()
    assert (found["c"].uid, found["c"].gid, found["c"].mode, found["c"].mtime) == (33, 34, 0o700, 0)


def test_a_later_entry_wins() -> None:
    layer = layer_tar([Entry("x", 0o644, b"old"), Entry("/x", 0o600, b"newer")])
    assert members(layer)["x"].size == 5


@pytest.mark.parametrize("path", ["../x", "a/../../x", ""])
def test_nothing_leaves_the_layer(path: str) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        layer_tar([Entry(path, data=b"")])


def test_a_folder_becomes_entries(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "run").write_bytes(b"#!")
    (tmp_path / "sub" / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("sub/run")
    os.mkfifo(tmp_path / "pipe")
    found = members(layer_tar(tree(tmp_path, "app", uid=5)))
    assert set(found) == {"app", "app/sub", "app/sub/run", "app/link"}
    assert (found["app/sub/run"].mode, found["app/sub/run"].uid) == (0o755, 5)
    assert found["app/link"].linkname == "sub/run"
