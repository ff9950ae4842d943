from __future__ import annotations

import argparse

import pytest

from sampan.cli.durations import seconds


@pytest.mark.parametrize(("text", "wanted"), [("8s", 8.0), ("1m30s", 90.0), ("500ms", 0.5), ("1.5h", 5400.0), ("87600h", 87600 * 3600.0)])
def test_durations_are_as_go_writes_them(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "8", "s", "8s ", "8 s", "-8s", "8x", "1s2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no duration"):
        seconds(text)
