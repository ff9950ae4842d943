"""`Aggregator`: the API servers behind ours, put together for the pipeline, discovery and OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.resources import API_SERVICES
from sampan.apiserver.aggregation import documents, proxy
from sampan.apiserver.aggregation.availability import Availability
from sampan.apiserver.aggregation.connections import AggregationSettings, Connections
from sampan.apiserver.aggregation.documents import Told
from sampan.apiserver.aggregation.registration import Registration
from sampan.apiserver.aggregation.table import Priority, Remote, Table, table_of
from sampan.apiserver.catalog import Catalog
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.registry import Registry
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response
from sampan.apiserver.watchcache import Caches
from sampan.lib.clock import Identity


class Aggregator:
    """Make it when the caches are there, keep `run()` running, `await close()`."""

    def __init__(self, registry: Registry, deleter: Deleter, catalog: Catalog, caches: Caches, clock: AsyncClock,
                 identity: Identity, settings: AggregationSettings = AggregationSettings()) -> None:
        self._reader = caches.of(API_SERVICES)
        self.connections = Connections(caches, identity, settings)
        self._availability = Availability(registry, catalog, caches, clock, self.connections)
        self._registration = Registration(registry, deleter, catalog, caches, clock)
        self._table, self._generation = Table(), -1

    async def run(self) -> None:
        """Work until cancelled."""
        async with Tasks() as tasks:
            tasks.start(self._registration.run(), "APIServices of custom resources")
            tasks.start(self._availability.run(), "availability of API servers")
            await tasks.wait()

    async def close(self) -> None:
        """End all connections."""
        await self.connections.close()

    @property
    def table(self) -> Table:
        """As the APIServices are now."""
        if self._generation != self._reader.generation:
            self._generation = self._reader.generation
            self._table = table_of(entry.object for entry in self._reader.entries())
        return self._table

    # -- requests -------------------------------------------------------------------------------------------------

    def find(self, info: RequestInfo) -> Remote | None:
        """Who else serves what the request is about, None where it is ours."""
        remotes = self.table.remotes
        if not remotes:
            return None
        if info.is_resource:
            return remotes.get((info.group, info.version))
        parts = info.path.strip("/").split("/", 3)
        return remotes.get((parts[1], parts[2])) if len(parts) >= 3 and parts[0] == "apis" else None

    async def pass_on(self, remote: Remote, info: RequestInfo, body: Callable[[], Awaitable[bytes]]) -> Response:
        """What that server answers."""
        return await proxy.pass_on(self.connections, remote, info, body)

    # -- what is told of them -------------------------------------------------------------------------------------

    @property
    def generation(self) -> tuple[int, int]:
        """Changes with everything below."""
        return self._reader.generation, self._availability.generation

    @property
    def priorities(self) -> Mapping[tuple[str, str], Priority]:
        """Where versions of groups are shown, by (group, version), where an APIService says so."""
        return self.table.priorities

    def versions(self) -> dict[tuple[str, str], documents.Version]:
        """The discovery of each version that another server serves."""
        told = self._availability.told
        return {key: told[remote.name].discovery if remote.name in told else documents.empty(remote.version)
                for key, remote in self.table.remotes.items()}

    def openapi(self) -> dict[str, tuple[Remote, Told]]:
        """Documents at /openapi/v3 that others have, by their key there (`apis/GROUP/VERSION`)."""
        told = self._availability.told
        return {f"apis/{group}/{version}": (remote, told[remote.name])
                for (group, version), remote in self.table.remotes.items() if remote.name in told and told[remote.name].openapi}

    async def document(self, remote: Remote, location: str) -> bytes:
        """One of its documents; empty where it can't be had."""
        return await self._availability.fetch(remote, location)
