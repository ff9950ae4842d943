"""Quotas charged through the registry: its retries are the compare-and-swap that the plugin asks for."""

from __future__ import annotations

from collections.abc import Callable

from sampan.api.core.v1 import ResourceQuota
from sampan.apiserver.catalog import Served
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User

SERVER = User("system:apiserver", groups=("system:masters", "system:authenticated"))


class RegistryQuotaWriter:
    """Writes `resourcequotas/status` as the API server itself."""

    def __init__(self, registry: Registry, served: Served) -> None:
        self._registry, self._served = registry, served

    async def swap(self, namespace: str, name: str, produce: Callable[[ResourceQuota], ResourceQuota]) -> None:
        """Write what `produce` makes of the quota as it is now, again when somebody was faster.

        Raises:
            ApiError: What `produce` raised, or there is no quota any more.
        """
        write = Write(SERVER, subresource="status", manager="kube-apiserver")
        await self._registry.update(self._served, namespace, name, produce, write)
