"""What a test needs of the machine: skipped with its reason on a laptop, a failure where CI=true.

Some things no CI of ours has, since they are the kernel's: those in `KERNEL_MAY_LACK` are skipped everywhere.
Use at the top of a test or fixture: `require.root()`, `require.program("nft", package="nftables")`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

KERNEL_MAY_LACK = frozenset({"IPVS", "cgroup v2", "dummy interfaces", "huge pages on request", "rootless limits"})
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def missing(what: str, hint: str = "") -> NoReturn:
    """Skip, or fail where CI=true; `what` is a name of `KERNEL_MAY_LACK` or anything else that should be here."""
    reason = f"needs {what}" + (f": {hint}" if hint else "")
    if os.environ.get("CI") == "true" and what not in KERNEL_MAY_LACK:
        pytest.fail(f"{reason} (a skip is a failure where CI=true)", pytrace=False)
    pytest.skip(reason)


def root() -> None:
    """The test makes namespaces, mounts or cgroups."""
    linux()
    if os.geteuid() != 0:
        missing("root", "run it with sudo")


def linux() -> None:
    """The test uses Linux's own calls."""
    if sys.platform != "linux":
        missing("Linux")


def program(name: str, package: str = "") -> str:
    """The path of a program; one that a Python package brought (kubectl) comes first."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:{SBIN}")
    if found is None:
        missing(f"the program {name}", f"apt-get install {package or name}")
    return found


def path(name: str, hint: str = "") -> Path:
    """A file or folder that must be there."""
    found = Path(name)
    if not found.exists():
        missing(name, hint)
    return found


def kernel(what: str, probe: Callable[[], bool]) -> None:
    """A kernel feature by its name in `KERNEL_MAY_LACK`; `probe` looks for it."""
    if what not in KERNEL_MAY_LACK:
        raise ValueError(f"{what!r} is not in KERNEL_MAY_LACK: {sorted(KERNEL_MAY_LACK)}")
    if not probe():
        missing(what)


def containers() -> None:
    """containerd, runc, ctr, the CNI plugins, root, and a busybox to put into images."""
    root()
    for name, package in (("containerd", "containerd"), ("ctr", "containerd"), ("runc", "runc"),
                          ("busybox", "busybox-static")):
        program(name, package)
    if not any(Path(folder, "bridge").exists() for folder in ("/usr/lib/cni", "/opt/cni/bin")):
        missing("the CNI plugins", "apt-get install containernetworking-plugins")
