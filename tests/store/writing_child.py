"""A process that writes to a store until it is killed: `python writing_child.py FOLDER`.

Every line on stdout is an acknowledged write: `<kind> <writer> <number> <revision>`. Each writer writes its own two keys,
in one transaction, with rising numbers; every seventh write is volatile and of a third key. Old history is compacted meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sampan.aio.clock import SystemClock
from sampan.store.base import Put, Store
from sampan.store.sqlite import SqliteStore

WRITERS = 16


async def writer(store: Store, name: int) -> None:
    before = await store.get(f"/w/{name}/a")
    number = int(before.value.split()[0]) if before else 0
    while True:
        number += 1
        value = b"%d " % number + b"x" * (number * 37 % 3000)
        revision = await store.transact([Put(f"/w/{name}/a", value), Put(f"/w/{name}/b", value)])
        os.write(1, b"durable %d %d %d\n" % (name, number, revision))
        if number % 7 == 0:
            revision = await store.transact([Put(f"/w/{name}/volatile", value, volatile=True)])
            os.write(1, b"volatile %d %d %d\n" % (name, number, revision))
        if name == 0 and number % 50 == 0:
            await store.compact(store.revision - 200 if store.revision > 200 else 1)


async def main(folder: Path) -> None:
    store = await SqliteStore.open(folder, SystemClock())
    await asyncio.gather(*(writer(store, name) for name in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
