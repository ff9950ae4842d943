"""Links, addresses and routes through iproute2, sysctls through /proc. Blocking, quick, at start and stop only."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from sampan.lib.errors import MissingPart, SampanError


class NetlinkFailed(SampanError):
    """The kernel refused; the message has its words."""


def ip(*args: str) -> str:
    """Run `ip` and return what it prints.

    Raises:
        NetlinkFailed: It failed.
        MissingPart: There is no `ip`.
    """
    found = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
    if found is None:
        raise MissingPart("iproute2 is not installed", hint="apt-get install iproute2")
    done = subprocess.run([found, *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetlinkFailed(f"ip {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def links() -> dict[str, dict[str, Any]]:
    """Links by name, as `ip -json link` has them."""
    return {link["ifname"]: link for link in json.loads(ip("-json", "link", "show") or "[]")}


def default_route() -> tuple[str, str]:
    """(device, source address) of the IPv4 default route; empty strings without one."""
    for route in json.loads(ip("-json", "-4", "route", "show", "default") or "[]"):
        device = route.get("dev", "")
        for link in json.loads(ip("-json", "-4", "addr", "show", "dev", device) or "[]"):
            for info in link.get("addr_info", ()):
                if info.get("scope") == "global":
                    return device, str(info["local"])
    return "", ""


def global_addresses() -> list[str]:
    """IPv4 addresses of links that are up and are neither loopback nor bridges or links of containers."""
    found = []
    for link in json.loads(ip("-json", "-details", "-4", "addr", "show", "up") or "[]"):
        if "LOOPBACK" in link.get("flags", ()) or link.get("linkinfo", {}).get("info_kind") in ("bridge", "veth"):
            continue
        found += [str(info["local"]) for info in link.get("addr_info", ()) if info.get("scope") == "global"]
    return found


def _sysctl(name: str) -> Path:
    # a dot inside an interface's name is a slash in sysctl(8); names here are given with slashes already
    return Path("/proc/sys") / name


def read_sysctl(name: str) -> str | None:
    """The value of `net/ipv4/ip_forward`; None where this kernel has no such setting."""
    path = _sysctl(name)
    return path.read_text().strip() if path.exists() else None


def write_sysctl(name: str, value: str) -> None:
    """Set it if it differs.

    Raises:
        NetlinkFailed: Not allowed.
    """
    if read_sysctl(name) == value:
        return
    try:
        _sysctl(name).write_text(value)
    except OSError as error:
        raise NetlinkFailed(f"cannot set sysctl {name.replace('/', '.')}: {error.strerror}") from error
