"""Rounds of: start, compare with what was acknowledged, write from many sides, kill -9 in the middle of it.

Owns the rounds' checks: lists against the model, watches that go on from before the crash, allocations of Services.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crash.process import Server
from crash.world import NAMESPACE, NUMBER, Key, Model, Served, filling, number_of, wanted
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import ConfigMap
from sampan.api.errors import ApiError, Gone, InternalError, ServiceUnavailable, Timeout, TooManyRequests
from sampan.api.resources import CONFIG_MAPS, IP_ADDRESSES, SERVICES
from sampan.client.base import Client, DeleteOptions
from sampan.testing.etcd import Etcd

WRITERS = 8
OBJECTS = 3
UNKNOWN_OUTCOME = (ServiceUnavailable, Timeout, InternalError, TooManyRequests)
MARK = Key("configmaps", "mark")


@dataclass
class Matrix:
    """One server's many lives. `etcd` is killed too where there is one."""

    server: Server
    rng: random.Random
    etcd: Etcd | None = None
    served: Served = field(default_factory=Served)
    tally: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.model = Model(self.served)
        self._since = 0
        self._acknowledged = asyncio.Event()
        self._goal = 0
        self._stopped = False

    async def run(self, rounds: int) -> None:
        """All rounds, and a last look.

        Raises:
            AssertionError: A promise was broken.
        """
        for _ in range(rounds):
            await self._round()
        await self._begin()
        await self.check()

    async def _round(self) -> None:
        if self.rng.random() < 0.15:
            self.tally["killed while starting"] += 1
            await self.server.launch()
            await self.server.dies_within(self.rng.uniform(0.05, 1.2))
        await self._begin()
        await self.check()
        await self._write_until_killed()
        self.tally["rounds"] += 1

    async def _begin(self) -> None:
        if self.etcd is not None:
            await asyncio.to_thread(self.etcd.wait)
        await self.server.start()

    async def check(self) -> None:
        """Whatever was acknowledged is there, nothing else is, and watches agree."""
        client = self.server.client
        listed = [await client.list(resource, NAMESPACE) for resource in (CONFIG_MAPS, SERVICES)]
        found = {Key("configmaps", o.metadata.name): o for o in listed[0].items if NUMBER in o.metadata.annotations}
        found |= {Key("services", o.metadata.name): o for o in listed[1].items if NUMBER in o.metadata.annotations}
        assert int(listed[1].revision) >= self.served.newest, "the server's revision went back"
        for key, obj in found.items():
            self.served.saw(key, obj)
        self.model.finds(found)
        orphans = await check_allocations(client, listed[1].items)
        # several servers may share an etcd: there an address may wait a while for its Service before it is taken back
        assert not orphans or self.etcd is not None, f"{orphans} addresses without a Service"
        self.tally["addresses to be taken back"] += orphans
        await self._watch_goes_on(client)

    async def _watch_goes_on(self, client: Client) -> None:
        """A watch from the last life's revision has every acknowledged write since, in order, or is 410."""
        since, last = self._since, 0
        marked = await self._write(client, MARK)
        due = {revision for key, entry in self.model.entries.items() if key.resource is CONFIG_MAPS
               for revision in entry.history if revision > since}
        try:
            async for event in client.watch(CONFIG_MAPS, NAMESPACE, since=str(since)):
                if event.kind == "BOOKMARK" or NUMBER not in event.object.metadata.annotations:
                    continue
                key = Key("configmaps", event.object.metadata.name)
                revision = self.served.saw(key, event.object, gone=event.kind == "DELETED")
                assert not since or revision > last, f"event {revision} came after {last}"
                last = max(last, revision)
                number_of(event.object)
                if since:
                    due.discard(revision)
                if revision >= marked:
                    break
            self.tally["watches went on"] += 1
            assert not since or not due, f"the watch from {since} lacks {sorted(due)}"
        except Gone:
            self.tally["watches were told 410"] += 1
        self._since = marked
        for entry in self.model.entries.values():
            entry.history.clear()

    async def _write_until_killed(self) -> None:
        self._goal = self.model.acknowledged + self.rng.randrange(1, 150)
        self._acknowledged.clear()
        self._stopped = False
        async with Tasks() as tasks:
            writers = [tasks.start(self._writer(number), f"writer {number}") for number in range(WRITERS)]
            watching = tasks.start(self._observe(), "watch")
            await self._acknowledged.wait()
            for _ in range(self.rng.randrange(20)):
                await asyncio.sleep(0)
            await self._kill()
            self._stopped = True
            await asyncio.gather(*writers)
            watching.cancel()
        await self.server.kill()

    async def _kill(self) -> None:
        victim = self.rng.choice(("server", "etcd", "both")) if self.etcd is not None else "server"
        self.tally[f"killed {victim}"] += 1
        if victim in ("etcd", "both") and self.etcd is not None:
            self.etcd.kill()
        if victim in ("server", "both"):
            await self.server.kill()
        if victim in ("etcd", "both") and self.etcd is not None:
            self.etcd.start(wait=False)

    async def _observe(self) -> None:
        """What a watch shows while the server dies is as binding as an answer."""
        try:
            async for event in self.server.client.watch(CONFIG_MAPS, NAMESPACE, since=str(self._since)):
                if event.kind != "BOOKMARK" and NUMBER in event.object.metadata.annotations:
                    self.served.saw(Key("configmaps", event.object.metadata.name), event.object, gone=event.kind == "DELETED")
                    self.tally["events"] += 1
        except ApiError:
            self.tally["watches were cut"] += 1

    async def _writer(self, number: int) -> None:
        plural = "services" if number % 4 == 3 else "configmaps"
        keys = [Key(plural, f"w{number}-{index}") for index in range(OBJECTS)]
        rng = random.Random(self.rng.random())
        client = self.server.client
        while not self._stopped:
            key = rng.choice(keys)
            try:
                await self._write(client, key, delete=rng.random() < 0.25, patch=rng.random() < 0.5)
            except UNKNOWN_OUTCOME:
                self.tally["unknown outcomes"] += 1
                return
            if self.model.acknowledged >= self._goal:
                self._acknowledged.set()

    async def _write(self, client: Client, key: Key, *, delete: bool = False, patch: bool = False) -> int:
        """One write of one object; its revision, 0 for a deletion."""
        entry, floor = self.model.entry(key), self.served.newest
        assert not entry.pending
        if entry.obj is not None and delete:
            self.model.begins(key, 0)
            await client.delete(key.resource, key.name, NAMESPACE, DeleteOptions(resource_version=entry.obj.metadata.resourceVersion))
            self.model.acknowledges(key, None, floor)
            return 0
        self._last = getattr(self, "_last", 0) + 1
        self.model.begins(key, self._last)
        obj = await self._send(client, key, entry.obj, self._last, patch=patch)
        self.model.acknowledges(key, obj, floor)
        return int(obj.metadata.resourceVersion)

    async def _send(self, client: Client, key: Key, old: Any, number: int, *, patch: bool) -> Any:
        new = wanted(key, number)
        if old is None:
            return await client.create(key.resource, new)
        if patch and isinstance(old, ConfigMap):
            content = {"one": str(number), "two": str(number), "filling": filling(number)}
            return await client.patch(key.resource, key.name, NAMESPACE, {"metadata": {"annotations": {NUMBER: str(number)}}, "data": content})
        new.metadata.resourceVersion = old.metadata.resourceVersion
        return await client.update(key.resource, new)


async def check_allocations(client: Client, services: list[Any]) -> int:
    """No address or node port is two Services', every address of a Service is known as its own; how many are nobody's.

    Raises:
        AssertionError: One is.
    """
    assert_once([ip for service in services for ip in service.spec.clusterIPs], "cluster IP")
    assert_once([port.nodePort for service in services for port in service.spec.ports if port.nodePort], "node port")
    claimed = {o.metadata.name: o.spec.parentRef.name for o in (await client.list(IP_ADDRESSES)).items}
    given = {ip: service.metadata.name for service in services for ip in service.spec.clusterIPs}
    assert given.items() <= claimed.items(), f"addresses say {claimed}, services {given}"
    return len(claimed) - len(given)


def assert_once(values: list[Any], what: str, count: Callable[[list[Any]], Counter[Any]] = Counter) -> None:
    twice = [value for value, times in count(values).items() if times > 1]
    assert not twice, f"{what} given twice: {twice}"
