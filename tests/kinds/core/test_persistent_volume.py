"""The time of a volume's last change of phase."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume
from sampan.kinds.core.persistent_volume import prepare_status, touch_phase

BEFORE, NOW, TOLD = "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2023-01-01T00:00:00Z"


def a_volume(phase: str, since: str | None) -> PersistentVolume:
    return codec.convert(PersistentVolume, {"status": {"phase": phase, "lastPhaseTransitionTime": since}})


@pytest.mark.parametrize(("phase", "told", "kept"), [
    ("Bound", BEFORE, NOW),  # as read, only the phase changed
    ("Bound", None, NOW),
    ("Bound", TOLD, TOLD),
    ("Available", None, BEFORE),
    ("Available", BEFORE, BEFORE),
])
def test_the_server_says_when_the_phase_changed_unless_the_writer_does(phase: str, told: str | None, kept: str) -> None:
    new, old = a_volume(phase, told), a_volume("Available", BEFORE)
    prepare_status(new, old)
    touch_phase(new, old, datetime(2026, 1, 1, tzinfo=UTC))
    assert new.status.lastPhaseTransitionTime == kept
