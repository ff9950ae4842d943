"""Generated service account tokens over the years, as transcripts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api.core.v1 import Secret
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.controllers.legacytokens.decide import INVALID_SINCE, LAST_USED, decide
from sampan.testing.datadriven import Block, run, transcripts

KEEP = timedelta(days=365)


def handle(block: Block) -> str:
    """`secret now=DAY tracked=DAY created=DAY [used=DAY] [invalid=DAY] [mounted]`."""
    labels = {label: block.get(word) for word, label in (("used", LAST_USED), ("invalid", INVALID_SINCE)) if block.get(word)}
    secret = Secret(metadata=ObjectMeta(name="t", namespace="default", uid="u", labels=labels, creationTimestamp=Time(f"{block.get('created')}T08:00:00Z")))
    now = datetime.fromisoformat(block.get("now")).replace(hour=12, tzinfo=UTC)
    return render(decide(secret, block.flag("mounted"), date.fromisoformat(block.get("tracked")), now, KEEP))


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, handle)
