"""StatefulSets, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.play import Play, play
from sampan.api.resources import CONTROLLER_REVISIONS, STATEFUL_SETS
from sampan.control.history import template_of
from sampan.controllers.statefulset.controller import StatefulSetController
from sampan.testing.datadriven import Block, transcripts


class Stage(Play):
    """`revisions` shows what the set has been, and which of it is current."""

    async def revisions(self, _: Block) -> str:
        sets = await self.world.all(STATEFUL_SETS)
        names = {one.metadata.name: f"{one.revision} {template_of(one).spec.containers[0].image}" for one in await self.world.all(CONTROLLER_REVISIONS)}
        in_use = [f"current={names[one.status.currentRevision]} update={names[one.status.updateRevision]} replicas={one.status.updatedReplicas}" for one in sets]
        return "\n".join([*sorted(names.values()), *in_use])


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [StatefulSetController(w.context)], Stage)
