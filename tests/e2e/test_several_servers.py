"""Several API servers on one etcd: each sees what the others acknowledged, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import ConfigMap, Service, ServicePort, ServiceSpec
from sampan.api.errors import ApiError, Conflict, Gone, NotFound, Timeout
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, SERVICES
from sampan.client.base import Client
from sampan.store.base import Change, Put
from sampan.store.etcd import EtcdSettings, EtcdStore
from sampan.testing.etcd import Etcd, running_etcd
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import until

pytestmark = pytest.mark.e2e
QUICK = EtcdSettings(timeout_seconds=5, compaction_seconds=0)
KEYS = ("x", "y", "z")


@asynccontextmanager
async def several(etcd: Etcd, count: int = 3) -> AsyncIterator[list[RunningServer]]:
    """Servers of one etcd, each with a connection, caches and identity of its own, started all at once."""
    async with AsyncExitStack() as stack:
        stores = [await EtcdStore.open(etcd.url, SystemClock(), QUICK) for _ in range(count)]
        for store in stores:
            stack.push_async_callback(store.close)
        yield await asyncio.gather(*(stack.enter_async_context(running_server(store=store, seed=number))
                                     for number, store in enumerate(stores)))


def run(body: Callable[[], Awaitable[None]], seconds: float = 90) -> None:
    async def whole() -> None:
        async with asyncio.timeout(seconds):
            await body()

    asyncio.run(whole())


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def test_what_one_server_acknowledged_the_others_show() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with several(etcd) as servers:
                clients = [server.client for server in servers]
                for number in range(12):
                    writer, reader, third = (clients[(number + n) % 3] for n in range(3))
                    # when one creates, another finds it, updates it, and the third one lists it
                    await writer.create(CONFIG_MAPS, config_map(f"c{number}", by="one"))
                    found = await reader.get(CONFIG_MAPS, f"c{number}", "default")
                    found = codec.decode(ConfigMap, codec.encode(found))
                    found.data["by"] = "two"
                    updated = await reader.update(CONFIG_MAPS, found)
                    listed = {o.metadata.name: o for o in (await third.list(CONFIG_MAPS, "default")).items}
                    assert listed[f"c{number}"].data == {"by": "two"}
                    # and what it deletes is gone for the first
                    await third.delete(CONFIG_MAPS, f"c{number}", "default")
                    with pytest.raises(NotFound):
                        await writer.get(CONFIG_MAPS, f"c{number}", "default")
                    with pytest.raises(ApiError):
                        await reader.update(CONFIG_MAPS, updated)

    run(body)


def test_writes_on_one_server_are_seen_by_watches_on_the_others() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with several(etcd, 2) as servers, Tasks() as tasks:
                writer, watcher = servers[0].client, servers[1].client
                since = (await writer.list(CONFIG_MAPS, "default")).revision
                seen: list[tuple[str, str]] = []
                tasks.start(follow(watcher, since, lambda kind, o: seen.append((kind, o.metadata.resourceVersion))), "watch")
                made = await writer.create(CONFIG_MAPS, config_map("w"))
                revision = made.metadata.resourceVersion
                await writer.delete(CONFIG_MAPS, "w", "default")
                await until(lambda: len(seen) == 2, "both events are seen")
                assert seen[0] == ("ADDED", revision)
                assert seen[1][0] == "DELETED"

    run(body)


def test_a_revision_of_another_server_is_waited_for_and_one_of_the_future_is_refused() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with several(etcd, 2) as servers:
                made = await servers[0].client.create(CONFIG_MAPS, config_map("r"))
                path = "/api/v1/namespaces/default/configmaps?resourceVersion="
                answer = await servers[1].client.raw("GET", path + made.metadata.resourceVersion)
                assert answer.code == 200
                assert b'"name":"r"' in answer.body
                begun = asyncio.get_running_loop().time()
                with pytest.raises(Timeout, match="Too large resource version"):
                    raise_for(await servers[1].client.raw("GET", path + "1000000"))
                assert asyncio.get_running_loop().time() - begun >= 3

    run(body)


def raise_for(answer: object) -> None:
    from sampan.api.errors import from_status

    code, body = answer.code, answer.body  # type: ignore[attr-defined]
    if code >= 300:
        raise from_status(codec.loads(body))


def test_services_of_several_servers_get_different_addresses() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with several(etcd) as servers:
                def service(number: int) -> Service:
                    return Service(metadata=ObjectMeta(name=f"s{number}", namespace="default"),
                                   spec=ServiceSpec(ports=[ServicePort(port=80)]))
                made = await asyncio.gather(*(servers[n % 3].client.create(SERVICES, service(n)) for n in range(30)))
                assert len({one.spec.clusterIP for one in made}) == 30

    run(body)


def test_a_server_without_its_etcd_is_not_ready_until_it_is_back() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with several(etcd, 1) as servers:
                client = servers[0].client
                assert (await client.raw("GET", "/readyz")).code == 200
                etcd.kill()
                answer = await client.raw("GET", "/readyz")
                assert answer.code == 500
                assert b"[-]etcd failed" in answer.body
                assert (await client.raw("GET", "/livez/ping")).code == 200
                answer = await client.raw("GET", "/api/v1/namespaces/default/configmaps/none")
                assert (answer.code, b"ServiceUnavailable" in answer.body) == (503, True)
                etcd.start()
                while (await client.raw("GET", "/readyz")).code != 200:  # noqa: ASYNC110 - another process's doing
                    await asyncio.sleep(0.05)
                await client.create(CONFIG_MAPS, config_map("back"))

    run(body)


def test_a_server_that_missed_history_ends_its_watches_and_reads_anew() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with several(etcd, 1) as servers, Tasks() as tasks:
                server = servers[0]
                await server.client.create(CONFIG_MAPS, config_map("old"))
                since = (await server.client.list(CONFIG_MAPS, "default")).revision
                ended: list[str] = []

                async def watch() -> None:
                    await follow(server.client, since, lambda *_: None)
                    ended.append("ended")

                tasks.start(watch(), "watch")
                await until(lambda: server.server.caches.of(CONFIG_MAPS).watchers == 1, "the watch is there")
                # given a server that hears nothing while another one writes and history goes by
                feed = server.store._feed  # type: ignore[attr-defined]
                hold, follow_again = asyncio.Event(), feed._follow

                async def held() -> None:
                    await hold.wait()
                    await follow_again()

                feed._follow = held
                etcd.kill()
                await until(lambda: bool(feed.problem), "the loss is noticed")
                etcd.start()
                writer = await EtcdStore.open(etcd.url, SystemClock(), QUICK)
                record = await writer.get("/registry/core/configmaps/default/old")
                assert record
                await writer.transact([Put(record.key.replace("old", "new"), record.value.replace(b'"old"', b'"new"'))])
                await writer.compact(await writer.transact([Put("/elsewhere", b"")]))
                await writer.close()
                # when it hears again
                hold.set()
                # then it has everything, and its watches have ended and can't be taken up
                assert {o.metadata.name for o in (await server.client.list(CONFIG_MAPS, "default")).items} >= {"old", "new"}
                await until(lambda: bool(ended), "the watch has ended")
                with pytest.raises(Gone):
                    await follow(server.client, since, lambda *_: None)
                await server.client.create(CONFIG_MAPS, config_map("after"))

    run(body)


async def follow(client: Client, since: str, sink: Callable[[str, ConfigMap], None]) -> None:
    async for event in client.watch(CONFIG_MAPS, "default", since=since):
        if event.kind != "BOOKMARK":
            sink(event.kind, event.object)


# -- linearizability ----------------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """What the clients saw, in real time of one clock."""

    acknowledged: dict[str, tuple[str, int, float]] = field(default_factory=dict)  # token: key, revision, when
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    reads: list[tuple[str, float, int]] = field(default_factory=list)  # key, when it was begun, revision


async def swap(client: Client, name: str, worker: str, seen: Recorded) -> None:
    """Read and write by compare and swap, for ever: each value names itself and the one it replaces."""
    loop, number = asyncio.get_running_loop(), 0
    while True:
        number += 1
        key, token = KEYS[number % len(KEYS)], f"{name}-{worker}-{number}"
        begun = loop.time()
        try:
            found = await client.get(CONFIG_MAPS, key, "default")
        except ApiError as error:
            if error.code < 500:
                raise
            continue
        seen.reads.append((key, begun, int(found.metadata.resourceVersion)))
        new = codec.decode(ConfigMap, codec.encode(found))
        new.data = {"token": token, "before": found.data["token"]}
        try:
            written = await client.update(CONFIG_MAPS, new)
        except Conflict:
            seen.refused.add(token)
        except ApiError as error:
            if error.code < 500:
                raise
            seen.unknown.add(token)
        else:
            seen.acknowledged[token] = (key, int(written.metadata.resourceVersion), loop.time())


def check(seen: Recorded, history: Sequence[Change]) -> None:
    """Writes of a key are a chain, none that was acknowledged is missing, and no read is older than what was known."""
    revision_of: dict[str, int] = {}
    last: dict[str, str] = {}
    for change in history:
        assert change.value is not None
        key, data = change.key.rpartition("/")[2], codec.loads(change.value)["data"]
        if key in last:
            assert data["before"] == last[key], "a write replaced what it hadn't read"
        last[key] = data["token"]
        assert data["token"] not in revision_of, "written twice"
        revision_of[data["token"]] = change.revision
    for token, (_, revision, _) in seen.acknowledged.items():
        assert revision_of.get(token) == revision, f"{token} was acknowledged and is lost"
    assert not seen.refused & revision_of.keys(), "a refused write was made"
    for key in KEYS:
        moments = sorted([(when, 0, revision) for of, revision, when in seen.acknowledged.values() if of == key]
                         + [(when, 1, revision) for of, when, revision in seen.reads if of == key])
        known = 0
        for _, is_read, revision in moments:
            if is_read:
                assert revision >= known, "a read was older than an acknowledged write"
            else:
                known = max(known, revision)


def test_the_checker_finds_what_is_not_linearizable() -> None:
    def change(revision: int, token: str, before: str) -> Change:
        return Change("/c/x", codec.encode({"data": {"token": token, "before": before}}), revision, 1, 0)

    good = [change(2, "a", ""), change(3, "b", "a")]
    check(Recorded({"b": ("x", 3, 1.0)}, {"c"}, reads=[("x", 0.5, 2), ("x", 1.5, 3)]), good)
    for bad, history in ((Recorded({"c": ("x", 4, 1.0)}), good), (Recorded(refused={"b"}), good),
                         (Recorded({"b": ("x", 3, 1.0)}, reads=[("x", 1.5, 2)]), good),
                         (Recorded(), [*good, change(4, "c", "a")])):
        with pytest.raises(AssertionError):
            check(bad, history)


def test_compare_and_swap_is_linearizable_across_servers_while_etcd_is_killed() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with several(etcd) as servers:
                seen = Recorded()
                first = [await servers[0].client.create(CONFIG_MAPS, config_map(key, token=f"first-{key}", before="")) for key in KEYS]
                since = min(int(one.metadata.resourceVersion) for one in first) - 1
                watched: list[dict[str, list[int]]] = [defaultdict(list) for _ in servers]
                async with Tasks() as tasks:
                    for number, server in enumerate(servers):
                        tasks.start(follow(server.client, str(since), lambda _, o, to=watched[number]: to[o.metadata.name].append(  # type: ignore[misc]
                            int(o.metadata.resourceVersion))), "watch")
                    async with Tasks() as writing:
                        for number, server in enumerate(servers):
                            for worker in "ab":
                                writing.start(swap(server.client, f"server{number}", worker, seen), "worker")
                        for _ in range(3):
                            # when etcd dies with writes under way, twice
                            await until(lambda to=len(seen.acknowledged) + 60: len(seen.acknowledged) >= to, "writes go on")  # type: ignore[misc]
                            await asyncio.to_thread(etcd.kill)
                            await asyncio.to_thread(etcd.start)
                        await until(lambda to=len(seen.acknowledged) + 60: len(seen.acknowledged) >= to, "writes go on")  # type: ignore[misc]
                    # then what etcd has agrees with what clients were told, and every watch told all of it once
                    history = await history_of(etcd, since)
                    check(seen, history)
                    made: dict[str, list[int]] = defaultdict(list)
                    for change in history:
                        made[change.key.rpartition("/")[2]].append(change.revision)
                    for one in watched:
                        await until(lambda one=one: sum(map(len, one.values())) >= len(history), "watches have told all")  # type: ignore[misc]
                        assert {key: one[key] for key in KEYS} == made

    run(body)


async def history_of(etcd: Etcd, since: int) -> list[Change]:
    store = await EtcdStore.open(etcd.url, SystemClock(), QUICK)
    changes: list[Change] = []
    (await store.subscribe("/registry/core/configmaps/default/", since, changes.extend)).close()
    await store.close()
    return [change for change in changes if change.key.rpartition("/")[2] in KEYS]
