"""Thousands of simulated nodes: how long they and their pods take, and what they cost at rest.

    python bench/fleet.py [--nodes 5000] [--pods 50000] [--idle 120]

Runs `sampan up --simulated` in a folder of its own, makes Deployments of a thousand pods each, waits until all run, lets
everything come to rest and measures for `--idle` seconds. CPU and memory are those of the supervisor and the control plane, the
only processes. At the end it looks how long ago each node renewed its lease, and which nodes were taken for dead meanwhile.
Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import common
from sampan.aio.clock import SystemClock

CLOCK = SystemClock()
IN_DEPLOYMENT = 1000


class Cluster:
    def __init__(self, home: Path, nodes: int) -> None:
        self.environment = {**os.environ, "SAMPAN_HOME": str(home)}
        begin = time.monotonic()
        self.sampan("up", "--simulated", "--name", "bench", "--nodes", str(nodes))
        self.up_seconds, self.up_at = time.monotonic() - begin, CLOCK.now()
        folder = home / "bench"
        self.pids = [int(path.read_text().split()[0]) for path in (folder / "run").glob("*.pid")]
        self.kubeconfig = folder / "admin.kubeconfig"

    def sampan(self, *words: str) -> None:
        done = subprocess.run([sys.executable, "-m", "sampan", *words], capture_output=True, text=True, check=False, env=self.environment)
        if done.returncode:
            sys.exit(f"sampan {words[0]} failed: {done.stderr}")

    def down(self) -> None:
        self.sampan("down", "--name", "bench", "--purge")

    def cpu(self) -> float:
        return sum(common.cpu_seconds(pid) for pid in self.pids)

    def memory(self) -> float:
        return sum(common.memory_mib(pid) for pid in self.pids)

    def kubectl(self, *words: str, text: str = "") -> Any:
        done = subprocess.run(["kubectl", "--kubeconfig", str(self.kubeconfig), *words], input=text, capture_output=True, text=True, check=True)
        return json.loads(done.stdout) if "json" in words else done.stdout

    def ready(self) -> int:
        """Pods that run, as their Deployments count them."""
        return sum(one["status"].get("readyReplicas", 0) for one in self.kubectl("get", "deployments", "-o", "json")["items"])

    def nodes(self) -> dict[str, Any]:
        """How many are ready, how many were not for a while, and the age of the lease that was renewed the longest ago."""
        ready = [next(c for c in node["status"]["conditions"] if c["type"] == "Ready") for node in self.kubectl("get", "nodes", "-o", "json")["items"]]
        leases = self.kubectl("get", "leases", "-n", "kube-node-lease", "-o", "json")["items"]
        oldest = min(datetime.fromisoformat(lease["spec"]["renewTime"]) for lease in leases)
        return {"nodes_ready": sum(one["status"] == "True" for one in ready),
                "nodes_taken_for_dead": sum(datetime.fromisoformat(one["lastTransitionTime"]) > self.up_at for one in ready),
                "oldest_lease_seconds": round((CLOCK.now() - oldest).total_seconds(), 1)}


def deployment(name: str, pods: int) -> dict[str, Any]:
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": pods, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "containers": [{"name": "main", "image": "registry.example/web:1", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}}}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=50_000)
    parser.add_argument("--idle", type=float, default=120)
    parser.add_argument("--most", type=float, default=1800, help="seconds until all pods run, at most")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        cluster = Cluster(Path(name), options.nodes)
        try:
            results: dict[str, Any] = {"nodes": options.nodes, "pods": options.pods, "up_seconds": round(cluster.up_seconds, 1),
                                       "mib_with_nodes": round(cluster.memory())}
            begin, before = time.monotonic(), cluster.cpu()
            for start in range(0, options.pods, IN_DEPLOYMENT):
                cluster.kubectl("create", "-f", "-", text=json.dumps(deployment(f"web-{start}", min(IN_DEPLOYMENT, options.pods - start))))
            while (ready := cluster.ready()) < options.pods:
                if time.monotonic() - begin > options.most:
                    sys.exit(f"{ready} of {options.pods} pods run")
                time.sleep(2)
            took = time.monotonic() - begin
            results |= {"seconds_to_running": round(took, 1), "pods_per_second": round(options.pods / took),
                        "cpu_ms_per_pod": round((cluster.cpu() - before) / options.pods * 1e3, 2), "mib_with_pods": round(cluster.memory())}
            time.sleep(60)
            begin, before = time.monotonic(), cluster.cpu()
            time.sleep(options.idle)
            results |= {"idle_percent_of_a_core": round((cluster.cpu() - before) / (time.monotonic() - begin) * 100, 1), "mib_at_rest": round(cluster.memory())}
            results |= cluster.nodes()
            print(json.dumps(results, indent=1))
        finally:
            cluster.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
