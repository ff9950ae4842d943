"""One run of the script: bad weather by the seed, or none; then quiet until nothing changes any more.

    PYTHONHASHSEED=0 PYTHONPATH=tests python tests/chaos/runs.py 17        how the run with seed 17 differs from the quiet one
    PYTHONHASHSEED=0 PYTHONPATH=tests python tests/chaos/runs.py 17 quiet  the quiet run itself

With the same hash seed a run repeats itself to the letter: nothing waits for a thread, a socket or the machine's clock.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.script import afterwards, script
from chaos.state import crowded, state, wrong
from chaos.world import World, placed, world_of
from sampan.aio.tasks import Tasks

STEP_SECONDS = 60.0
MOST_STEPS = 90
STEADY_STEPS = 10
DEADLINE_SECONDS = 300


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    state: list[str]
    wrong: list[str]
    counts: dict[str, int]


async def watched(world: World, found: set[str]) -> None:
    """While it runs: no pod moves from one node to another, no node is given more than it has."""
    known: dict[str, str] = {}
    while True:
        for uid, node in (await placed(world)).items():
            if known.setdefault(uid, node) != node:
                found.add(f"pod {uid} was on {known[uid]} and is on {node}")
        found.update(await crowded(world))
        await world.clock.sleep(5.0)


async def settled(world: World) -> list[str]:
    """The state once it has stayed the same for ten minutes."""
    before: list[str] = []
    same = 0
    for _ in range(MOST_STEPS):
        await world.clock.advance(STEP_SECONDS)
        now = await state(world)
        same = same + 1 if now == before else 0
        before = now
        if same >= STEADY_STEPS:
            return before
    raise AssertionError(f"the world does not come to rest in {MOST_STEPS * STEP_SECONDS:g} s")


async def _run(root: Path, seed: int, *, bad: bool) -> Outcome:
    async with world_of(root, seed, bad=bad) as world, Tasks() as tasks:
        found: set[str] = set()
        tasks.start(watched(world, found), "invariants")
        await script(world)
        world.weather.bad = False
        await world.clock.advance(120)
        await afterwards(world)
        end = await settled(world)
        found.update(await wrong(world))
        found.update(process.failure for process in world.processes.values() if process.failure)
        found.update(world.unexpected.found)
        return Outcome(end, sorted(found), world.weather.counts)


def run(root: Path, seed: int, *, bad: bool = True) -> Outcome:
    """Play the whole script with this seed."""
    return asyncio.run(asyncio.wait_for(_run(root, seed, bad=bad), DEADLINE_SECONDS))


def repeatable(seed: int, *, bad: bool = True) -> Outcome:
    """The same in a process of its own, whose sets and dicts are ordered as they will be next time."""
    tests = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (tests, os.environ.get("PYTHONPATH"))))
    done = subprocess.run([sys.executable, __file__, str(seed), "json" if bad else "json-quiet"], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"})
    if done.returncode:
        raise AssertionError(f"the run with seed {seed} failed:\n{done.stderr[-4000:]}")
    return Outcome(**json.loads(done.stdout))


def differences(quiet: Outcome, stormy: Outcome) -> list[str]:
    """What is wrong with a run, and how it ended otherwise than the quiet one."""
    changed = difflib.unified_diff(quiet.state, stormy.state, "quiet", "bad weather", lineterm="", n=0)
    return stormy.wrong + [line for line in changed if not line.startswith("@@")]


def main(seed: int, how: str) -> None:
    """What the command line asks for."""
    with tempfile.TemporaryDirectory() as folder:
        if how.startswith("json"):
            sys.stdout.write(json.dumps(asdict(run(Path(folder), seed, bad=how == "json"))))
            return
        quiet = run(Path(folder), seed, bad=False)
        stormy = None if how == "quiet" else run(Path(folder), seed)
    lines = [*quiet.wrong, *quiet.state] if stormy is None else [str(stormy.counts), *differences(quiet, stormy)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
