"""What a simulated cluster could leave on a machine."""

from __future__ import annotations

from pathlib import Path

from e2e.real import Cluster


def left_of(cluster: Cluster) -> list[str]:
    """Processes that name the cluster's home, and its folder; empty when it is gone."""
    found = [str(cluster.folder)] if cluster.folder.exists() else []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if str(cluster.home) in command:
            found.append(command)
    return found
