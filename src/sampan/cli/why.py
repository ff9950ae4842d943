"""`sampan why pod/NAME`: why a pod waits, per plugin and node, and what would help."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("what", metavar="pod/NAME", help="the pod")
    parser.add_argument("-n", "--namespace", default="default", help="its namespace")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="access to the API server; default: as kubectl finds it")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the scheduler's KubeSchedulerConfiguration, if it has one")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; exit code 0 when the pod runs or could, 1 when no node takes it, 3 when there is no such pod."""
    import asyncio

    from sampan.cluster.why import report

    kind, _, name = arguments.what.rpartition("/")
    if kind not in ("", "po", "pod", "pods") or not name:
        print(f"{arguments.what} is no pod; write pod/NAME")
        return 2
    code, text = asyncio.run(report(arguments.kubeconfig, arguments.config, arguments.namespace, name))
    print(text)
    return code
