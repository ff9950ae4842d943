"""`sampan status`: which processes of a cluster run and where its API is."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--name", default="default", help="the cluster's name")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the cluster")


def run(arguments: argparse.Namespace) -> int:
    """Print a line a process; exit code 0 when all run and the API is ready, 3 otherwise."""
    from sampan.cluster.allinone import folder_of, ready, status
    from sampan.cluster.config import load

    folder = folder_of(arguments.name, arguments.data)
    config, states = load(folder), status(folder)
    if config is None:
        print(f"there is no cluster {arguments.name} in {folder}; start one with `sampan up`")
        return 3
    serving = ready(folder, config.port)
    print(f"cluster {config.name}: {'ready' if serving else 'not ready'} at https://127.0.0.1:{config.port}, data in {folder}")
    for name, state in states.items():
        print(f"  {name}: {state}")
    return 0 if serving and all(state.startswith("running") for state in states.values()) else 3
