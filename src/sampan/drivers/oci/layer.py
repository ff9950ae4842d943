"""A layer: files in, a tar out, the same bytes for the same files whoever makes it and whenever.

Owns: entries, their order, and the tar. Leaves: what an image says about its layers (`image`).
Layers are stored plain: a gzip stream depends on the zlib that made it, and on one machine nothing is gained by it.

Source: OCI image spec, `layer.md`.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOST_FILES = 200_000


@dataclass(frozen=True)
class Entry:
    """One name in a layer. `path` is relative, without a leading slash; exactly one of the three kinds.

    `data` (bytes or a file on this machine) makes a file, `link` a symbolic link, neither a folder.
    """

    path: str
    mode: int = 0o755
    data: bytes | Path | None = None
    link: str = ""
    uid: int = 0
    gid: int = 0


def tree(folder: Path, under: str = "", uid: int = 0, gid: int = 0) -> Iterator[Entry]:
    """Entries for everything inside a folder, placed below `under`; sockets and devices are left out."""
    for count, path in enumerate(sorted(folder.rglob("*"))):
        if count >= MOST_FILES:
            raise ValueError(f"{folder} holds over {MOST_FILES} files")
        facts = path.lstat()
        name = str(PurePosixPath(under) / path.relative_to(folder).as_posix())
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISLNK(facts.st_mode):
            yield Entry(name, 0o777, link=os.readlink(path), uid=uid, gid=gid)
        elif stat.S_ISDIR(facts.st_mode):
            yield Entry(name, mode, uid=uid, gid=gid)
        elif stat.S_ISREG(facts.st_mode):
            yield Entry(name, mode, path, uid=uid, gid=gid)


def layer_tar(entries: Iterable[Entry]) -> bytes:
    """The layer's tar: sorted, times zero, no names of users; a later entry of the same path wins.

    Missing parent folders are added (0755, root).
    """
    chosen: dict[str, Entry] = {}
    for entry in entries:
        path = str(PurePosixPath(entry.path.strip("/")))
        if ".." in PurePosixPath(path).parts or path == ".":
            raise ValueError(f"a layer cannot hold {entry.path!r}")
        chosen[path] = entry
    for path in list(chosen):
        for parent in list(PurePosixPath(path).parents)[:-1]:
            chosen.setdefault(str(parent), Entry(str(parent)))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(chosen):
            _add(tar, path, chosen[path])
    return out.getvalue()


def _add(tar: tarfile.TarFile, path: str, entry: Entry) -> None:
    info = tarfile.TarInfo(path)
    info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, 0
    if entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    elif entry.data is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    else:
        data = entry.data if isinstance(entry.data, bytes) else entry.data.read_bytes()
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
