"""What grows with the number of objects, and what does not: one API server with no pods, then with many.

    python bench/growth.py [--pods 100000]      3 KB each, 100 in a namespace

Prints JSON: seconds from start to /readyz, memory a pod, and CPU of the server for a GET, a LIST of one namespace and the start of a
watch, on TLS with RBAC and the durable store. Both servers run side by side and are asked in turns, so that what else the
machine does falls on both; the median of the rounds counts. Needs `wrk` (Debian package).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import common

IN_NAMESPACE = 100


def pod(name: str) -> bytes:
    env = [{"name": f"SETTING_{number}", "value": f"value-{number}-of-a-plausible-length"} for number in range(12)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "load"}, "annotations": {"note": "x" * 200}},
                       "spec": {"containers": [{"name": "main", "image": "registry.example/web:1.2.3", "env": env, "livenessProbe": probe,
                                                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}}).encode()


async def fill(folder: Path, pods: int) -> int:
    """Copy the one pod of the store under other names; bytes of a stored pod."""
    from sampan.aio.clock import SystemClock
    from sampan.store.base import Put
    from sampan.store.sqlite import SqliteStore

    store = await SqliteStore.open(folder, SystemClock())
    try:
        template = await store.get("/registry/core/pods/load/one")
        space = await store.get("/registry/core/namespaces/load")
        assert template is not None
        assert space is not None
        for start in range(0, pods, IN_NAMESPACE):
            number = start // IN_NAMESPACE
            name = f"many-{number}"
            puts = [Put(f"/registry/core/namespaces/{name}", space.value.replace(b'"load"', f'"{name}"'.encode()))]
            for index in range(start, start + IN_NAMESPACE):
                value = template.value.replace(b'"name":"one"', b'"name":"pod-%d"' % index, 1).replace(b'"namespace":"load"', f'"namespace":"{name}"'.encode(), 1)
                value = re.sub(rb'"uid":"[0-9a-f]{8}', b'"uid":"%08x' % index, value, count=1)
                puts.append(Put(f"/registry/core/pods/{name}/pod-{index}", value))
            await store.transact(puts)
        return len(template.value)
    finally:
        await store.close()


@dataclass(frozen=True)
class Asked:
    """A server, and the pod that it is asked for."""

    pid: int
    port: int
    namespace: str
    name: str

    @property
    def pods(self) -> str:
        return f"https://127.0.0.1:{self.port}/api/v1/namespaces/{self.namespace}/pods"


def wrk(server: Asked, url: str, seconds: int) -> float:
    """Microseconds of the server's CPU for a request."""
    before = common.cpu_seconds(server.pid)
    text = subprocess.run(["wrk", "-t1", "-c4", f"-d{seconds}s", "-H", f"Authorization: Bearer {common.TOKEN}", url],
                          capture_output=True, text=True, check=True).stdout
    requests = re.search(r"(\d+) requests in", text)
    if requests is None or "Non-2xx" in text:
        sys.exit(f"requests failed: {text}")
    return (common.cpu_seconds(server.pid) - before) / int(requests[1]) * 1e6


def newest(server: Asked) -> str:
    out = subprocess.run(["curl", "-sk", "-H", f"Authorization: Bearer {common.TOKEN}", f"{server.pods}?limit=1"],
                         capture_output=True, text=True, check=True).stdout
    return str(json.loads(out)["metadata"]["resourceVersion"])


def rounds(servers: dict[str, Asked], count: int) -> dict[str, dict[str, float]]:
    """Ask all servers in turns."""
    found: dict[str, dict[str, list[float]]] = {name: {"get_us": [], "list_of_100_us": [], "watch_start_us": []} for name in servers}
    for number in range(count + 1):
        for name, server in servers.items():
            # a watch from the newest revision: nothing is sent but the headers, and the end after a second
            path = f"{server.pods}?watch=1&resourceVersion={newest(server)}&timeoutSeconds=1"
            asked = {"get_us": wrk(server, f"{server.pods}/{server.name}", 3), "list_of_100_us": wrk(server, server.pods, 3),
                     "watch_start_us": watches(server, path)}
            for row, cost in asked.items() if number else ():
                found[name][row].append(cost)
    return {name: {row: round(statistics.median(costs), 1) for row, costs in rows.items()} for name, rows in found.items()}


def watches(server: Asked, path: str, count: int = 200) -> float:
    """Microseconds of the server's CPU to start and end a watch."""
    import http.client
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connections = []
    for _ in range(count):  # handshakes are not what is asked for
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
        connection.connect()
        connections.append(connection)
    before = common.cpu_seconds(server.pid)
    answers = []
    for connection in connections:
        connection.request("GET", path, headers={"Authorization": f"Bearer {common.TOKEN}"})
        answers.append(connection.getresponse())
    for answer in answers:
        answer.read()
    used = common.cpu_seconds(server.pid) - before
    for connection in connections:
        connection.close()
    return used / count * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        small, large = Path(name, "small"), Path(name, "large")
        small.mkdir()
        process, _ = common.start_server(small)
        call("POST", "/api/v1/namespaces", b'{"metadata":{"name":"load"}}')
        call("POST", "/api/v1/namespaces/load/serviceaccounts", b'{"metadata":{"name":"default"}}')
        for index in range(IN_NAMESPACE):
            call("POST", "/api/v1/namespaces/load/pods", pod("one" if index == 0 else f"pod-{index}"))
        common.stop(process)
        shutil.copytree(small, large)
        size = asyncio.run(fill(large / "data" / "store", options.pods))
        ports = [common.PORT, common.free_port()]
        few, few_seconds = common.start_server(small, port=ports[0])
        many, many_seconds = common.start_server(large, port=ports[1])
        time.sleep(1)
        idle, memory = common.memory_mib(few.pid), common.memory_mib(many.pid)
        middle = options.pods // IN_NAMESPACE // 2
        costs = rounds({"few": Asked(few.pid, ports[0], "load", "one"),
                        "many": Asked(many.pid, ports[1], f"many-{middle}", f"pod-{middle * IN_NAMESPACE}")}, options.rounds)
        print(json.dumps({"pods": {"few": IN_NAMESPACE, "many": options.pods}, "pod_bytes": size,
                          "start_seconds": {"few": round(few_seconds, 2), "many": round(many_seconds, 2)},
                          "memory_mib": {"few": round(idle, 1), "many": round(memory, 1)},
                          "kib_a_pod": round((memory - idle) * 1024 / options.pods, 2), **costs}, indent=1))
        common.stop(few)
        common.stop(many)
    return 0


def call(method: str, path: str, body: bytes) -> None:
    subprocess.run(["curl", "-sk", "--fail-with-body", "-X", method, "-H", f"Authorization: Bearer {common.TOKEN}", "-H", "Content-Type: application/json",
                    "--data-binary", "@-", "-o", "/dev/null", f"https://127.0.0.1:{common.PORT}{path}"], input=body, check=True)


if __name__ == "__main__":
    sys.exit(main())
