"""The operator of `test_kopf.py`, run by `kopf run`: a Garden has beds (a ConfigMap each), is watered by a timer, and leaves a harvest."""

from __future__ import annotations

import os
from typing import Any

import kopf
import kubernetes

NAMED = os.environ.get("GARDENER", "")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = "gardens.example.com/gardener"
    settings.posting.level = 20  # what handlers log becomes events
    settings.networking.connect_timeout = 10


def core() -> kubernetes.client.CoreV1Api:
    return kubernetes.client.CoreV1Api()


def bed(plant: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": {"bed": plant}}, "data": {"plant": plant}}


@kopf.on.create("gardens")
def plant(body: kopf.Body, spec: kopf.Spec, patch: kopf.Patch, name: str, namespace: str, retry: int, **_: Any) -> dict[str, Any]:
    if retry == 0:
        raise kopf.TemporaryError("the ground is frozen", delay=0.5)
    for one in spec["plants"]:
        child = bed(one)
        kopf.adopt(child, owner=body)
        child["metadata"] |= {"name": f"{name}-{one}"}
        core().create_namespaced_config_map(namespace, child)
    kopf.info(body, reason="Planted", message=f"{len(spec['plants'])} beds")
    patch.status["phase"] = "Planted"
    patch.status["gardener"] = NAMED
    return {"beds": len(spec["plants"]), "tries": retry + 1}


@kopf.on.update("gardens", field="spec.plants")
def replant(body: kopf.Body, old: list[str], new: list[str], name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    for one in set(new) - set(old):
        child = bed(one)
        kopf.adopt(child, owner=body)
        child["metadata"] |= {"name": f"{name}-{one}"}
        core().create_namespaced_config_map(namespace, child)
    for one in set(old) - set(new):
        core().delete_namespaced_config_map(f"{name}-{one}", namespace)
    patch.status["gardener"] = NAMED


@kopf.on.field("gardens", field="metadata.labels.fence")
def fence(new: str | None, patch: kopf.Patch, **_: Any) -> None:
    patch.status["fence"] = new or "none"


@kopf.timer("gardens", interval=0.3)
def water(status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    patch.status["watered"] = status.get("watered", 0) + 1


@kopf.on.delete("gardens")
def harvest(name: str, namespace: str, spec: kopf.Spec, logger: kopf.Logger, **_: Any) -> None:
    logger.info("the harvest is in")
    body = {"metadata": {"name": f"harvest-{name}"}, "data": {"plants": ",".join(spec["plants"])}}
    core().create_namespaced_config_map(namespace, body)


@kopf.on.event("configmaps", labels={"bed": kopf.PRESENT})
def trampled(type: str | None, body: kopf.Body, name: str, namespace: str, **_: Any) -> None:
    if type == "MODIFIED" and body["data"].get("plant") != body["metadata"]["labels"]["bed"]:
        core().patch_namespaced_config_map(name, namespace, {"data": {"plant": body["metadata"]["labels"]["bed"]}})
