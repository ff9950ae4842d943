"""Aggregated cluster roles, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.play import play
from sampan.controllers.clusterroleaggregation.controller import ClusterRoleAggregationController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [ClusterRoleAggregationController(w.context)])
