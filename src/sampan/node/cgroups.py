"""Pods' cgroups on disk: made in every v1 controller (or the v2 tree), limited, removed. Blocking and quick.

Source: RUNTIME facts 13; kubelet `pkg/kubelet/cm/pod_container_manager_linux.go`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from sampan.node.runtimes.spec import Resources

log = logging.getLogger(__name__)

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "blkio", "devices", "freezer", "cpuset", "hugetlb", "systemd",
               "net_cls", "net_prio", "perf_event")


class Cgroups:
    """The cgroup tree below `base`."""

    def __init__(self, base: Path = Path("/sys/fs/cgroup")) -> None:
        self._base = base
        self.unified = (base / "cgroup.controllers").exists()
        trees = [base] if self.unified else [base / name for name in CONTROLLERS]
        # several v1 controllers may share one mount through links
        self._trees = list({tree.resolve(): None for tree in trees if tree.is_dir()})

    def make(self, path: str, resources: Resources) -> None:
        """Make the cgroup in every tree and set its limits.

        Raises:
            OSError: The kernel refused.
        """
        for tree in self._trees:
            folder = tree / path.lstrip("/")
            self._make_folder(tree, folder)
            self._limit(folder, resources)

    def _make_folder(self, tree: Path, folder: Path) -> None:
        missing = [part for part in [folder, *folder.parents] if part != tree and tree in part.parents and not part.exists()]
        for part in reversed(missing):
            part.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                # a fresh v1 cpuset is empty and takes no process until it has its parent's
                if not self.unified and (part / name).exists() and not (part / name).read_text().strip():
                    (part / name).write_text((part.parent / name).read_text())
        if self.unified:
            for part in reversed([p for p in folder.parents if tree == p or tree in p.parents]):
                have = (part / "cgroup.controllers").read_text().split()
                (part / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in have if name in ("cpu", "memory", "pids", "cpuset")))

    def _limit(self, folder: Path, r: Resources) -> None:
        if self.unified:
            weight = max(1, min(10_000, 1 + (r.cpu_shares - 2) * 9999 // 262_142)) if r.cpu_shares else 100
            values = {"cpu.weight": str(weight), "cpu.max": f"{r.cpu_quota or 'max'} {r.cpu_period or 100_000}",
                      "memory.max": str(r.memory_bytes or "max")}
        else:
            values = {"cpu.shares": str(r.cpu_shares), "cpu.cfs_period_us": str(r.cpu_period or 100_000),
                      "cpu.cfs_quota_us": str(r.cpu_quota or -1), "memory.limit_in_bytes": str(r.memory_bytes or -1)}
        for name, value in values.items():
            if (folder / name).exists() and value != "0":
                (folder / name).write_text(value)

    def remove(self, path: str) -> None:
        """Remove the cgroup and what is below it; one that still has processes stays and is said."""
        # runc also makes it in the v2 tree that a hybrid machine has beside the v1 controllers
        for tree in dict.fromkeys([*self._trees, *([] if self.unified else [self._base / "unified"])]):
            top = tree / path.lstrip("/")
            if not top.is_dir():
                continue
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError as error:
                    log.warning("cgroup stays", extra={"cgroup": folder, "error": str(error)})
