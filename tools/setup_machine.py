"""Install what a cluster with real containers needs and this machine lacks: as root on Debian, nothing is replaced.

With `--tests`, what the tests need too; `go_clients.py` then builds the clients that are Go programs. With `--bench`, what loads are made with.

Prints one line for what it installs and nothing when all is there. Without root or apt it says what is missing and
succeeds: `sampan up` then starts simulated nodes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PARTS = {
    "containerd": ("containerd", lambda: program("containerd") or docker_socket()),
    "runc": ("runc", lambda: program("runc") or program("crun")),
    "containernetworking-plugins": ("CNI plugins", lambda: any(Path(folder, "bridge").exists() for folder in ("/usr/lib/cni", "/opt/cni/bin"))),
    "nftables": ("nftables", lambda: program("nft")),
    "iproute2": ("iproute2", lambda: program("ip")),
    "busybox-static": ("busybox", lambda: program("busybox")),
}
MORE_PARTS = {
    "--tests": {"etcd-server": ("etcd", lambda: program("etcd"))},
    "--bench": {"wrk": ("wrk", lambda: program("wrk"))},
}


def program(name: str) -> bool:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin") is not None


def docker_socket() -> bool:
    return Path("/run/containerd/containerd.sock").exists()


def main() -> int:
    installed = install()
    if "--tests" not in sys.argv:
        return installed
    clients = subprocess.run([sys.executable, str(Path(__file__).parent / "go_clients.py")], check=False)
    return installed or clients.returncode


def install() -> int:
    """What apt has."""
    parts = dict(PARTS)
    for flag in sys.argv[1:]:
        parts |= MORE_PARTS[flag]
    missing = [package for package, (_, there) in parts.items() if not there()]
    if not missing:
        return 0
    if os.geteuid() != 0 or not program("apt-get"):
        print(f"missing: {', '.join(missing)}. With them pods run in real containers: sudo apt-get install {' '.join(missing)}")
        return 0
    print(f"installing {', '.join(missing)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # packages must not start services of their own here, nor replace a runtime that is there
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "--no-remove", *missing]
    for attempt in (command, ["apt-get", "update", "-q"], command):
        done = subprocess.run(attempt, env=environment, capture_output=True, text=True, check=False)
        if attempt is command and done.returncode == 0:
            return 0
    print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    print(f"these packages could not be installed: {', '.join(missing)}; see above", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
