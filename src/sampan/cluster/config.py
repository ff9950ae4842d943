"""What a cluster is: its folder, its ranges, its ports. Kept as `config.json` in the cluster's folder.

Several clusters live side by side on one machine: each has a name, and with it ranges, a bridge, an nftables table
and a cgroup root that no other has.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import asdict, dataclass, field
from ipaddress import ip_network
from pathlib import Path

from sampan.lib.errors import ConfigError

FORMAT = 1
DEFAULT_NAME = "default"
MOST_CLUSTERS = 10
RUN = Path("/run/sampan")  # one folder a cluster with real nodes: sockets need short paths
AGENT_PORT, AGENT_PORT_STEP = 10250, 100
FLEET = "fleet"  # the process of a large one
APART_NODES = 500
"""A fleet of so many nodes has a process of its own."""


@dataclass(frozen=True)
class ClusterConfig:
    """One cluster as its folder describes it; `index` numbers the clusters of a machine and picks their ranges."""

    name: str
    index: int = 0
    port: int = 6443
    nodes: int = 1
    simulated: bool = False
    runtime_endpoint: str = ""
    domain: str = "cluster.local"
    format: int = FORMAT
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def service_range(self) -> str:
        return f"10.{96 + self.index}.0.0/16"

    @property
    def pod_range(self) -> str:
        return f"10.{244 + self.index}.0.0/16"

    @property
    def dns_ip(self) -> str:
        """The cluster DNS address: the tenth of the range."""
        return str(ip_network(self.service_range)[10])

    @property
    def suffix(self) -> str:
        """What tells this cluster's kernel objects from another's; empty for the default one."""
        return "" if self.name == DEFAULT_NAME else f"-{self.name}"

    @property
    def bridge(self) -> str:
        """At most 15 characters, as the kernel wants it."""
        return f"sampan{self.index}"

    @property
    def nft_table(self) -> str:
        return f"sampan{self.suffix}"

    @property
    def agent_port(self) -> int:
        """The port of the first node's agent, and of all nodes of a fleet."""
        return AGENT_PORT + AGENT_PORT_STEP * self.index

    @property
    def cgroup_root(self) -> str:
        return f"/sampan{self.suffix}"

    @property
    def fleet(self) -> bool:
        """Whether all nodes live in one process: several simulated ones do."""
        return self.simulated and self.nodes > 1

    @property
    def apart(self) -> bool:
        """Whether that is a process of its own, and controllers and scheduler are in it, too: else it is the control plane's."""
        return self.fleet and self.nodes >= APART_NODES

    @property
    def processes(self) -> list[str]:
        """What runs beside the control plane: a process for each node, or one for a large fleet."""
        if self.fleet:
            return [FLEET] if self.apart else []
        return [self.node_name(index) for index in range(self.nodes)]

    def node_name(self, index: int) -> str:
        """The first node has the machine's name, as a node agent's would."""
        base = os.uname().nodename.lower() or "node"
        own = f"{base}{self.suffix}"
        return own if index == 0 else f"{own}-{index}"

    def node_range(self, index: int) -> str:
        """The /24 of one node."""
        for number, subnet in enumerate(ip_network(self.pod_range).subnets(new_prefix=24)):
            if number == index:
                return str(subnet)
        raise ConfigError(f"the pod range {self.pod_range} has no room for node {index}")


def clusters_root() -> Path:
    """Where clusters live: the system's place for root, the user's otherwise."""
    if given := os.environ.get("SAMPAN_HOME"):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/sampan")
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "sampan"


def check_name(name: str) -> str:
    """A cluster's name.

    Raises:
        ConfigError: It cannot be part of an interface's, table's and folder's name.
    """
    if not (0 < len(name) <= 30 and name.replace("-", "").isalnum() and name == name.lower() and name.isascii() and name[0] != "-"):
        raise ConfigError(f"{name!r} is no name for a cluster", hint="use up to 30 lower-case letters, digits and dashes")
    return name


def load(folder: Path) -> ClusterConfig | None:
    """The configuration in a folder; None where there is none.

    Raises:
        ConfigError: It cannot be read, or a newer version wrote it.
    """
    path = folder / "config.json"
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text())
        if data.get("format", 0) > FORMAT:
            raise ConfigError(f"{path} was written by a newer version of sampan", hint="upgrade sampan, or use another --data folder")
        return ClusterConfig(**data)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="restore it, or start over with another --data folder") from error


def save(folder: Path, config: ClusterConfig) -> None:
    """Write the configuration."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "config.json"
    path.write_text(json.dumps(asdict(config), indent=1) + "\n")
    path.chmod(0o600)


def free_index(root: Path) -> int:
    """The first number that no cluster below `root` has.

    Raises:
        ConfigError: All are taken.
    """
    taken = {config.index for folder in (root.iterdir() if root.is_dir() else ()) if (config := load(folder)) is not None}
    for index in range(MOST_CLUSTERS):
        # a cluster below another root may have it too
        if index not in taken and not Path(f"/sys/class/net/sampan{index}").exists() and _claim(index):
            return index
    raise ConfigError(f"there are {MOST_CLUSTERS} clusters below {root} already", hint="remove one with `sampan down --purge --name NAME`")


def _claim(index: int) -> bool:
    """Take a number before anybody else does: the folder of the node's sockets is made now; False when it is there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", AGENT_PORT + AGENT_PORT_STEP * index))
        except OSError:
            return False  # the agent of a simulated node, or somebody else's
    if os.geteuid() != 0:
        return True
    RUN.mkdir(mode=0o711, exist_ok=True)
    try:
        (RUN / f"sampan{index}").mkdir(mode=0o711)
    except FileExistsError:
        return False
    return True


def release(config: ClusterConfig) -> None:
    """Give the number back, if nothing of a node is left in its folder."""
    with contextlib.suppress(OSError):
        (RUN / config.bridge).rmdir()
    with contextlib.suppress(OSError):
        RUN.rmdir()
