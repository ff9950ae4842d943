"""Objects as scenarios of whole clusters make and look at them."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.errors import NotFound
from sampan.api.resourceinfo import Resource
from sampan.client.inprocess import InProcessClient


class Objects:
    """Those of one server."""

    def __init__(self, client: InProcessClient) -> None:
        self.client = client

    async def make(self, resource: Resource[Any], name: str, *, namespace: str = "default", **value: Any) -> Any:
        meta = {"name": name, **({"namespace": namespace} if resource.namespaced else {}), **value.pop("metadata", {})}
        body = {"apiVersion": resource.group_version, "kind": resource.kind, "metadata": meta, **value}
        return await self.client.create(resource, codec.convert(resource.wire, body))

    async def get(self, resource: Resource[Any], name: str, namespace: str = "default") -> Any:
        """The object, or None."""
        try:
            return await self.client.get(resource, name, namespace if resource.namespaced else "")
        except NotFound:
            return None
