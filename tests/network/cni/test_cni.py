"""The pod network: its configuration, and the bridge, routes and settings in a network namespace of the test's own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sampan.drivers import netlink
from sampan.network import cni
from sampan.network.cni import PodNetwork
from sampan.testing import require

NETWORK = PodNetwork("sampan7", "10.251.0.0/24", "10.251.0.0/16", "10.103.0.0/16")
OTHER = PodNetwork("sampan8", "10.252.0.0/24", "10.252.0.0/16", "10.104.0.0/16")
CLONE_NEWNET = 0x40000000


def in_own_namespace(check: Callable[[], None]) -> None:
    """Run a check in a child process with a network of its own; its assertion is this test's."""
    require.root()
    require.program("ip", "iproute2")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            check()
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(write, repr(error).encode()[:4000])
            code = 1
        sys.stdout.flush()
        os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as words:
        said = words.read().decode()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said


def test_the_configuration_gives_pods_addresses_of_the_nodes_range(tmp_path: Path) -> None:
    path = cni.write_config(NETWORK, tmp_path / "conf", tmp_path / "data")
    found = json.loads(path.read_text())
    bridge, portmap = found["plugins"]
    assert (bridge["type"], bridge["bridge"], bridge["ipMasq"], bridge["hairpinMode"]) == ("bridge", "sampan7", False, True)
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.251.0.0/24"}]]
    assert bridge["ipam"]["dataDir"] == str(tmp_path / "data")
    assert portmap["capabilities"] == {"portMappings": True}
    assert NETWORK.gateway == "10.251.0.1"
    assert NETWORK.mac != OTHER.mac


@pytest.mark.kernel
def test_the_network_is_made_twice_alike_and_leaves_nothing(tmp_path: Path) -> None:
    def check() -> None:
        before = tmp_path / "before.json"
        routes = netlink.ip("route", "show", "table", "all")
        netlink.write_sysctl("net/ipv4/ip_forward", "0")
        for _ in range(2):
            cni.set_up(NETWORK, before)
            link = netlink.links()["sampan7"]
            assert (link["address"], link["mtu"]) == (NETWORK.mac, 1500)
            assert "10.251.0.1/24" in netlink.ip("-4", "addr", "show", "dev", "sampan7")
            assert netlink.ip("route", "get", "10.103.0.9").split()[2] == "sampan7"
            assert netlink.read_sysctl("net/ipv4/ip_forward") == "1"
            refused = subprocess.run(["ip", "route", "get", "10.251.77.1"], capture_output=True, check=False)
            assert refused.returncode != 0, "an address of another node's range leaves the machine"
        cni.tear_down(NETWORK, before)
        cni.tear_down(NETWORK, before)
        assert "sampan7" not in netlink.links()
        assert netlink.ip("route", "show", "table", "all") == routes
        assert netlink.read_sysctl("net/ipv4/ip_forward") == "0"
        assert not before.exists()

    in_own_namespace(check)


@pytest.mark.kernel
def test_the_machines_settings_come_back_with_the_last_cluster(tmp_path: Path) -> None:
    def check() -> None:
        before = tmp_path / "before.json"
        netlink.write_sysctl("net/ipv4/ip_forward", "0")
        cni.set_up(NETWORK, before)
        cni.set_up(OTHER, before)
        cni.tear_down(NETWORK, before)
        assert netlink.read_sysctl("net/ipv4/ip_forward") == "1"
        cni.tear_down(OTHER, before)
        assert netlink.read_sysctl("net/ipv4/ip_forward") == "0"

    in_own_namespace(check)


@pytest.mark.kernel
def test_a_machine_without_a_network_has_no_address() -> None:
    def check() -> None:
        netlink.ip("link", "set", "lo", "up")
        assert netlink.default_route() == ("", "")
        assert netlink.global_addresses() == []
        netlink.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
        netlink.ip("link", "add", "br0", "type", "bridge")
        netlink.ip("addr", "add", "192.0.2.9/24", "dev", "br0")
        netlink.ip("link", "set", "br0", "up")
        assert netlink.global_addresses() == [], "a bridge's address is not the machine's"

    in_own_namespace(check)
