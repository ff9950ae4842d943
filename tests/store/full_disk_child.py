"""Fills a small disk through a store, frees it, goes on: `python full_disk_child.py FOLDER` in a mount namespace of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from sampan.aio.clock import SystemClock
from sampan.store.base import Put, StoreFull
from sampan.store.sqlite import SqliteStore


async def main(folder: Path) -> None:
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(3 << 20))  # as much as the log may hold: closing moves that into the file
    store = await SqliteStore.open(folder / "data", SystemClock())
    acknowledged = 0
    full = 0
    for n in range(400):
        answers = await asyncio.gather(*(store.transact([Put(f"/k/{n}-{i}", b"x" * 3000)]) for i in range(4)), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, StoreFull):
                full += 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                acknowledged += 1
        if full > 20:
            break
    assert full, "the disk should have been full"
    assert len((await store.range("/k/")).records) == acknowledged, "all that was acknowledged, and nothing else"
    ballast.unlink()
    await store.transact([Put("/after", b"")])
    await store.close()
    store = await SqliteStore.open(folder / "data", SystemClock())
    assert len((await store.range("/k/")).records) == acknowledged
    assert await store.get("/after")
    await store.close()
    sys.stdout.write(f"{acknowledged} written, {full} refused")


if __name__ == "__main__":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", sys.argv[1]], check=True)
    asyncio.run(main(Path(sys.argv[1])))
