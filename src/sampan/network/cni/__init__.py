"""The node's pod network: one bridge, addresses from the node's range, routes that never leave the machine.

The CNI plugins `bridge`, `host-local` and `portmap` (containernetworking-plugins) attach each pod; this package
makes what they attach to, because a bridge that a plugin makes may keep a random address and loses it when a first
attempt fails. Masquerading is the Service proxy's table. Source: CNI specification 1.0, kubenet.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from sampan.drivers import iptables, netlink
from sampan.drivers.netlink import NetlinkFailed

UNREACHABLE_METRIC = "4278198272"
PLUGINS = ("bridge", "host-local", "portmap", "loopback")
BRIDGE = re.compile(r"sampan\d+")
SYSCTLS = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}


@dataclass(frozen=True)
class PodNetwork:
    """One node's pod network: the bridge's name, the node's range, the cluster's ranges."""

    bridge: str
    node_range: str
    pod_range: str
    service_range: str
    mtu: int = 1500

    @property
    def gateway(self) -> str:
        """The bridge's own address: the first of the node's range."""
        return str(next(ip_network(self.node_range).hosts()))

    @property
    def mac(self) -> str:
        """Fixed, so that pods' ARP entries survive the bridge being made anew."""
        digest = hashlib.sha256(f"{self.bridge} {self.node_range}".encode()).digest()
        return "0a:58:" + ":".join(f"{byte:02x}" for byte in digest[:4])


def conflist(network: PodNetwork, data_dir: Path) -> dict[str, object]:
    """The CNI configuration of this network. Pure."""
    ipam = {"type": "host-local", "dataDir": str(data_dir), "ranges": [[{"subnet": network.node_range}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "0.4.0",
        "name": network.bridge,
        "plugins": [
            {"type": "bridge", "bridge": network.bridge, "isGateway": True, "hairpinMode": True, "ipMasq": False,
             "mtu": network.mtu, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


def write_config(network: PodNetwork, conf_dir: Path, data_dir: Path) -> Path:
    """Write the configuration where the container runtime looks for it."""
    conf_dir.mkdir(parents=True, exist_ok=True)
    path = conf_dir / "10-sampan.conflist"
    path.write_text(json.dumps(conflist(network, data_dir), indent=1) + "\n")
    return path


def state_file(folder: Path = Path("/run/sampan")) -> Path:
    """Where the machine's settings before the first cluster are kept: one for all clusters, and a network namespace."""
    return folder / f"network-{os.stat('/proc/self/ns/net').st_ino}.json"


def set_up(network: PodNetwork, before: Path) -> None:
    """Make the bridge, its routes and the sysctls; what is there already stays. What was before goes to that file.

    Raises:
        NetlinkFailed: The kernel refused.
    """
    if not before.exists():
        before.parent.mkdir(parents=True, exist_ok=True)
        before.write_text(json.dumps({"sysctls": {name: netlink.read_sysctl(name) for name in SYSCTLS}, "tables": iptables.tables()}))
    bridge = network.bridge
    if bridge not in netlink.links():
        netlink.ip("link", "add", bridge, "address", network.mac, "type", "bridge")
    length = ip_network(network.node_range).prefixlen
    netlink.ip("addr", "replace", f"{network.gateway}/{length}", "dev", bridge)
    netlink.ip("link", "set", bridge, "mtu", str(network.mtu), "up")
    # connections of this machine to a Service need a route before nftables can rewrite them; the bridge answers for none
    netlink.ip("route", "replace", network.service_range, "dev", bridge)
    for reserved in (network.service_range, network.pod_range):
        netlink.ip("route", "replace", "unreachable", reserved, "metric", UNREACHABLE_METRIC)
    for name, value in SYSCTLS.items():
        if netlink.read_sysctl(name) is not None:
            netlink.write_sysctl(name, value)


def tear_down(network: PodNetwork, before: Path) -> None:
    """Remove what `set_up` and the plugins made; what is not there is fine.

    With the last cluster's bridge the machine's settings become what they were before the first.
    """
    if network.bridge in netlink.links():
        netlink.ip("link", "delete", network.bridge)
    for reserved in (network.service_range, network.pod_range):
        try:
            netlink.ip("route", "delete", "unreachable", reserved, "metric", UNREACHABLE_METRIC)
        except NetlinkFailed:
            continue  # it was not there
    if before.exists() and not any(BRIDGE.fullmatch(name) for name in netlink.links()):
        known = json.loads(before.read_text())
        for name, value in known["sysctls"].items():
            if value is not None:
                netlink.write_sysctl(name, value)
        iptables.remove_leftovers(known["tables"])
        before.unlink()
    results = Path("/var/lib/cni/results")
    for result in results.glob(f"{network.bridge}-*"):
        result.unlink()
    shutil.rmtree(Path("/var/lib/cni/networks") / network.bridge, ignore_errors=True)
    for folder in (results, results.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
