"""The quota's compare-and-swap on a whole API server in memory."""

from __future__ import annotations

import asyncio
import random

from sampan.aio.clock import VirtualClock
from sampan.api import codec
from sampan.api.core.v1 import ConfigMap, ResourceQuota
from sampan.api.errors import Forbidden
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, RESOURCE_QUOTAS
from sampan.apiserver.registry import Write
from sampan.apiserver.request import ADMIN
from sampan.apiserver.server import ApiServer, Settings
from sampan.lib.clock import Identity
from sampan.store.memory import MemoryStore


def test_writers_at_once_never_take_more_than_there_is() -> None:
    async def scenario() -> tuple[int, str]:
        # given a quota of five config maps
        clock = VirtualClock()
        server = ApiServer(MemoryStore(clock), clock, Identity(random.Random(1)), Settings(bootstrap_rbac=False, bootstrap_full=False))
        await server.start()
        hard = {"count/configmaps": "5"}
        quota = codec.convert(ResourceQuota, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
        served = server.catalog.of(RESOURCE_QUOTAS)
        await server.registry.create(served, "default", quota, Write(ADMIN))

        def counted(old: ResourceQuota) -> ResourceQuota:
            new = codec.clone(old)
            new.status.hard, new.status.used = old.spec.hard, {"count/configmaps": old.spec.hard["count/configmaps"].__class__("0")}
            return new

        await server.registry.update(served, "default", "q", counted, Write(ADMIN, subresource="status"))

        # when twenty are made at once
        async def make(number: int) -> bool:
            made = ConfigMap(kind="ConfigMap", apiVersion="v1", metadata=ObjectMeta(name=f"m{number}"))
            try:
                await server.registry.create(server.catalog.of(CONFIG_MAPS), "default", made, Write(ADMIN))
            except Forbidden:
                return False
            return True

        made = await asyncio.gather(*(make(number) for number in range(20)))
        entry = server.caches.of(RESOURCE_QUOTAS).get("default", "q")
        assert entry is not None
        await server.stop()
        return sum(made), entry.object.status.used["count/configmaps"]

    assert asyncio.run(scenario()) == (5, "5")
