"""Texts of Table cells."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sampan.api.core.v1 import ConfigMap
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.kinds import printing

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 31536000

DURATIONS = {
    -2: "<invalid>", -0.5: "0s", 0: "0s", 119.9: "119s", 2 * MINUTE: "2m", 9 * MINUTE + 30: "9m30s", 10 * MINUTE + 30: "10m",
    179 * MINUTE: "179m", 3 * HOUR: "3h", 5 * HOUR + 10 * MINUTE: "5h10m", 8 * HOUR + 10 * MINUTE: "8h", 47 * HOUR: "47h",
    2 * DAY: "2d", 2 * DAY + HOUR: "2d1h", 8 * DAY + HOUR: "8d", 729 * DAY: "729d", 2 * YEAR: "2y", 2 * YEAR + DAY: "2y1d",
    8 * YEAR + DAY: "8y",
}


@pytest.mark.parametrize(("seconds", "text"), DURATIONS.items())
def test_a_duration_is_cut_as_people_read_it(seconds: float, text: str) -> None:
    assert printing.human_duration(seconds) == text


def test_age_counts_from_creation_and_is_unknown_without_one() -> None:
    assert printing.age(ConfigMap(metadata=ObjectMeta(creationTimestamp=Time("2026-01-01T23:00:00Z"))), NOW) == "60m"
    assert printing.age(ConfigMap(), NOW) == "<unknown>"


def test_lists_say_none_when_they_are_empty() -> None:
    assert printing.joined([]) == "<none>"
    assert printing.labels_text({"b": "2", "a": "1"}) == "a=1,b=2"
    assert printing.labels_text({}) == "<none>"


def test_a_long_list_is_cut() -> None:
    assert printing.first_few(["a", "b", "c"], 3) == "a,b,c"
    assert printing.first_few(["a", "b", "c", "d"], 2) == "a,b + 2 more..."
