"""Volumes' files change all at once, keep their modes and never leave their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sampan.node.volumes.atomic import write
from sampan.node.volumes.payload import File


def test_files_are_there_with_their_modes(tmp_path: Path) -> None:
    assert write(tmp_path / "v", {"a": File(b"1", 0o600), "sub/b": File(b"2", 0o644)}, stamp="one")
    assert (tmp_path / "v/a").read_text() == "1"
    assert (tmp_path / "v/sub/b").read_text() == "2"
    assert (tmp_path / "v/a").stat().st_mode & 0o777 == 0o600


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    files = {"a": File(b"1", 0o600)}
    write(tmp_path, files, stamp="one")
    assert not write(tmp_path, files, stamp="two")
    assert os.readlink(tmp_path / "..data") == "..one"


def test_a_change_swaps_everything_and_removes_what_went(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"1", 0o644), "b": File(b"1", 0o644)}, stamp="one")
    opened = (tmp_path / "..data").resolve()
    assert write(tmp_path, {"a": File(b"2", 0o644)}, stamp="two")
    assert (tmp_path / "a").read_text() == "2"
    assert not (tmp_path / "b").is_symlink()
    assert not opened.exists()


@pytest.mark.parametrize("path", ["/abs", "../up", "a/../../b", "..data", ""])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="volume path"):
        write(tmp_path / "v", {path: File(b"", 0o644)}, stamp="one")


def test_a_group_may_read_what_its_owner_may(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"1", 0o600)}, stamp="one", gid=os.getgid())
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert not write(tmp_path, {"a": File(b"1", 0o600)}, stamp="two", gid=os.getgid())
