"""`sampan up`: start a cluster on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--name", default="default", help="the cluster's name; several live side by side")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the cluster (default: by its name below the system's data folder)")
    parser.add_argument("--port", type=int, metavar="P", help="port of the API (default 6443 or the next free one)")
    parser.add_argument("--nodes", type=int, metavar="K", help="how many nodes (default 1; more need --simulated)")
    parser.add_argument("--simulated", action="store_true", help="simulated nodes: containers do not really run")
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground until interrupted")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="add the cluster to this kubeconfig")
    parser.add_argument("--runtime-endpoint", default="", metavar="SOCKET", help="use this CRI socket instead of a containerd of our own")


def run(arguments: argparse.Namespace) -> int:
    """Start, wait, tell."""
    from sampan.cluster.allinone import UpOptions, supervise, up

    options = UpOptions(
        name=arguments.name, data=arguments.data, port=arguments.port, nodes=arguments.nodes, simulated=arguments.simulated,
        kubeconfig=arguments.kubeconfig, runtime_endpoint=arguments.runtime_endpoint)
    if arguments.foreground:
        return supervise(options)
    running = up(options, print)
    kind = "simulated node" if running.config.simulated else "node"
    count = running.config.nodes
    state = "was up already" if running.already else f"is up after {running.seconds:.1f} s"
    print(f"cluster {running.config.name} {state}: {running.server}, {count} {kind}{'s' if count != 1 else ''}")
    if arguments.kubeconfig is None:
        print(f"export KUBECONFIG={running.kubeconfig}")
    else:
        print(f"kubectl config use-context sampan{running.config.suffix}   # in {arguments.kubeconfig}")
    return 0
