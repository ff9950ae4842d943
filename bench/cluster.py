"""Roll a Deployment out over many nodes until every pod is bound, and collect it again; what it costs.

    python bench/cluster.py rollout             2,000 pods over 1,000 nodes; API server, controllers and scheduler each a process, over HTTPS
    python bench/cluster.py rollout --together  the same in one process, over the in-process client
    python bench/cluster.py collect [--together] a Deployment of 5,000 pods, deleted in the foreground: until it is gone

The first uses `cluster_load.py` from the folder in LOAD_TOOLS (default ../shared/bench). Nodes are API objects only, so the node
lifecycle controller is off; without a scheduler (collect) no pod waits for a node agent to stop it. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import common

CONTROLLERS = ("*", "-node-lifecycle-controller")


def serve_together(folder: Path, port: int, *, schedule: bool) -> int:
    """API server, controllers and scheduler in one process, as `sampan control-plane` puts them together."""
    from sampan.aio.tasks import Tasks
    from sampan.cluster import controlplane
    from sampan.cluster.server import Parts, ServerConfig, serve

    async def beside(parts: Parts) -> None:
        async with Tasks() as tasks:
            controlplane.start(parts, tasks, CONTROLLERS, scheduling=schedule)
            await tasks.wait()

    return serve(ServerConfig(data=folder / "data", port=port, token_file=folder / "tokens.csv"), beside)


def start(folder: Path, *, together: bool, schedule: bool) -> list[subprocess.Popen[bytes]]:
    if not together:
        server, _ = common.start_server(folder)
        access = ["--kubeconfig", str(folder / "data" / "admin.kubeconfig")]
        parts = [["controllers", *access, f"--controllers={','.join(CONTROLLERS)}"], *([["scheduler", *access]] if schedule else [])]
        return [server, *(subprocess.Popen([sys.executable, "-m", "sampan", *part]) for part in parts)]
    common.token_file(folder)
    command = [sys.executable, __file__, "serve", str(folder), str(common.PORT), *(["--schedule"] if schedule else [])]
    return [common.start(command, common.PORT)[0]]


def ask(method: str, path: str, body: object = None, *, raw: bool = False) -> object:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(f"https://127.0.0.1:{common.PORT}{path}", method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": f"Bearer {common.TOKEN}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        data: bytes = answer.read()
    return data if raw else json.loads(data)


def rollout(processes: list[subprocess.Popen[bytes]], options: argparse.Namespace) -> None:
    tools = Path(os.environ.get("LOAD_TOOLS", common.ROOT.parent / "shared" / "bench"))
    subprocess.run([sys.executable, str(tools / "cluster_load.py"), "--server", f"https://127.0.0.1:{common.PORT}", "--token", common.TOKEN,
                    "--pids", ",".join(str(process.pid) for process in processes), "--nodes", str(options.nodes), "--pods", str(options.pods or 2000)], check=True)
    for process in processes:
        print(" ".join(str(word) for word in process.args[1:4]), round(common.memory_mib(process.pid)), "MiB", round(common.cpu_seconds(process.pid), 1), "s CPU")


def collect(processes: list[subprocess.Popen[bytes]], options: argparse.Namespace) -> None:
    count = options.pods or 5000
    labels = {"app": "web"}
    path = "/apis/apps/v1/namespaces/default/deployments"
    ask("POST", path, {"metadata": {"name": "web"}, "spec": {"replicas": count, "selector": {"matchLabels": labels}, "template": {
        "metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]}}}})
    begin = time.monotonic()
    while pods() < count:
        time.sleep(0.2)
    made = time.monotonic() - begin
    time.sleep(3)
    before, begin = sum(common.cpu_seconds(process.pid) for process in processes), time.monotonic()
    ask("DELETE", f"{path}/web", {"propagationPolicy": "Foreground"})
    while there(f"{path}/web"):
        time.sleep(0.1)
    took = time.monotonic() - begin
    used = sum(common.cpu_seconds(process.pid) for process in processes) - before
    print(json.dumps({"pods": count, "made_per_second": round(count / made), "collected_per_second": round(count / took),
                      "cpu_ms_per_pod_collected": round(used / count * 1e3, 2), "left": pods(),
                      "rss_mib": round(sum(common.memory_mib(process.pid) for process in processes))}))


def pods() -> int:
    found = ask("GET", "/api/v1/namespaces/default/pods?limit=1")
    assert isinstance(found, dict)
    return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))


def there(path: str) -> bool:
    try:
        ask("GET", path)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rollout", "collect", "serve"))
    parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--schedule", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=0)
    options = parser.parse_args()
    if options.what == "serve":
        return serve_together(Path(options.more[0]), int(options.more[1]), schedule=options.schedule)
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        processes = start(Path(name), together=options.together, schedule=options.what == "rollout")
        try:
            {"rollout": rollout, "collect": collect}[options.what](processes, options)
        finally:
            for process in processes[::-1]:
                common.stop(process)
    return 0


if __name__ == "__main__":
    sys.exit(main())
