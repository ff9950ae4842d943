"""Writes a second into a store with 1, 16 and 256 writers, 3 KB values. Prints JSON.

    python bench/store.py [--store sqlite|memory] [--seconds 2] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.store.base import Put, Store
from sampan.store.memory import MemoryStore
from sampan.store.sqlite import SqliteStore

VALUE = os.urandom(1500).hex().encode()


async def measure(store: Store, writers: int, seconds: float) -> dict[str, float]:
    latencies: list[float] = []
    longest_hold = 0.0
    end = time.perf_counter() + seconds

    async def writer(number: int) -> None:
        n = 0
        while (begin := time.perf_counter()) < end:
            await store.transact([Put(f"/registry/core/pods/bench/{number}-{n % 50}", VALUE)])
            latencies.append(time.perf_counter() - begin)
            n += 1

    async def watch_loop() -> None:
        nonlocal longest_hold
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            longest_hold = max(longest_hold, time.perf_counter() - begin - 0.001)

    cpu = resource.getrusage(resource.RUSAGE_SELF)
    async with Tasks() as tasks:
        tasks.start(watch_loop(), "hold")
        await asyncio.gather(*(writer(number) for number in range(writers)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    latencies.sort()
    spent = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
    return {
        "writers": writers, "writes_per_second": round(len(latencies) / seconds),
        "p50_ms": round(latencies[len(latencies) // 2] * 1e3, 2),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1e3, 2),
        "cpu_us_per_write": round(spent / len(latencies) * 1e6, 1), "longest_hold_ms": round(longest_hold * 1e3, 1),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "memory"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        clock = SystemClock()
        store: Store = MemoryStore(clock) if options.store == "memory" else await SqliteStore.open(Path(folder) / "s", clock)
        results = [await measure(store, writers, options.seconds) for writers in (1, 16, 256)]
        await store.close()
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    print(json.dumps({"bench": "store", "store": options.store, "value_bytes": len(VALUE), "results": results,
                      "machine": machine}, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
