"""Pods that leave tainted nodes, through virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.play import play
from sampan.controllers.tainteviction.controller import TaintEvictionController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [TaintEvictionController(world.context)])
