"""How long one turn of the API server's event loop takes at most, request by request.

    python bench/holds.py [--pods 5000]

Prints a table of requests, and of the load tool's scenarios (LOAD_TOOLS, default ../shared/bench), with the longest turn that
fell into each, in milliseconds. The server is `sampan server` with a task beside it that notes when it is woken late.
Nothing else should run: a turn is wall time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import common
import growth

NOTED_SECONDS = 0.002


def serve_watched(folder: Path, port: int) -> int:
    from sampan.cluster.server import Parts, ServerConfig, serve

    async def beside(_: Parts) -> None:
        with (folder / "turns.txt").open("a", buffering=1) as out:
            while True:
                begin = time.monotonic()
                await asyncio.sleep(0.001)
                late = time.monotonic() - begin - 0.001
                if late > NOTED_SECONDS:
                    out.write(f"{begin} {late}\n")

    return serve(ServerConfig(data=folder / "data", port=port, token_file=folder / "tokens.csv"), beside)


def definition() -> bytes:
    rules = [{"rule": f"self.count < {limit} || self.name.startsWith('a')"} for limit in range(10)]
    spec = {"type": "object", "x-kubernetes-validations": rules, "properties": {
        "count": {"type": "integer"}, "name": {"type": "string", "maxLength": 100},
        **{f"field{number}": {"type": "string", "pattern": "^[a-z]+$"} for number in range(200)}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}
    return json.dumps({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.bench.example.com"},
                       "spec": {"group": "bench.example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [version]}}).encode()


def ask(path: str, accept: str = "application/json") -> Callable[[], None]:
    def asked() -> None:
        subprocess.run(["curl", "-sk", "--fail", "-H", f"Authorization: Bearer {common.TOKEN}", "-H", f"Accept: {accept}", "-o", "/dev/null",
                        f"https://127.0.0.1:{common.PORT}{path}"], check=True)
    return asked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve_watched(Path(options.serve[0]), int(options.serve[1]))
    tools = Path(os.environ.get("LOAD_TOOLS", common.ROOT.parent / "shared" / "bench")) / "api_load.py"
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        folder = Path(name)
        process = start(folder)
        pods = "/api/v1/namespaces/load/pods"

        def make() -> None:
            for index in range(options.pods):
                growth.call("POST", pods, growth.pod(f"pod-{index}"))

        def load(scenario: str) -> Callable[[], None]:
            return lambda: done(subprocess.run([sys.executable, str(tools), "--server", f"https://127.0.0.1:{common.PORT}", "--token", common.TOKEN,
                                                "--pids", str(process.pid), "--only", scenario, "--seconds", "5"], capture_output=True, check=False))

        growth.call("POST", "/api/v1/namespaces", b'{"metadata":{"name":"load"}}')
        growth.call("POST", "/api/v1/namespaces/load/serviceaccounts", b'{"metadata":{"name":"default"}}')
        table = "application/json;as=Table;v=v1;g=meta.k8s.io"
        work: list[tuple[str, Callable[[], None]]] = [
            *((f"load: {scenario}", load(scenario)) for scenario in ("get", "create64", "patch", "heartbeat", "list1000", "watch50", "memory5000")),
            ("5,000 pods as JSON", ask(pods)), ("5,000 pods again", ask(pods)),
            ("5,000 pods as a table", ask(pods, table)),
            ("5,000 pods as metadata", ask(pods, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")),
            ("5,000 pods in protobuf", ask(pods, "application/vnd.kubernetes.protobuf")),
            ("5,000 pods in YAML", ask(pods, "application/yaml")),
            ("5,000 pods by label", ask(f"{pods}?labelSelector=app%3Dload")), ("5,000 pods in pages", ask(f"{pods}?limit=500")),
            ("watch of 5,000 pods", ask(f"{pods}?watch=1&timeoutSeconds=2")),
            ("OpenAPI v2", ask("/openapi/v2")), ("OpenAPI v2 in protobuf", ask("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")),
            ("OpenAPI v3 of core", ask("/openapi/v3/api/v1")), ("OpenAPI v3, index", ask("/openapi/v3")),
            ("discovery", ask("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")), ("metrics", ask("/metrics")),
            ("a definition of 200 fields", lambda: growth.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition())),
            ("OpenAPI v2 with it", ask("/openapi/v2")),
            ("deletion of 5,000 pods", lambda: growth.call("DELETE", f"{pods}?gracePeriodSeconds=0", b"")),
        ]
        try:
            spans = []
            for title, step in work:
                time.sleep(0.3)
                begin = time.monotonic()
                step()
                spans.append((title, begin, time.monotonic() + 0.1))
            time.sleep(0.3)
        finally:
            common.stop(process)
        turns = [tuple(map(float, line.split())) for line in (folder / "turns.txt").read_text().splitlines()]
        for title, begin, end in spans:
            found = sorted((late for at, late in turns if at + late >= begin and at <= end), reverse=True)
            print(f"{title:32} {found[0] * 1e3 if found else 0:8.1f} ms   {(end - begin - 0.1):6.2f} s in all")
    return 0


def done(process: subprocess.CompletedProcess[bytes]) -> None:
    if process.returncode:
        sys.exit(f"the load tool failed: {process.stdout.decode()[-500:]}{process.stderr.decode()[-500:]}")


def start(folder: Path) -> subprocess.Popen[bytes]:
    common.token_file(folder)
    return common.start([sys.executable, __file__, "--serve", str(folder), str(common.PORT)], common.PORT)[0]


if __name__ == "__main__":
    sys.exit(main())
