"""Whether the API servers behind Services are there: asks them, writes the condition Available, keeps what they tell.

Owns when each is looked at: when its APIService, its Service or its EndpointSlices change, twice a minute besides, and
soon again while it fails. Source: kube-aggregator `pkg/controllers/status/remote`, `pkg/apiserver/handler_discovery.go`.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.errors import ApiError, NotFound, ServiceUnavailable
from sampan.api.resourceinfo import Resource
from sampan.api.resources import API_SERVICES, ENDPOINT_SLICES, SERVICES
from sampan.apiserver.aggregation import conditions, documents
from sampan.apiserver.aggregation.conditions import Finding
from sampan.apiserver.aggregation.connections import SERVICE_NAME, Connections, Headers, identity_headers
from sampan.apiserver.aggregation.documents import Told
from sampan.apiserver.aggregation.registration import LOOPBACK
from sampan.apiserver.aggregation.table import Remote, remote_of
from sampan.apiserver.catalog import Catalog
from sampan.apiserver.following import follow
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User
from sampan.apiserver.watchcache import Caches, Entry
from sampan.control.queue import WorkQueue
from sampan.store.base import StoreError

log = logging.getLogger(__name__)

AGGREGATOR = User("system:kube-aggregator", groups=("system:masters",))
ATTEMPTS = 5
ASK_SECONDS = 5.0
LOOK_SECONDS = 30.0
AGAIN = Backoff(0.05, 30.0)
WORKERS = 4
MOST_BYTES = 32 << 20


class Availability:
    """Keeps `told`, by the APIService's name, up to date while `run` does; `generation` counts its changes."""

    def __init__(self, registry: Registry, catalog: Catalog, caches: Caches, clock: AsyncClock, connections: Connections) -> None:
        self._registry, self._caches, self._clock, self._connections = registry, caches, clock, connections
        self._served = catalog.of(API_SERVICES)
        self._queue: WorkQueue[str] = WorkQueue(clock, backoff=AGAIN, rate=50.0)
        self._behind: dict[tuple[str, str], set[str]] = {}
        self.told: dict[str, Told] = {}
        self.generation = 0

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with Tasks() as tasks:
                for resource in (API_SERVICES, SERVICES, ENDPOINT_SLICES):
                    tasks.start(follow(self._caches, self._clock, resource, partial(self._note, resource), again_seconds=AGAIN.first_seconds),
                                f"changes of {resource.plural}")
                for number in range(WORKERS):
                    tasks.start(self._work(), f"availability {number}")
                await tasks.wait()
        finally:
            await self._queue.close()

    # -- when -----------------------------------------------------------------------------------------------------

    def _note(self, resource: Resource[Any], entry: Entry) -> None:
        if resource is API_SERVICES:
            self._queue.add(entry.name)
            return
        if not self._behind:
            return
        name = entry.name if resource is SERVICES else entry.labels.get(SERVICE_NAME, "")
        for waiting in self._behind.get((entry.namespace, name), ()):
            self._queue.add(waiting)

    async def _work(self) -> None:
        while True:
            name = await self._queue.get()
            try:
                good = await self._look(name)
            except (ApiError, StoreError) as error:
                log.info("the condition of an APIService can't be written", extra={"apiservice": name, "why": str(error)})
                good = False
            finally:
                self._queue.done(name)
            if good:
                self._queue.forget(name)
            else:
                self._queue.add_rate_limited(name)

    # -- looking --------------------------------------------------------------------------------------------------

    async def _look(self, name: str) -> bool:
        """Look at one; whether that is all for now."""
        entry: Entry | None = self._caches.of(API_SERVICES).get("", name)
        remote = remote_of(entry.object) if entry is not None else None
        self._remember(name, remote)
        if entry is None:
            return True
        if remote is None:
            await self._say(name, conditions.LOCAL)
            return True
        service = self._caches.of(SERVICES).get(remote.target.namespace, remote.target.name)
        found = conditions.judge(remote.target, service.object if service is not None else None, self._connections.slices(remote.target))
        asked = found is None
        if asked:
            found = await self._probe(remote)
        assert found is not None
        if found is conditions.PASSED:
            self._tell(name, await self._ask(remote))
        elif name in self.told:
            self._tell(name, Told(self.told[name].discovery | {"freshness": "Stale"}, self.told[name].openapi, stale=True))
        await self._say(name, found)
        if asked:
            self._queue.add_after(name, LOOK_SECONDS)
        return found is conditions.PASSED or not asked

    def _remember(self, name: str, remote: Remote | None) -> None:
        wanted = (remote.target.namespace, remote.target.name) if remote is not None else None
        for place in [place for place, names in self._behind.items() if name in names and place != wanted]:
            self._behind[place].discard(name)
            if not self._behind[place]:
                del self._behind[place]
        if wanted is not None:
            self._behind.setdefault(wanted, set()).add(name)
        elif self.told.pop(name, None) is not None:
            self.generation += 1

    def _tell(self, name: str, told: Told) -> None:
        if self.told.get(name) != told:
            self.told[name] = told
            self.generation += 1

    async def _say(self, name: str, finding: Finding) -> None:
        def produce(old: Any) -> Any:
            new = codec.clone(old)
            conditions.put(new.status, finding, self._registry.now())
            return new

        entry: Entry | None = self._caches.of(API_SERVICES).get("", name)
        if entry is None or conditions.says(entry.object.status, finding):
            return
        try:
            await self._registry.update(self._served, "", name, produce, Write(LOOPBACK, subresource="status", manager="kube-apiserver"))
        except NotFound:
            log.debug("APIService is gone", extra={"apiservice": name})

    # -- asking ---------------------------------------------------------------------------------------------------

    async def _probe(self, remote: Remote) -> Finding:
        """Several times if need be: behind one address there may be several servers, some of them well."""
        why = ""
        for _ in range(ATTEMPTS):
            why = await self._attempt(remote)
            if not why:
                return conditions.PASSED
        return conditions.failed(why)

    async def _attempt(self, remote: Remote) -> str:
        """Why it does not do well, empty where it does."""
        try:
            url = self._connections.base(remote.target) + remote.path
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._connections.ask(remote, "GET", remote.path, identity_headers(AGGREGATOR), checked=False)
        except LookupError as error:
            return str(error.args[0])
        except TimeoutError:
            return f"failing or missing response from {url}: Get \"{url}\": context deadline exceeded"
        except ServiceUnavailable as error:
            return f"failing or missing response from {url}: Get \"{url}\": {error.message}"
        answer.release()
        return "" if 200 <= answer.status < 300 else f"failing or missing response from {url}: bad status from {url}: {answer.status}"

    async def _ask(self, remote: Remote) -> Told:
        """What it tells about itself; what it doesn't is left empty."""
        group, version = remote.group, remote.version
        found = documents.of_aggregated(documents.parse(await self.fetch(remote, "/apis", documents.AGGREGATED)), group, version)
        if found is None:
            found = documents.of_classic(documents.parse(await self.fetch(remote, remote.path)), group, version)
        index = documents.parse(await self.fetch(remote, "/openapi/v3"))
        stale = found is None
        return Told(found or documents.empty(version), documents.openapi_address(index, group, version), stale)

    async def fetch(self, remote: Remote, location: str, accept: str = "application/json") -> bytes:
        """A document in the name of the aggregator; empty where it can't be had."""
        headers: Headers = [("Accept", accept), *identity_headers(AGGREGATOR)]
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._connections.ask(remote, "GET", location, headers)
                body = await answer.content.read(MOST_BYTES) if answer.status == 200 else b""
                while answer.status == 200 and len(body) < MOST_BYTES and (more := await answer.content.read(MOST_BYTES - len(body))):
                    body += more
                answer.close()
        except (TimeoutError, LookupError, ServiceUnavailable, OSError) as error:
            log.info("an API server does not tell about itself", extra={"apiservice": remote.name, "path": location, "why": str(error)})
            return b""
        return body
