"""Timestamps and durations: texts and fields, without a clock.

Source: cel-go `common/types/{timestamp,duration}.go`; Go `time.ParseDuration`, RFC 3339.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sampan.api.cel.errors import CelError
from sampan.api.cel.values import INT_MAX, INT_MIN, NANO, Duration, Timestamp
from sampan.lib.memo import remembered

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62135596800 * NANO, 253402300799 * NANO + NANO - 1
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": NANO, "m": 60 * NANO, "h": 3600 * NANO}
_PART = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_ZONE = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)


def timestamp(nano: int) -> Timestamp:
    """Raises: CelError: Out of the years 1 to 9999."""
    if not _FIRST <= nano <= _LAST:
        raise CelError("timestamp overflow")
    return Timestamp(nano)


def duration(nano: int) -> Duration:
    """Raises: CelError: More than int64 nanoseconds."""
    if not INT_MIN <= nano <= INT_MAX:
        raise CelError("integer overflow")
    return Duration(nano)


def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339.

    Raises:
        CelError: It is not.
    """
    match = _RFC3339.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, match.groups()[:6])
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    except ValueError:
        raise CelError("type conversion error from 'string' to 'google.protobuf.Timestamp'") from None
    nano = (at.days * 86400 + at.seconds) * NANO + int((match[7] or "").ljust(9, "0"))
    if match[8]:
        offset = (int(match[9]) * 60 + int(match[10])) * 60 * NANO
        nano += -offset if match[8] == "+" else offset
    return timestamp(nano)


def parse_duration(text: str) -> Duration:
    """Go's form: `1h2.5s`, `-3ms`, `0`.

    Raises:
        CelError: It is not.
    """
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return Duration(0)
    at = total = 0
    while at < len(rest) and len(rest) <= 200:
        match = _PART.match(rest, at)
        if match is None or not (match[1] or match[2]):
            break
        unit, fraction = _UNITS[match[3]], match[2] or ""
        total += int(match[1] or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = match.end()
    if at < len(rest) or not rest:
        raise CelError("type conversion error from 'string' to 'google.protobuf.Duration'")
    return duration(-total if text[0] == "-" else total)


def duration_text(value: Duration) -> str:
    """As CEL's `string` gives it: seconds."""
    whole, rest = divmod(abs(value.nano), NANO)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if value.nano < 0 else ''}{whole}{fraction}s"


def timestamp_text(value: Timestamp) -> str:
    """RFC 3339 in UTC."""
    at = local(value, UTC)
    rest = value.nano % NANO
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{at.year:04d}-{at.month:02d}-{at.day:02d}T{at.hour:02d}:{at.minute:02d}:{at.second:02d}{fraction}Z"


def local(value: Timestamp, zone: tzinfo) -> datetime:
    """The moment's calendar fields (whole seconds)."""
    try:
        return (_EPOCH + timedelta(seconds=value.nano // NANO)).astimezone(zone)
    except OverflowError:
        raise CelError("timestamp overflow") from None


@remembered(maxsize=256)
def zone(name: str) -> tzinfo:
    """A time zone by its name or offset.

    Raises:
        CelError: There is none of that name.
    """
    if match := _ZONE.fullmatch(name):
        minutes = int(match[2]) * 60 + int(match[3])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    try:
        return ZoneInfo(name) if name not in ("", "UTC") else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CelError(f"unknown time zone {name}") from None
