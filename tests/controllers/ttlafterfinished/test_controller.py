"""Finished Jobs that have had their time."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import JOBS
from sampan.controllers.ttlafterfinished.controller import TtlAfterFinishedController
from sampan.testing.datadriven import transcripts

POD = {"containers": [{"name": "c", "image": "i"}]}



@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [TtlAfterFinishedController(w.context)])


def test_a_finished_job_goes_when_its_time_is_over() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, {"metadata": {"name": "j"}, "spec": {"ttlSecondsAfterFinished": 100, "template": {"spec": {**POD, "restartPolicy": "Never"}}}})
        now = "2026-01-01T00:00:00Z"
        await world.patch(JOBS, "j", {"status": {"startTime": now, "completionTime": now, "conditions": [
            {"type": name, "status": "True", "reason": "x", "lastProbeTime": now, "lastTransitionTime": now}
            for name in ("SuccessCriteriaMet", "Complete")]}}, subresource="status")
        await world.settle()
        await world.clock.advance(99)
        await world.settle()
        assert (await world.get(JOBS, "j")).metadata.deletionTimestamp is None
        await world.clock.advance(2)
        await world.settle()
        left = await world.get(JOBS, "j")
        assert left is None or left.metadata.deletionTimestamp is not None

    run(lambda world: [TtlAfterFinishedController(world.context)], scenario)
