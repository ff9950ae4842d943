"""`sampan down`: stop a cluster and leave nothing of it running."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--name", default="default", help="the cluster's name")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the cluster")
    parser.add_argument("--purge", action="store_true", help="delete its data too")


def run(arguments: argparse.Namespace) -> int:
    """Stop it."""
    from sampan.cluster.allinone import down

    stopped = down(arguments.name, arguments.data, purge=arguments.purge, say=print)
    print(f"cluster {arguments.name} {'is down' if stopped else 'was not up'}")
    return 0
