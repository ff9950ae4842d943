"""`sampan agent`: run a node agent, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cli import credentialflags
from sampan.lib import logs
from sampan.lib.errors import ConfigError

if TYPE_CHECKING:  # imported when the command runs: `sampan --help` is quick
    from sampan.cluster.agent import AgentConfig


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="the node's access to the API; its certificates are beside it")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the cluster that `sampan up` made")
    parser.add_argument("--node", type=int, default=0, metavar="I", help="which node of that cluster (default 0)")
    parser.add_argument("--node-name", default="", metavar="NAME", help="name of a node that is not of such a cluster")
    parser.add_argument("--node-ip", default="", metavar="IP", help="address that others reach the node at")
    parser.add_argument("--node-port", type=int, default=10250, metavar="P", help="the agent's own port (default 10250 or the next of its cluster)")
    parser.add_argument("--simulated", action="store_true", help="containers do not really run")
    parser.add_argument("--remove", action="store_true", help="take everything of the node off this machine and end")
    credentialflags.add_check(parser, "10s")
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))


def run(arguments: argparse.Namespace) -> int:
    """Run or remove the node."""
    from sampan.cluster import agent

    logs.configure(arguments.log_level)
    config, mark = _config(arguments)
    if arguments.remove:
        asyncio.run(agent.remove(config))
        return 0
    if not config.kubeconfig.exists():
        raise ConfigError(f"{config.kubeconfig} does not exist", hint="give the node's kubeconfig with --kubeconfig")
    if mark is not None:
        mark.unlink(missing_ok=True)
    asyncio.run(agent.serve(config, ready=lambda: mark.touch() if mark is not None else None))
    return 0


def _config(arguments: argparse.Namespace) -> tuple[AgentConfig, Path | None]:
    from sampan.cluster.agent import AgentConfig
    from sampan.cluster.config import AGENT_PORT_STEP, load

    if arguments.data is None:
        if arguments.kubeconfig is None:
            raise ConfigError("the agent needs to know its cluster", hint="give --kubeconfig FILE, or --data DIR of a cluster that `sampan up` made")
        name = arguments.node_name or socket.gethostname().lower()
        folder = Path("/var/lib/sampan") / f"agent-{name}"
        return AgentConfig(kubeconfig=arguments.kubeconfig, node=name, folder=folder, credentials=arguments.kubeconfig.parent,
                           simulated=arguments.simulated, ip=arguments.node_ip, port=arguments.node_port, log_level=arguments.log_level,
                           look_seconds=arguments.certificate_check_period), None
    cluster = load(arguments.data)
    if cluster is None:
        raise ConfigError(f"there is no cluster in {arguments.data}", hint="start one with `sampan up`")
    name = cluster.node_name(arguments.node)
    folder = arguments.data / "nodes" / name
    config = AgentConfig(
        kubeconfig=arguments.kubeconfig or folder / "kubeconfig", node=name, folder=folder, credentials=folder, simulated=cluster.simulated,
        runtime_endpoint=cluster.runtime_endpoint, ip=arguments.node_ip, port=arguments.node_port + AGENT_PORT_STEP * cluster.index + arguments.node,
        bridge=cluster.bridge, nft_table=cluster.nft_table, cgroup_root=cluster.cgroup_root, node_range=cluster.node_range(arguments.node),
        pod_range=cluster.pod_range, service_range=cluster.service_range, dns_ip=cluster.dns_ip, domain=cluster.domain,
        log_level=arguments.log_level, look_seconds=arguments.certificate_check_period)
    return config, arguments.data / "run" / f"{name}.ready"
