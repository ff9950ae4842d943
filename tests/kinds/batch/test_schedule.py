"""Schedules of CronJobs, as upstream's cron library reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from sampan.kinds.batch import schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def following(text: str, start: str, count: int = 3, zone: str | None = None) -> list[str]:
    parsed = schedule.parse(text, schedule.time_zone(zone) if zone else None)

    def times():
        moment = parsed.next(at(start))
        while moment is not None:
            yield moment.strftime("%Y-%m-%dT%H:%M")
            moment = parsed.next(moment)

    return list(islice(times(), count))


@pytest.mark.parametrize(("text", "start", "expected"), [
    ("*/5 * * * *", "2026-01-01T00:00:00", ["2026-01-01T00:05", "2026-01-01T00:10", "2026-01-01T00:15"]),
    ("59 23 31 12 *", "2026-01-01T00:00:00", ["2026-12-31T23:59", "2027-12-31T23:59", "2028-12-31T23:59"]),
    ("0 0 29 2 *", "2026-01-01T00:00:00", ["2028-02-29T00:00", "2032-02-29T00:00"]),
    ("0 9-17/4 * * MON-FRI", "2026-01-02T13:00:00", ["2026-01-02T17:00", "2026-01-05T09:00", "2026-01-05T13:00"]),
    ("@weekly", "2026-01-01T00:00:00", ["2026-01-04T00:00", "2026-01-11T00:00", "2026-01-18T00:00"]),
    ("0 0 13 * 5", "2026-01-01T00:00:00", ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00"]),
    ("0 0 */2 * 5", "2026-01-01T00:00:00", ["2026-01-02T00:00", "2026-01-03T00:00", "2026-01-05T00:00"]),
    ("0 0 13 * *", "2026-01-01T00:00:00", ["2026-01-13T00:00", "2026-02-13T00:00", "2026-03-13T00:00"]),
    ("30/15 * * * ?", "2026-01-01T00:00:00", ["2026-01-01T00:30", "2026-01-01T00:45", "2026-01-01T01:30"]),
])
def test_the_next_times_of_a_schedule(text: str, start: str, expected: list[str]) -> None:
    assert following(text, start, len(expected)) == expected


def test_a_time_zone_moves_the_day_and_follows_its_clock_changes() -> None:
    assert following("0 9 * * *", "2026-03-28T00:00:00", zone="Europe/Berlin") == [
        "2026-03-28T08:00", "2026-03-29T07:00", "2026-03-30T07:00"]


def test_an_hour_that_a_clock_change_skips_has_no_run() -> None:
    assert following("30 2 * * *", "2026-03-28T12:00:00", 2, zone="Europe/Berlin") == ["2026-03-30T00:30", "2026-03-31T00:30"]


def test_every_counts_from_the_moment_given() -> None:
    assert schedule.parse("@every 1h30m10s").next(at("2026-01-01T00:00:00")) == at("2026-01-01T01:30:10")


def test_a_date_that_never_comes_has_no_next_time() -> None:
    assert schedule.parse("0 0 31 2 *").next(at("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize(("text", "words"), [
    ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
    ("60 * * * *", "end of range (60) above maximum (59): 60"),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ("* * * * 7", "end of range (7) above maximum (6): 7"),
    ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
    ("*/0 * * * *", "step of range should be a positive number: */0"),
    ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ("@sometimes", "unrecognized descriptor: @sometimes"),
    ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
    ("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'),
    ("@every 5d", 'failed to parse duration @every 5d: time: unknown unit "d" in duration "5d"'),
    ("TZ=Moon/Base * * * * *", "provided bad location Moon/Base: unknown time zone Moon/Base"),
    ("TZ=0", "invalid schedule format: runtime error: slice bounds out of range [:-1]"),
    ("1-2-3/4/5 * * * *", "too many hyphens: 1-2-3/4/5"),
    ("70/2/3 * * * *", "too many slashes: 70/2/3"),
])
def test_what_is_no_schedule_says_why(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[").replace("*", r"\*")):
        schedule.parse(text)
