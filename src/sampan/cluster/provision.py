"""What a node needs before its agent can start: its client certificate, its serving certificate, the network's identity.

Written into one folder: `kubeconfig` (system:node:NAME), `kubelet.crt` and `.key`, `proxy.kubeconfig`
(system:kube-proxy, also in the group that may publish cluster DNS), `ca.crt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sampan.client import kubeconfig
from sampan.lib import pki
from sampan.lib.clock import Clock
from sampan.lib.pkidir import Authority, PkiFolder
from sampan.lib.pkirotate import Lifetimes, write_private

NETWORK_GROUP = "sampan:node-network"
CLIENT = ("digital signature", "client auth")


@dataclass(frozen=True)
class NodeIdentity:
    """A node's name and the addresses that its port is reached at."""

    name: str
    ips: tuple[str, ...]


@dataclass(frozen=True)
class Folder:
    """Where it is written, and for how long."""

    path: Path
    lifetimes: Lifetimes = Lifetimes()


def provision(into: Folder, ca: Authority, server: str, node: NodeIdentity, clock: Clock) -> datetime:
    """Make or renew everything in a folder; `server` is the API's URL. When that is to be done again."""
    folder, files = into.path, PkiFolder(into.path, clock, into.lifetimes)
    serving = pki.Names(f"system:node:{node.name}", ("system:nodes",), (node.name, "localhost"), (*node.ips, "127.0.0.1"))
    port = files.ensure("kubelet", ca, serving, ("digital signature", "server auth"))
    own = files.ensure("kubelet-client", ca, pki.Names(f"system:node:{node.name}", ("system:nodes",)), CLIENT)
    proxy = files.ensure("proxy-client", ca, pki.Names("system:kube-proxy", (NETWORK_GROUP,)), CLIENT)
    files.save()
    authority = ca.bundle.read_bytes()
    write_private(folder / "ca.crt", authority)
    for name, pair, user in (("kubeconfig", own.pair(), f"system:node:{node.name}"), ("proxy.kubeconfig", proxy.pair(), "system:kube-proxy")):
        access = kubeconfig.Access(server, authority, client_certificate=pair.certificate, client_key=pair.key)
        path = folder / name
        # whoever follows the file is not told of nothing
        if not path.exists() or kubeconfig.read(path) != access:
            kubeconfig.write(path, kubeconfig.build("sampan", access, user=user))
    return min(made.renew_after for made in (port, own, proxy))
