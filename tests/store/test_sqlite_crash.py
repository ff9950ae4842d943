"""What is acknowledged survives: kill -9 under load, and power cuts that forget all that was not synced."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sampan.aio.clock import SystemClock, VirtualClock
from sampan.aio.tasks import Tasks
from sampan.store.base import Compacted, Put
from sampan.store.sqlite import SqliteSettings, SqliteStore
from store.powercut import ForgetfulDisk

SOAK = bool(os.environ.get("SAMPAN_SOAK"))
KILLS = 200 if SOAK else 4
DISKS = 25 if SOAK else 1
POWER_CUTS = 12
CHILD = Path(__file__).with_name("writing_child.py")


class Acknowledged:
    """What a writing child was told, over all its lives."""

    def __init__(self) -> None:
        self.revisions: set[int] = set()
        self.durable: dict[str, int] = {}

    def read(self, output: bytes) -> int:
        whole = output[:output.rfind(b"\n") + 1].decode().splitlines()
        new: set[int] = set()
        for line in whole:
            kind, writer, number, revision = line.split()
            assert int(revision) not in new, "a revision was given twice"
            new.add(int(revision))
            if kind == "durable":
                self.durable[writer] = int(number)
        assert not new & self.revisions, "a revision was given again after a crash"
        assert not new or not self.revisions or min(new) > max(self.revisions)
        self.revisions |= new
        return len(new)


def killed_while_writing(folder: Path, seconds: float) -> bytes:
    child = subprocess.Popen([sys.executable, str(CHILD), str(folder)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    first = child.stdout.readline()
    killer_at = time.monotonic() + seconds
    output = [first]
    os.set_blocking(child.stdout.fileno(), False)
    while time.monotonic() < killer_at:
        if chunk := child.stdout.read():
            output.append(chunk)
    child.send_signal(signal.SIGKILL)
    os.set_blocking(child.stdout.fileno(), True)
    output.append(child.stdout.read())
    child.wait()
    child.stdout.close()
    return b"".join(output)


async def check(folder: Path, acknowledged: Acknowledged) -> None:
    store = await SqliteStore.open(folder, SystemClock())
    try:
        assert store.revision >= max(acknowledged.revisions)
        for writer, number in acknowledged.durable.items():
            one, two = await store.get(f"/w/{writer}/a"), await store.get(f"/w/{writer}/b")
            assert one
            assert two
            assert one.value == two.value, "half a transaction"
            assert number <= int(one.value.split()[0]) <= number + 1
            assert one.value == b"%d " % int(one.value.split()[0]) + b"x" * (int(one.value.split()[0]) * 37 % 3000)
        revision = await store.transact([Put("/checked", b"")])
        assert revision > max(acknowledged.revisions)
        acknowledged.revisions.add(revision)
    finally:
        await store.close()


@pytest.mark.slow
@pytest.mark.soak
def test_no_acknowledged_write_is_lost_and_no_revision_given_twice_when_killed(tmp_path: Path) -> None:
    rng, acknowledged, written = random.Random(7), Acknowledged(), 0
    for _ in range(KILLS):
        written += acknowledged.read(killed_while_writing(tmp_path / "data", rng.uniform(0.0, 0.4)))
        # restarted at once as often as after somebody has looked and closed in order
        if rng.random() < 0.5:
            asyncio.run(check(tmp_path / "data", acknowledged))
    asyncio.run(check(tmp_path / "data", acknowledged))
    assert written > KILLS * 16


async def written_until_cut(folder: Path, disk: ForgetfulDisk, rng: random.Random, cuts: int) -> list[tuple[Path, dict[str, int]]]:
    """Writers over a forgetful disk; at random moments what a power cut would leave, and what was acknowledged by then."""
    store = await SqliteStore.open(folder / "data", SystemClock(), SqliteSettings(connect=disk.connect))
    acknowledged: dict[str, int] = {}
    taken: list[tuple[Path, dict[str, int]]] = []

    async def writer(name: str) -> None:
        for number in range(1, 10**9):
            value = b"%d " % number + b"x" * (number * 997 % 20_000)
            await store.transact([Put(f"/{name}/a", value), Put(f"/{name}/b", value)])
            acknowledged[name] = number

    async with Tasks() as tasks:
        for name in range(8):
            tasks.start(writer(str(name)), "writer", keep_going=True)
        for cut in range(cuts):
            enough = sum(acknowledged.values()) + rng.randrange(1, 60)
            while sum(acknowledged.values()) < enough:  # noqa: ASYNC110 - a moment between two events, not after one
                await asyncio.sleep(0)
            if rng.random() < 0.3:
                # in the midst of a checkpoint, perhaps
                store._checkpointer.want()
                await asyncio.to_thread(time.sleep, rng.random() * 0.003)
            known = dict(acknowledged)
            disk.cut(folder / f"cut-{cut}", rng)
            taken.append((folder / f"cut-{cut}", known))
    await store.close()
    return taken


async def lost_after(folder: Path, acknowledged: dict[str, int]) -> int:
    """How many acknowledged writes are not there any more; half a transaction is never there."""
    store = await SqliteStore.open(folder, SystemClock())
    lost = 0
    for name, number in acknowledged.items():
        one, two = await store.get(f"/{name}/a"), await store.get(f"/{name}/b")
        assert (one and one.value) == (two and two.value)
        found = int(one.value.split()[0]) if one else 0
        lost += max(number - found, 0)
    await store.close()
    return lost


@pytest.mark.slow
@pytest.mark.soak
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    for seed in range(DISKS):
        rng, disk = random.Random(seed), ForgetfulDisk()
        for folder, acknowledged in asyncio.run(written_until_cut(tmp_path / str(seed), disk, rng, POWER_CUTS)):
            assert asyncio.run(lost_after(folder, acknowledged)) == 0
        assert disk.syncs > POWER_CUTS


@pytest.mark.slow
def test_a_disk_that_lies_about_syncing_is_caught_by_this_test(tmp_path: Path) -> None:
    """The test above can fail: without syncs it would."""
    rng, disk, lost = random.Random(11), ForgetfulDisk(lying=True), 0
    for folder, acknowledged in asyncio.run(written_until_cut(tmp_path, disk, rng, 3)):
        try:
            lost += asyncio.run(lost_after(folder, acknowledged))
        except Exception:  # noqa: BLE001 - or it cannot be read at all
            lost += 1
    assert lost > 0


def test_a_crash_forgets_heartbeats_and_nobody_is_told_otherwise(tmp_path: Path) -> None:
    async def body() -> None:
        # given a lease that was renewed without being written, and a power cut
        disk, clock = ForgetfulDisk(), VirtualClock()
        store = await SqliteStore.open(tmp_path / "data", clock, SqliteSettings(connect=disk.connect))
        made = await store.transact([Put("/lease", b"made")])
        marked = await store.transact([Put("/lease", b"marked", volatile=True)])
        syncs = disk.syncs
        renewed = [await store.transact([Put("/lease", b"%d" % n, volatile=True)]) for n in range(50)]
        assert disk.syncs <= syncs + 1, "one reservation at most"
        disk.cut(tmp_path / "cut", random.Random(1))
        await store.close()
        # when the store comes back
        store = await SqliteStore.open(tmp_path / "cut", clock)
        # then the lease is as it was written last, at a revision that nobody has seen
        record = await store.get("/lease")
        assert record
        assert (record.value, record.create_revision) == (b"marked", made)
        assert record.mod_revision > renewed[-1]
        assert await store.transact([Put("/other", b"")]) > renewed[-1]
        # and a watch from a forgotten revision must list again, one from before goes on
        with pytest.raises(Compacted):
            await store.subscribe("/", renewed[10], lambda _: None)
        with pytest.raises(Compacted):
            await store.get("/lease", revision=renewed[-1])
        changes: list[bytes | None] = []
        await store.subscribe("/", marked, lambda batch: changes.extend(change.value for change in batch))
        assert changes == [b"marked", b""]
        await store.close()

    asyncio.run(body())


def test_closing_in_order_forgets_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        clock = VirtualClock()
        store = await SqliteStore.open(tmp_path / "data", clock)
        for n in range(5):
            revision = await store.transact([Put("/lease", b"%d" % n, volatile=True)])
        await store.close()
        store = await SqliteStore.open(tmp_path / "data", clock)
        record = await store.get("/lease")
        assert record
        assert (record.value, record.mod_revision, store.revision) == (b"4", revision, revision)
        await store.subscribe("/", revision, lambda _: None)
        assert await store.transact([Put("/lease", b"5", volatile=True)]) == revision + 1
        await store.close()

    asyncio.run(body())
