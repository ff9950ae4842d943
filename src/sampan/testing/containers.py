"""A real containerd for tests, in folders of its own, and the proof that it left nothing behind.

Owns: starting and removing it, the images `busybox` and `broken`, a network without a bridge, the comparison of the machine
before and after.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sampan.aio.clock import SystemClock
from sampan.drivers.containerd import Containerd, ContainerdSettings
from sampan.drivers.oci.busybox import NAME as BUSYBOX
from sampan.drivers.oci.busybox import busybox_image
from sampan.drivers.oci.image import ImageConfig, PlatformImage, layout_tar, machine_architecture
from sampan.drivers.oci.layer import Entry, layer_tar
from sampan.node.runtimes.cri import CriRuntime
from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS

BROKEN = "docker.io/library/broken:latest"


@dataclass(frozen=True)
class MachineState:
    """What containers could leave on a machine."""

    mounts: frozenset[str]
    shims: frozenset[str]
    links: frozenset[str]
    namespaces: frozenset[str]
    cgroups: frozenset[str]
    sockets: frozenset[str]
    cni: frozenset[str]


def machine_state(word: str) -> MachineState:
    """The machine now: mounts and processes that name `word`, links, named network namespaces, CRI's cgroups and sockets."""
    mounts = frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if word in line)
    return MachineState(
        mounts, frozenset(_commands(word)), frozenset(os.listdir("/sys/class/net")),
        _names("/run/netns") | _names("/var/run/netns"), _cgroups(), _names("/run/containerd/s"),
        _names("/var/lib/cni/results"))


def assert_nothing_left(word: str, before: MachineState) -> None:
    """Fail when there is more on the machine than before; others' pods that come and go have time to be gone."""
    deadline = SystemClock().monotonic() + PATIENCE_SECONDS
    while left := {name: sorted(more) for name, now in vars(machine_state(word)).items()
                   if (more := now - getattr(before, name))}:
        assert SystemClock().monotonic() < deadline, left
        time.sleep(0.05)


def _names(folder: str) -> frozenset[str]:
    return frozenset(os.listdir(folder)) if Path(folder).is_dir() else frozenset()


def _commands(word: str) -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if word in command and "containerd" in command:
                yield command


def _cgroups() -> frozenset[str]:
    found: set[str] = set()
    for pattern in ("k8s.io/*", "kubepods*/*", "*/k8s.io/*", "*/kubepods*/*"):
        found.update(str(path) for path in Path("/sys/fs/cgroup").glob(pattern) if path.is_dir())
    return frozenset(found)


def conflist(folder: Path, subnet: str) -> None:
    """A network of point-to-point links: it needs no bridge, and so leaves none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-test.conflist").write_text(json.dumps({
        "cniVersion": "0.4.0", "name": "sampan-test", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": {
            "type": "host-local", "dataDir": str(folder / "leases"), "ranges": [[{"subnet": subnet}]]}}]}))


@contextmanager
def real_containerd(subnet: str = "10.199.7.0/24") -> Iterator[ContainerdSettings]:
    """A running containerd with its images; gone afterwards with all that it made."""
    require.containers()
    root = Path(tempfile.mkdtemp(prefix="sampan-test-", dir="/var/tmp"))
    state = Path(tempfile.mkdtemp(prefix="sampan-", dir="/run"))
    settings = ContainerdSettings(root / "root", state / "c", root / "cni")
    conflist(settings.cni_conf_dir, subnet)
    containerd = Containerd(settings, SystemClock())

    async def start() -> None:
        await containerd.start()
        await containerd.import_image(layout_tar([busybox_image()], [BUSYBOX]))
        broken = PlatformImage(machine_architecture(), ImageConfig(entrypoint=("/no/such/program",)),
                               (layer_tar([Entry("tmp", 0o1777)]),))
        await containerd.import_image(layout_tar([broken], [BROKEN]))

    async def end() -> None:
        try:
            await containerd.start()  # a test may have killed it
            runtime = CriRuntime(settings.endpoint, SystemClock())
            for sandbox in await runtime.list_sandboxes():
                await runtime.remove_sandbox(sandbox.id)
            await runtime.close()
        finally:
            await containerd.remove()
    try:
        asyncio.run(start())
        yield settings
    finally:
        asyncio.run(end())
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)
