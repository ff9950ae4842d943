"""Why a text is no time, in Go's words."""

from __future__ import annotations

import re

import pytest

from sampan.api.gotime import MICROS, duration, explain

LAYOUT = '"2006-01-02T15:04:05Z07:00"'


@pytest.mark.parametrize(("text", "why"), [
    ("x", f'parsing time "x" as {LAYOUT}: cannot parse "x" as "2006"'),
    ("2020-01-01", f'parsing time "2020-01-01" as {LAYOUT}: cannot parse "" as "T"'),
    ("2020-13-01T00:00:00Z", 'parsing time "2020-13-01T00:00:00Z": month out of range'),
    ("2020-02-30T00:00:00Z", 'parsing time "2020-02-30T00:00:00Z": day out of range'),
    ("2020-01-01T00:00:00Zx", 'parsing time "2020-01-01T00:00:00Zx": extra text: "x"'),
    ("2020-01-01T00:00:00.5", f'parsing time "2020-01-01T00:00:00.5" as {LAYOUT}: cannot parse "" as "Z07:00"'),
])
def test_times(text: str, why: str) -> None:
    assert explain(text) == why


def test_times_with_six_decimals_want_all_six() -> None:
    assert explain("2020-01-01T00:01:00.5Z", MICROS) == (
        'parsing time "2020-01-01T00:01:00.5Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse ".5Z" as ".000000"')
    assert explain("2020-01-01T00:01:00Z", MICROS).endswith('cannot parse "Z" as ".000000"')
    assert explain("2020-01-01T25:01:00.123456Z", MICROS) == 'parsing time "2020-01-01T25:01:00.123456Z": hour out of range'


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("1h30m", 5400.0), ("-1.5s", -1.5), ("+2ms", 0.002)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(("text", "why"), [
    ("1x", 'time: unknown unit "x" in duration "1x"'), ("1", 'time: missing unit in duration "1"'), ("", 'time: invalid duration ""'),
    ("x", 'time: invalid duration "x"'), ("999999999999h", 'time: invalid duration "999999999999h"'),
])
def test_what_is_no_duration(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        duration(text)
