"""What audit and encryption at rest cost a request: CPU of writing and reading a config map of 3 KB, in process, in memory.

    python bench/security.py
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from sampan.api import codec
from sampan.apiserver.audit.policy import load
from sampan.apiserver.encryption import config
from sampan.apiserver.request import ADMIN
from sampan.apiserver.server import Settings
from sampan.testing.server import LEAN, running_server

TIMES, ROUNDS = 1500, 5
MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}
POLICY = load(b"{apiVersion: audit.k8s.io/v1, kind: Policy, omitStages: [RequestReceived], rules: [{level: Metadata}]}", "policy")
SEALED = config.load(codec.encode({
    "kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "resources": [{"resources": ["*.*"], "providers": [
        {"aesgcm": {"keys": [{"name": "k", "secret": base64.b64encode(bytes(32)).decode()}]}}]}]}), "configuration")


async def cost(settings: Settings) -> tuple[float, float]:
    """Microseconds of CPU of a POST and of a GET."""
    async with running_server(settings=replace(settings, users={"t": ADMIN})) as server:
        client = server.client_with(authorization="Bearer t")
        bodies = [codec.encode({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m{n}"}, "data": {"k": "v" * 3000}}) for n in range(TIMES)]
        began = time.process_time()
        for body in bodies:
            await client.raw("POST", MAPS, body=body, headers=JSON)
        between = time.process_time()
        for number in range(TIMES):
            await client.raw("GET", f"{MAPS}/m{number}")
        return (between - began) / TIMES * 1e6, (time.process_time() - between) / TIMES * 1e6


def main() -> None:
    """Print a row each: the cheapest of some rounds."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as folder:
        kinds = {"plain": LEAN, "audited (Metadata)": replace(LEAN, audit_policy=POLICY, audit_log=str(Path(folder, "audit.log"))),
                 "sealed (AES-GCM)": replace(LEAN, encryption=SEALED)}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):  # in turns: what else the machine does meets all of them
            for name, settings in kinds.items():
                found[name].append(asyncio.run(cost(settings)))
    for name, rounds in found.items():
        print(f"{name:20} POST {min(post for post, _ in rounds):5.0f} µs  GET {min(get for _, get in rounds):5.0f} µs")


if __name__ == "__main__":
    main()
