"""Bring the hello example up on a running cluster: build its image, apply the manifest, wait, print what serves.

    python examples/hello/run.py

Safe to run again: what is there already stays.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from sampan.api.core.v1 import Pod, Service
from sampan.api.resources import ALL, DEPLOYMENTS, JOBS, NODES, PODS, SERVICES
from sampan.client import kubeconfig
from sampan.client.base import APPLY_PATCH
from sampan.client.remote import RemoteClient
from sampan.cluster.allinone import folder_of
from sampan.cluster.config import load

HERE = Path(__file__).parent
IMAGE = "sampan.local/busybox:1"
WAIT_SECONDS = 60.0


async def apply(client: RemoteClient, manifest: Path) -> None:
    """Server-side apply every document of a manifest, all into the namespace default."""
    by_kind = {(resource.group_version, resource.kind): resource for resource in ALL}
    for document in yaml.safe_load_all(manifest.read_text()):
        resource = by_kind[document["apiVersion"], document["kind"]]
        await client.patch(resource, document["metadata"]["name"], "default", document, type=APPLY_PATCH, field_manager="hello", force=True)


async def until(client: RemoteClient, question: Any, what: str) -> Any:
    """Ask again and again until the answer is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (answer := await question()):
        if time.monotonic() > deadline:
            pods = [f"  {pod.metadata.name}: {told(pod)}" for pod in (await client.list(PODS, "default")).items]
            sys.exit("\n".join([f"{what} did not happen within {WAIT_SECONDS:g} s; `kubectl get events` tells more", *pods]))
        await asyncio.sleep(0.05)
    return answer


def told(pod: Pod) -> str:
    """A pod's phase, and why its containers do not run."""
    states = [status.state for status in pod.status.containerStatuses]
    reasons = [part.reason for state in states for part in (state.waiting, state.terminated) if part is not None]
    return " ".join([pod.status.phase, *reasons])


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="default", help="the cluster's name")
    parser.add_argument("--data", type=Path, help="folder of the cluster")
    options = parser.parse_args()
    folder = folder_of(options.name, options.data)
    started, config = time.monotonic(), load(folder)
    if config is None:
        sys.exit(f"there is no cluster in {folder}; start one with `sampan up`")
    client = RemoteClient(kubeconfig.read(folder / "admin.kubeconfig"))
    try:
        if not config.simulated:
            await build_image(folder, config.node_name(0))
        await apply(client, HERE / "hello.yaml")

        async def rolled_out() -> bool:
            return bool((await client.get(DEPLOYMENTS, "hello", "default")).status.readyReplicas >= 3)

        async def fetched() -> bool:
            return bool((await client.get(JOBS, "hello-fetch", "default")).status.succeeded)

        await until(client, rolled_out, "three ready pods")
        service: Service = await client.get(SERVICES, "hello", "default")
        port = service.spec.ports[0].nodePort
        addresses = (await client.list(NODES)).items[0].status.addresses
        url = f"http://{next(a.address for a in addresses if a.type == 'InternalIP')}:{port}/"
        if config.simulated:
            print("hello: 3 simulated pods are ready; nothing really serves")
            return
        page = await until(client, lambda: asyncio.to_thread(fetch, url), "an answer of the Service")  # the pods are ready a moment earlier
        assert "Hello from Sampan" in page, page
        await until(client, fetched, "the Job's fetch by DNS name")
        took = time.monotonic() - started
        print(f"hello: 3 pods serve {url} (in the cluster: http://{service.spec.clusterIP}/ and http://hello.default.svc/), {took:.1f} s")
    finally:
        await client.close()


def fetch(url: str) -> str:
    """The page; empty while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


async def build_image(folder: Path, node: str) -> None:
    """Build the busybox image and load it, unless it is there."""
    from sampan.cli.image import main as image

    mark = folder / "nodes" / node / "hello-image"
    if mark.exists():
        return
    await asyncio.to_thread(image, ["build", "busybox", "-t", IMAGE, "--data", str(folder)])
    mark.touch()


if __name__ == "__main__":
    asyncio.run(main())
