"""Tokens in Secrets, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.play import play
from sampan.controllers.tokens.controller import TokensController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [TokensController(w.context, lambda account, secret: f"token of {account.metadata.name}", b"PEM")])
