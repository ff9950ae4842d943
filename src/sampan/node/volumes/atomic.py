"""Writes a volume's files so that a reader sees all of the old ones or all of the new ones.

The files live in a folder with a unique name; `..data` is a link to it that one rename replaces; what a container
sees are links through `..data`. Source: kubelet `pkg/volume/util/atomic_writer.go`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sampan.node.volumes.payload import File

DATA = "..data"


def write(folder: Path, files: Mapping[str, File], *, stamp: str, gid: int | None = None) -> bool:
    """Make `folder` hold exactly `files` (paths relative, below the folder); true when something changed.

    Args:
        folder: The volume's root; made if need be.
        files: By relative path.
        stamp: A name that no earlier call used, for the folder of this version.
        gid: The group that owns the files (`fsGroup`).

    Raises:
        ValueError: A path leaves the folder.
        OSError: The disk is full or the folder cannot be written; what was there stays.
    """
    for path in files:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
            raise ValueError(f"volume path {path!r} must be relative and may not contain '..'")
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / DATA
    current = folder / os.readlink(link) if link.is_symlink() else None
    if current is not None and _holds(current, files, gid):
        return False
    version = folder / f"..{stamp}"
    try:
        _fill(version, files, gid)
    except OSError:
        shutil.rmtree(version, ignore_errors=True)
        raise
    fresh = folder / "..data_tmp"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(version.name)
    fresh.rename(link)
    _link_tops(folder, {PurePosixPath(path).parts[0] for path in files})
    if current is not None:
        shutil.rmtree(current, ignore_errors=True)
    return True


def _final_mode(file: File, gid: int | None) -> int:
    """What the owner may read its group may read too, once `fsGroup` has given the file a group."""
    return file.mode | (0o040 if gid is not None and file.mode & 0o400 else 0)


def _holds(version: Path, files: Mapping[str, File], gid: int | None) -> bool:
    there = {str(path.relative_to(version)) for path in version.rglob("*") if path.is_file()}
    return there == files.keys() and all(
        (version / path).read_bytes() == file.data and (version / path).stat().st_mode & 0o7777 == _final_mode(file, gid)
        for path, file in files.items()
    )


def _fill(version: Path, files: Mapping[str, File], gid: int | None) -> None:
    version.mkdir(mode=0o755)
    for path, file in files.items():
        target = version / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # never readable by others before it has its mode
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.data)
            if file.uid is not None or gid is not None:
                os.fchown(out.fileno(), -1 if file.uid is None else file.uid, -1 if gid is None else gid)
            os.fchmod(out.fileno(), _final_mode(file, gid))


def _link_tops(folder: Path, wanted: set[str]) -> None:
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.is_symlink() and entry.name not in wanted:
            entry.unlink()
    for name in wanted:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{DATA}/{name}")
