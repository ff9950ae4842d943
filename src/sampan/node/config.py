"""Settings of a node agent, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class NodeSettings:
    """How one node presents itself and where it keeps things. Sizes in bytes, CPU in milli-CPU.

    `root` holds pods' volumes and files; `log_root` containers' logs, laid out as upstream does
    (`<namespace>_<pod>_<uid>/<container>/<attempt>.log`).
    """

    name: str
    root: Path
    log_root: Path = Path("/var/log/pods")
    ips: tuple[str, ...] = ()
    port: int = 10250
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()  # key, value, effect
    capacity: Mapping[str, int] = field(default_factory=dict)  # cpu in milli, else bytes or counts
    most_pods: int = 110
    cgroup_root: str = "/kubepods"
    manage_cgroups: bool = True
    manage_mounts: bool = True
    files: bool = True  # False: simulated pods' volumes and logs exist in name only, nothing is written to the disk
    lease_seconds: int = 40
    status_seconds: float = 300.0
    provider_id: str = ""
    pod_range: str = ""
    start_at_once: int = 8
    resolv_conf: Path = Path("/etc/resolv.conf")
