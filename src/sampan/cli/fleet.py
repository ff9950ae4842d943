"""`sampan fleet`: controllers, scheduler and simulated nodes of a large fleet in one process, in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from sampan.lib.errors import ConfigError


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the cluster that `sampan up` made")
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))


def run(arguments: argparse.Namespace) -> int:
    """Work until told to stop."""
    from sampan.cluster.config import load
    from sampan.cluster.simulation import SimulationConfig, serve

    cluster = load(arguments.data)
    if cluster is None or not cluster.apart:
        raise ConfigError(f"there is no cluster in {arguments.data} whose nodes have a process of their own",
                          hint="start one with `sampan up --simulated --nodes 500`, or more")
    return serve(SimulationConfig(arguments.data, cluster, arguments.log_level))
