"""Schedules of CronJobs: the five fields and the `@` words of cron, in a time zone.

Owns parsing and finding the next time, exactly as upstream's library does: days of the month and of the week are
either-or only when both are restricted, 7 is no day, and a time that a clock change skips is skipped.
Source: `github.com/robfig/cron/v3` (`ParseStandard`, `SpecSchedule.Next`, `ConstantDelaySchedule.Next`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from sampan.api import gotime

_MONTHS = {name: number for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS))
_WORDS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}
_YEARS_AHEAD = 5


class Schedule(Protocol):
    """When something is due."""

    def next(self, after: datetime) -> datetime | None:
        """The first time after `after`, in UTC; None when there is none within five years."""
        ...


@dataclass(frozen=True)
class Every:
    """`@every 90s`: from any moment, that much later, on whole seconds."""

    seconds: int

    def next(self, after: datetime) -> datetime:
        return after.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Cron:
    """The five fields as sets of numbers; `any_day` says whether either of the two day fields is `*`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    zone: tzinfo

    def next(self, after: datetime) -> datetime | None:
        moment = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        local = moment.astimezone(self.zone)
        last_year = local.year + _YEARS_AHEAD
        while local.year <= last_year:
            if local.month not in self.months:
                local = self._midnight(local.year + local.month // 12, local.month % 12 + 1, 1)
            elif not self._on_day(local):
                tomorrow = local.date() + timedelta(days=1)
                local = self._midnight(tomorrow.year, tomorrow.month, tomorrow.day)
            elif local.hour not in self.hours:
                local = self._later(local, 60 - local.minute)
            elif local.minute not in self.minutes:
                local = self._later(local, 1)
            else:
                return local.astimezone(UTC)
        return None

    def _on_day(self, local: datetime) -> bool:
        by_month, by_week = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return by_month and by_week if self.any_day else by_month or by_week

    def _later(self, local: datetime, minutes: int) -> datetime:
        return (local.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(self.zone)

    def _midnight(self, year: int, month: int, day: int) -> datetime:
        """The first moment of a day: going through UTC moves a skipped midnight to the hour that exists."""
        return datetime(year, month, day, tzinfo=self.zone).astimezone(UTC).astimezone(self.zone)


def parse(text: str, zone: tzinfo | None = None) -> Schedule:
    """A schedule; `zone` is UTC when not given, and a `TZ=` in the text beats it.

    Raises:
        ValueError: In words like upstream's.
    """
    if not text:
        raise ValueError("empty spec string")
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, text = _zoned(text)
    if text.startswith("@"):
        if text.startswith("@every "):
            return Every(max(1, int(_duration(text.removeprefix("@every ")))))
        if text not in _WORDS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _WORDS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    sets = [_field(part, *bounds) for part, bounds in zip(parts, _FIELDS, strict=True)]
    any_day = _starred(parts[2]) or _starred(parts[4])
    return Cron(sets[0], sets[1], sets[2], sets[3], sets[4], any_day=any_day, zone=zone or UTC)


def _zoned(text: str) -> tuple[tzinfo, str]:
    name, blank, rest = text.partition("=")[2].partition(" ")
    if not blank:  # upstream's library looks for the blank before it looks at anything else
        raise ValueError("invalid schedule format: runtime error: slice bounds out of range [:-1]")
    try:
        return time_zone(name), rest.strip()
    except ValueError as error:
        raise ValueError(f"provided bad location {name}: {error}") from None


def _starred(text: str) -> bool:
    """Whether a field says `*` (or `*/1`), alone or among others."""
    return any(part in ("*", "?", "*/1", "?/1") for part in text.split(","))


def time_zone(name: str) -> tzinfo:
    """An IANA time zone.

    Raises:
        ValueError: There is none of that name.
    """
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # names with odd characters, folders, unknown ones
        raise ValueError(f"unknown time zone {name}") from None


def _duration(text: str) -> float:
    """Seconds of Go's notation, `1h30m`."""
    try:
        return gotime.duration(text)
    except ValueError as error:
        raise ValueError(f"failed to parse duration @every {text}: {error}") from None


def _field(text: str, low: int, high: int, words: dict[str, int]) -> frozenset[int]:
    out: set[int] = set()
    for part in filter(None, text.split(",")):
        out |= _range(part, low, high, words)
    if not out:
        raise ValueError(f"failed to parse int from {text}")
    return frozenset(out)


def _range(text: str, low: int, high: int, words: dict[str, int]) -> set[int]:
    bounds, slash, step_text = text.partition("/")
    first_text, dash, last_text = bounds.partition("-")
    if first_text in ("*", "?"):
        first, last = low, high
    else:
        first = _number(first_text, words)
        if "-" in last_text:
            raise ValueError(f"too many hyphens: {text}")
        last = _number(last_text, words) if dash else first
        if slash and not dash:
            last = high  # "N/step" goes on to the end
    if "/" in step_text:
        raise ValueError(f"too many slashes: {text}")
    step = _number(step_text, {}) if slash else 1
    if first < low:
        raise ValueError(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise ValueError(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")
    return set(range(first, last + 1, step))


def _number(text: str, words: dict[str, int]) -> int:
    if (known := words.get(text.lower())) is not None:
        return known
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        if text.startswith("-") and text[1:].isdecimal():
            raise ValueError(f"negative number ({text}) not allowed: {text}")
        raise ValueError(f"failed to parse int from {text}: strconv.Atoi: parsing {text!r}: invalid syntax".replace("'", '"'))
    return int(text)
