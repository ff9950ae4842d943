"""How the process of a large fleet gets in: as an authenticating proxy, which says for whom it asks.

It speaks for thousands of nodes and for every controller over a few connections.
Source: Kubernetes documentation, "Authenticating Proxy".
"""

from __future__ import annotations

from pathlib import Path

from sampan.client import kubeconfig
from sampan.cluster.config import FLEET
from sampan.cluster.credentials import Current
from sampan.cluster.security import HeaderFlags

PROXY_NAME = "front-proxy-client"
NODE_USER = "system:node:"
NODES_GROUP = "system:nodes"
WATCHER_USER, WATCHER_GROUP = "sampan:fleet", "system:masters"
"""Who watches, for all nodes together, the objects that their pods refer to."""


def trusting(folder: Path) -> HeaderFlags:
    """What makes the API server of a cluster's folder believe it."""
    return HeaderFlags(ca=folder / "pki" / "front-proxy-ca-bundle.crt", names=(PROXY_NAME,))


def path(folder: Path) -> Path:
    """Where its kubeconfig is."""
    return folder / FLEET / "kubeconfig"


def group_of(user: str) -> str:
    """The group that a user's rights come from; empty for those that have them by name."""
    if user == WATCHER_USER:
        return WATCHER_GROUP
    return NODES_GROUP if user.startswith(NODE_USER) else ""


def allow(folder: Path, port: int, current: Current) -> None:
    """Write its kubeconfig, with the certificate of a front proxy."""
    proxy = current.keys.front_proxy_client.pair()
    access = kubeconfig.Access(f"https://127.0.0.1:{port}", current.authorities, client_certificate=proxy.certificate, client_key=proxy.key)
    kubeconfig.write(path(folder), kubeconfig.build(FLEET, access))
