"""`sampan certs`: when a cluster's certificates end, and having them made anew."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("action", choices=("status", "renew"), help="list what there is, or have all but the authorities made anew")
    parser.add_argument("--name", default="default", metavar="NAME", help="name of the cluster (default: default)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="its folder, or that of `sampan server`")


def run(arguments: argparse.Namespace) -> int:
    """List, or mark as due."""
    from sampan.aio.clock import SystemClock
    from sampan.cluster import certs
    from sampan.cluster.allinone import folder_of

    clock, data = SystemClock(), folder_of(arguments.name, arguments.data)
    for folder in certs.folders(data):
        print(f"{folder.relative_to(data)}:")
        if arguments.action == "renew":
            print(f"  made anew within the check period of the server that runs: {', '.join(certs.renew(folder, clock)) or 'nothing'}")
            continue
        for row in certs.listed(folder):
            kind = "authority" if row.authority else row.subject
            print(f"  {row.name:<26} {row.ends:%Y-%m-%d %H:%M:%S}Z  {row.left(clock.now()):>7}  {kind}")
    return 0
