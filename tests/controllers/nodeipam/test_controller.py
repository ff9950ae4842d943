"""Address ranges of nodes, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.play import play
from sampan.controllers.nodeipam.controller import NodeIpamController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [NodeIpamController(w.context, ("10.244.0.0/22",), reserved=("10.244.1.0/24",), masks=(24, 64))])
