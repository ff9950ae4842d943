"""`sampan scheduler`: run the scheduler, in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from sampan.cli import credentialflags


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--kubeconfig", type=Path, required=True, metavar="FILE", help="access to the API server")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a KubeSchedulerConfiguration")
    credentialflags.add_check(parser, "10s")
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))


def run(arguments: argparse.Namespace) -> int:
    """Schedule until told to stop."""
    from sampan.cluster.components import SchedulerConfig, run_scheduler

    return run_scheduler(SchedulerConfig(arguments.kubeconfig, arguments.log_level, arguments.certificate_check_period, arguments.config))
