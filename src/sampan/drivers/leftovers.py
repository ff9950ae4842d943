"""What containers leave on a machine when they end badly: shims and mounts; found, counted and removed.

Owns: reading /proc for what lies below given folders or serves a given socket, and ending it. It never touches what is
elsewhere, so another containerd on the machine does not notice.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import re
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8


def shims(socket_path: Path) -> list[int]:
    """The pids of shims that serve the containerd at this socket."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended while we looked
            continue
        if b"containerd-shim" in words[0] and str(socket_path).encode() in words:
            found.append(int(folder.name))
    return found


def containerds() -> list[int]:
    """The pids of all containerds and shims on this machine, whoever's they are."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name = (folder / "comm").read_text().strip()
            except OSError:
                continue
            if name == "containerd" or name.startswith("containerd-shim"):
                found.append(int(folder.name))
    return found


def kill_shims(socket_path: Path) -> int:
    """Kill those shims with all that runs in their containers; how many there were."""
    found = shims(socket_path)
    for pid in found:
        for victim in (*_descendants(pid), pid):
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
    return len(found)


def mounts_below(folders: Iterable[Path]) -> list[str]:
    """Mount points in or below these folders, deepest first."""
    roots = [str(folder) for folder in folders]
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4])
        if any(point == root or point.startswith(f"{root}/") for root in roots):
            points.append(point)
    return points[::-1]


def unmount_below(folders: Iterable[Path]) -> int:
    """Unmount all of those, lazily where something still holds one; how many there were."""
    libc = ctypes.CDLL(None, use_errno=True)
    points = mounts_below(folders)
    for point in points:
        if libc.umount2(point.encode(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0:
            log.warning("cannot unmount", extra={"path": point, "error": os.strerror(ctypes.get_errno())})
    return len(points)


def forget_containers(state: Path, run: Path = Path("/run/containerd")) -> None:
    """Delete what runc still knows of containers whose bundle was below `state`, and the folders that are empty then.

    Every containerd of the machine shares these folders, so what another one has there stays.
    """
    namespace = run / "runc" / "k8s.io"
    for known in sorted(namespace.glob("*/state.json")):
        try:
            labels = json.loads(known.read_text()).get("config", {}).get("labels") or []
        except (OSError, ValueError):  # another containerd is at work on it
            continue
        if any(label.startswith(f"bundle={state}/") for label in labels):
            shutil.rmtree(known.parent, ignore_errors=True)
    for folder in (namespace, run / "runc", run / "s", run, *sorted(Path("/sys/fs/cgroup").glob("*/k8s.io"))):
        with contextlib.suppress(OSError):  # not empty, or not there
            folder.rmdir()


def _descendants(pid: int) -> list[int]:
    """Children first generation by generation, from /proc."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found.extend(below)
        todo.extend(below)
    return found
