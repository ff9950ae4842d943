"""What other API servers tell about themselves: discovery, and where their OpenAPI is. Pure.

Source: kube-aggregator `pkg/apiserver/handler_discovery.go`, apiserver `pkg/endpoints/discovery/aggregated`,
`pkg/endpoints/installer.go` (`ConvertGroupVersionIntoToDiscovery`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.api import codec

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;q=0.9"
Version = dict[str, Any]
"""An APIVersionDiscovery."""


@dataclass(frozen=True)
class Told:
    """What is known of one version of a group that another server serves. `openapi` is its document's address there."""

    discovery: Version = field(default_factory=dict)
    openapi: str = ""
    stale: bool = False


def empty(version: str) -> Version:
    """The version is there, and nobody says with what."""
    return {"version": version, "freshness": "Stale"}


def parse(body: bytes) -> Any:
    """A JSON object; an empty one where it is none."""
    try:
        value = codec.loads(body)
    except (codec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def of_aggregated(document: Mapping[str, Any], group: str, version: str) -> Version | None:
    """The version in an APIGroupDiscoveryList, None where it is none or says nothing of it."""
    if document.get("kind") != "APIGroupDiscoveryList":
        return None
    for one in document.get("items") or ():
        if isinstance(one, dict) and (one.get("metadata") or {}).get("name", "") == group:
            for found in one.get("versions") or ():
                if isinstance(found, dict) and found.get("version") == version:
                    return {"version": version, "resources": found.get("resources") or [], "freshness": "Current"}
    return None


def of_classic(document: Mapping[str, Any], group: str, version: str) -> Version | None:
    """The version from an APIResourceList, None where that is none."""
    if document.get("kind") != "APIResourceList":
        return None
    resources: dict[str, dict[str, Any]] = {}
    entries = [one for one in document.get("resources") or () if isinstance(one, dict) and isinstance(one.get("name"), str)]
    for one in entries:
        if "/" not in one["name"]:
            resources[one["name"]] = _resource(one, group, version)
    for one in entries:
        parent, slash, sub = one["name"].partition("/")
        if slash:
            resources.setdefault(parent, {"resource": parent, "scope": _scope(one), "singularResource": "", "verbs": []})
            found = {"subresource": sub, "responseKind": _kind(one, group, version), "verbs": one.get("verbs") or []}
            resources[parent].setdefault("subresources", []).append(found)
    return {"version": version, "resources": list(resources.values()), "freshness": "Current"}


def _resource(one: Mapping[str, Any], group: str, version: str) -> dict[str, Any]:
    found = {"resource": one["name"], "responseKind": _kind(one, group, version), "scope": _scope(one),
             "singularResource": one.get("singularName") or "", "verbs": one.get("verbs") or []}
    for name in ("shortNames", "categories"):
        if one.get(name):
            found[name] = one[name]
    return found


def _scope(one: Mapping[str, Any]) -> str:
    return "Namespaced" if one.get("namespaced") else "Cluster"


def _kind(one: Mapping[str, Any], group: str, version: str) -> dict[str, str]:
    return {"group": one.get("group") or group, "version": one.get("version") or version, "kind": one.get("kind") or ""}


def openapi_address(index: Mapping[str, Any], group: str, version: str) -> str:
    """Where the index at /openapi/v3 has the version's document; empty where it has none."""
    found = (index.get("paths") or {}).get(f"apis/{group}/{version}")
    address = found.get("serverRelativeURL") if isinstance(found, dict) else None
    return address if isinstance(address, str) and address.startswith("/") else ""
