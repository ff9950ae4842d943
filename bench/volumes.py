"""What a claim, and a pod with a CSI volume, cost the volume controllers while ever more unrelated ones exist.

    python bench/volumes.py [--unrelated 0,1000,10000]

API server (memory store), binder and attach/detach controller in one process. Unrelated are claims bound to volumes of
another class, free volumes of that class, and pods that use the claims on other nodes. Prints CPU milliseconds of one binding (claim and
volume from their creation until both are bound; server and informers included) and of one attachment, there and away again.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from typing import Any

from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from sampan.client.base import DeleteOptions
from sampan.control.controller import Context
from sampan.control.informer import Informers
from sampan.storage.attach.controller import AttachDetachController
from sampan.storage.attach.decide import MANAGED
from sampan.storage.binder.controller import VolumeBinder
from sampan.testing.server import RunningServer, running_server

BINDINGS, ATTACHMENTS, PODS_ON_A_NODE = 200, 50, 50


async def make(server: RunningServer, resource: Any, name: str, spec: dict[str, Any], **more: Any) -> Any:
    meta = {"name": name, **({"namespace": "default"} if resource.namespaced else {}), **more.pop("metadata", {})}
    return await server.client.create(resource, codec.convert(resource.wire, {"metadata": meta, "spec": spec}))


def a_volume(name: str, storage_class: str, size: int = 1) -> dict[str, Any]:
    return {"capacity": {"storage": f"{size}Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class,
            "csi": {"driver": "disk.example.com", "volumeHandle": name}}


def a_claim(storage_class: str, size: int = 1) -> dict[str, Any]:
    return {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "resources": {"requests": {"storage": f"{size}Mi"}}}


def a_pod(node: str, claim: str) -> dict[str, Any]:
    return {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]}


async def a_node(server: RunningServer, name: str) -> None:
    await server.client.create(NODES, codec.convert(NODES.wire, {"metadata": {"name": name, "annotations": {MANAGED: "true"}}}))


async def rest(controllers: list[Any]) -> None:
    """Until nothing is left to do, twenty turns of the loop in a row."""
    quiet = 0
    while quiet < 20:
        await asyncio.sleep(0)
        quiet = quiet + 1 if all(one.idle() for one in controllers) else 0


async def unrelated(server: RunningServer, count: int) -> None:
    for number in range(count):
        if number % PODS_ON_A_NODE == 0:
            await a_node(server, f"other-{number // PODS_ON_A_NODE}")
        await make(server, PERSISTENT_VOLUMES, f"other-{number}", a_volume(f"other-{number}", "other", number + 1))
        await make(server, PERSISTENT_VOLUMES, f"free-{number}", a_volume(f"free-{number}", "other", number + 1))
        await make(server, PERSISTENT_VOLUME_CLAIMS, f"other-{number}", a_claim("other", number + 1))
        await make(server, PODS, f"other-{number}", a_pod(f"other-{number // PODS_ON_A_NODE}", f"other-{number}"))
        if number % 100 == 0:
            await asyncio.sleep(0)


async def measure(count: int) -> dict[str, float]:
    async with running_server() as server, Tasks() as tasks:
        informers = Informers(server.client, clock=server.clock, identity=server.identity)
        context = Context(server.client, informers, server.clock, server.identity)
        controllers: list[Any] = [VolumeBinder(context), AttachDetachController(context)]
        tasks.start(informers.run(), "informers")
        for one in controllers:
            tasks.start(one.run(), one.name)
        await unrelated(server, count)
        await rest(controllers)
        await a_node(server, "mine")
        gc.collect()
        gc.freeze()
        began = time.process_time()
        for number in range(BINDINGS):
            await make(server, PERSISTENT_VOLUMES, f"v{number}", a_volume(f"v{number}", "mine", number + 1))
            await make(server, PERSISTENT_VOLUME_CLAIMS, f"c{number}", a_claim("mine", number + 1))
        await rest(controllers)
        bound = time.process_time() - began
        claims = [await server.client.get(PERSISTENT_VOLUME_CLAIMS, f"c{number}", "default") for number in range(BINDINGS)]
        assert all(claim.status.phase == "Bound" for claim in claims), "not all claims are bound"
        began = time.process_time()
        for number in range(ATTACHMENTS):
            await make(server, PODS, f"p{number}", a_pod("mine", f"c{number}"))
        await rest(controllers)
        mine = [one for one in (await server.client.list(VOLUME_ATTACHMENTS)).items if one.spec.nodeName == "mine"]
        assert len(mine) == ATTACHMENTS, "not all volumes are attached"
        for one in mine:
            await server.client.patch(VOLUME_ATTACHMENTS, one.metadata.name, "", {"status": {"attached": True}}, subresource="status")
        await rest(controllers)
        for number in range(ATTACHMENTS):
            await server.client.delete(PODS, f"p{number}", "default", DeleteOptions(grace_period_seconds=0))
        await rest(controllers)
        attached = time.process_time() - began
        left = [one for one in (await server.client.list(VOLUME_ATTACHMENTS)).items if one.spec.nodeName == "mine"]
        assert not left, "not all volumes are detached"
        await tasks.stop()
    return {"unrelated": count, "binding_ms": round(bound / BINDINGS * 1000, 2), "attachment_ms": round(attached / ATTACHMENTS * 1000, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unrelated", default="0,1000,10000")
    for count in parser.parse_args().unrelated.split(","):
        print(json.dumps(asyncio.run(measure(int(count)))))


if __name__ == "__main__":
    main()
