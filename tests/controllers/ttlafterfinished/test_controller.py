"""Finished Jobs that have had their time, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.play import play
from sampan.controllers.ttlafterfinished.controller import TtlAfterFinishedController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [TtlAfterFinishedController(w.context)])
