"""Definitions of custom resources, and a server to try them on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from api_asking import Asker

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "example.com"
ANYTHING: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def version(name: str = "v1", *, storage: bool = True, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One version of a definition."""
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema or ANYTHING}} | more


def definition(*versions: dict[str, Any], plural: str = "gears", kind: str = "Gear", **spec: Any) -> dict[str, Any]:
    """A definition of `gears.example.com` (namespaced)."""
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": list(versions) or [version()]} | spec}


def gear(name: str, *, api: str = "v1", metadata: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """An object of it."""
    return {"apiVersion": f"{GROUP}/{api}", "kind": "Gear", "metadata": {"name": name} | (metadata or {})} | rest


def gears(api: str = "v1", name: str = "", sub: str = "") -> str:
    """The path of its objects."""
    return "/".join(filter(None, (f"/apis/{GROUP}/{api}/namespaces/default/gears", name, sub)))


async def until(asker: Asker, path: str, holds: Callable[[int, Any], bool]) -> Any:
    """Ask until it is so; the caller has a deadline."""
    while True:
        code, value = await asker.ask("GET", path)
        if holds(code, value):
            return value
        await asyncio.sleep(0)


async def define(asker: Asker, crd: dict[str, Any]) -> None:
    """Make a definition and wait until its versions are served."""
    await asker.must("POST", CRDS, crd)
    await established(asker, crd)


async def established(asker: Asker, crd: dict[str, Any]) -> None:
    spec = crd["spec"]
    await until(asker, f"{CRDS}/{crd['metadata']['name']}", lambda _, value: condition(value, "Established").get("status") == "True")
    for one in spec["versions"]:
        if one["served"]:
            await until(asker, f"/apis/{spec['group']}/{one['name']}/{spec['names']['plural']}", lambda code, _: code not in (404, 429))


def condition(crd: Any, kind: str) -> dict[str, Any]:
    """A condition of a definition, empty where it has none."""
    found = [one for one in (crd.get("status") or {}).get("conditions") or () if one["type"] == kind]
    return found[0] if found else {}
