"""Lists, watches, restart and memory with many pods of 3 KB over the sqlite store. Prints JSON.

    python bench/watchcache.py [--pods 100000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.api.resources import PODS
from sampan.apiserver.watchcache import Caches, ListQuery, Selection, WatchCache, Watcher, WatchQuery
from sampan.store.base import Put
from sampan.store.sqlite import SqliteStore


def pod(n: int) -> tuple[str, bytes]:
    namespace, name = f"space-{n // 100:04}", f"pod-{n:06}"
    meta = {"name": name, "namespace": namespace, "uid": f"00000000-0000-4000-8000-{n:012}",
            "labels": {"app": f"app-{n % 10}"}, "annotations": {"padding": "x" * 2600}}
    body = {"kind": "Pod", "apiVersion": "v1", "metadata": meta,
            "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": f"node-{n % 1000}"}, "status": {"phase": "Running"}}
    return f"/registry/core/pods/{namespace}/{name}", json.dumps(body, separators=(",", ":")).encode()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def best_ms(work: Callable[[], Awaitable[Any]], times: int = 5) -> float:
    best = 1e9
    for _ in range(times):
        begin = time.perf_counter()
        await work()
        best = min(best, time.perf_counter() - begin)
    return round(best * 1e3, 3)


async def fill(folder: Path, pods: int) -> float:
    store = await SqliteStore.open(folder, SystemClock())
    begin = time.perf_counter()
    for start in range(0, pods, 1000):
        await asyncio.gather(*(store.transact([Put(*pod(n))]) for n in range(start, min(start + 1000, pods))))
    seconds = time.perf_counter() - begin
    await store.close()
    return pods / seconds


async def fan_out(store: SqliteStore, cache: WatchCache, watchers: int, events: int) -> float:
    """CPU microseconds an event and watcher, the writes' own taken off."""
    async def read(watcher: Watcher) -> None:
        while await watcher.frames():
            pass

    async def writes() -> float:
        begin = time.process_time()
        for n in range(events):
            await store.transact([Put(*pod(n % 50))])
        return time.process_time() - begin

    alone = await writes()
    async with Tasks() as tasks:
        open_watchers = [await cache.watch(WatchQuery(Selection("space-0000"), str(store.revision))) for _ in range(watchers)]
        for watcher in open_watchers:
            tasks.start(read(watcher), "watch")
        watched = await writes()
    return round((watched - alone) / events / watchers * 1e6, 2)


async def measure(folder: Path, pods: int) -> dict[str, float]:
    # in a process of its own, so that its memory is not counted
    filling = await asyncio.create_subprocess_exec(sys.executable, __file__, "--fill", str(folder), "--pods", str(pods), stdout=-1)
    rate = float((await filling.communicate())[0])
    before = resident_bytes()
    begin = time.perf_counter()
    store = await SqliteStore.open(folder, SystemClock())
    opened = time.perf_counter()
    caches = Caches(store, SystemClock())
    await caches.load(PODS)
    ready = time.perf_counter()
    used = resident_bytes() - before
    cache = caches.of(PODS)

    async def space() -> None:
        b"".join((await cache.list(ListQuery(Selection("space-0050")))).chunks(PODS))

    async def everything() -> None:
        for _ in (await cache.list(ListQuery())).chunks(PODS):
            pass

    async def page() -> None:
        b"".join((await cache.list(ListQuery(limit=500))).chunks(PODS))

    async def node() -> None:
        assert (await cache.list(ListQuery(Selection(indexed="node-7")))).entries

    async def watch() -> None:
        (await cache.watch(WatchQuery(resource_version=str(store.revision)))).close()

    async def labels() -> None:
        await cache.list(ListQuery(Selection(text="x", matches=lambda entry: entry.labels.get("app") == "app-1")))

    begin_get = time.perf_counter()
    for n in range(0, pods, 7):
        assert cache.get(f"space-{n // 100:04}", f"pod-{n:06}")
    got = (time.perf_counter() - begin_get) / (pods / 7)
    results = {
        "pods": pods, "filled_per_second": round(rate), "open_s": round(opened - begin, 2), "load_s": round(ready - opened, 2),
        "resident_bytes_per_pod": round(used / pods), "get_us": round(got * 1e6, 2), "list_one_namespace_ms": await best_ms(space),
        "list_page_of_500_ms": await best_ms(page), "list_all_ms": await best_ms(everything, 2), "list_one_node_ms": await best_ms(node),
        "list_labels_first_ms": await best_ms(labels, 1), "list_labels_ms": await best_ms(labels, 2),
        "watch_start_ms": await best_ms(watch), "fan_out_us": await fan_out(store, cache, 50, 400),
    }
    await store.close()
    return results


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--fill", type=Path, help="only fill this folder, print pods a second")
    options = parser.parse_args()
    if options.fill:
        print(await fill(options.fill, options.pods))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results = await measure(Path(folder) / "s", options.pods)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    print(json.dumps({"bench": "watchcache", "results": results, "machine": machine}, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
