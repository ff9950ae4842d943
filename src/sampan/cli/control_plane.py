"""`sampan control-plane`: API server, controllers and scheduler of a cluster in one process, in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from sampan.cli import controllers, credentialflags, securityflags
from sampan.lib.errors import ConfigError


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the cluster that `sampan up` made")
    controllers.add_selection(parser)
    securityflags.add(parser)
    credentialflags.add(parser)
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from sampan.cluster.config import load
    from sampan.cluster.controlplane import ControlPlaneConfig, serve

    cluster = load(arguments.data)
    if cluster is None:
        raise ConfigError(f"there is no cluster in {arguments.data}", hint="start one with `sampan up`")
    return serve(ControlPlaneConfig(arguments.data, cluster, log_level=arguments.log_level, controllers=controllers.selection(arguments),
                                    security=securityflags.read(arguments), credentials=credentialflags.read(arguments)))
