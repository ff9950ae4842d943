"""Why a text is not RFC 3339, in the words of Go's `time.Parse`, and Go's durations."""

from __future__ import annotations

import re

from sampan.api.goprint import quote

_LAYOUT = "2006-01-02T15:04:05Z07:00"
_PARTS: tuple[tuple[str, str], ...] = (
    ("2006", "[0-9]{4}"), ("-", "-"), ("01", "[0-9]{2}"), ("-", "-"), ("02", "[0-9]{2}"), ("T", "T"), ("15", "[0-9]{1,2}"), (":", ":"),
    ("04", "[0-9]{2}"), (":", ":"), ("05", r"[0-9]{2}(?:[.,][0-9]+)?"), ("Z07:00", r"Z|[+-][0-9]{2}:[0-9]{2}"),
)
MICROS = "2006-01-02T15:04:05.000000Z07:00"
_MICRO_PARTS = (*_PARTS[:-2], ("05", "[0-9]{2}"), (".000000", "[.,][0-9]{6}"), _PARTS[-1])
_RANGES = {"01": (1, 12, "month"), "15": (0, 23, "hour"), "04": (0, 59, "minute"), "05": (0, 59, "second")}


def explain(text: str, layout: str = _LAYOUT) -> str:
    """Go's error about a text that is no time."""
    prefix = f"parsing time {quote(text)}"
    at = 0
    for element, pattern in _MICRO_PARTS if layout == MICROS else _PARTS:
        match = re.compile(pattern).match(text, at)
        if match is None:
            return f"{prefix} as {quote(layout)}: cannot parse {quote(text[at:])} as {quote(element)}"
        if (limits := _RANGES.get(element)) is not None:
            low, high, name = limits
            if not low <= int(match[0][:2]) <= high:
                return f"{prefix}: {name} out of range"
        at = match.end()
    if at < len(text):
        return f"{prefix}: extra text: {quote(text[at:])}"
    return f"{prefix}: day out of range"


_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_SECONDS = 2**63 / 1e9


def duration(text: str) -> float:
    """Seconds of Go's notation, `1h30m`.

    Raises:
        ValueError: With the words of `time.ParseDuration`.
    """
    wrong = f"time: invalid duration {quote(text)}"
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(wrong)
    total, at = 0.0, 0
    while at < len(rest):
        match = _DURATION_PART.match(rest, at)
        if match is None:
            raise ValueError(wrong)
        number, unit = match.groups()
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _SECONDS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total, at = total + float(number) * _SECONDS[unit], match.end()
        if total > _MOST_SECONDS:
            raise ValueError(wrong)
    return -total if text.startswith("-") else total
