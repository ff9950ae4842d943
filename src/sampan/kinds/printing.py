"""Text for Table cells: durations, ages, lists, in the words of upstream's printers.

Source: apimachinery `pkg/util/duration`, kubernetes `pkg/printers/internalversion/printers.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sampan.api.scalars import MicroTime, Time

UNKNOWN = "<unknown>"
NONE = "<none>"


def human_duration(seconds: float) -> str:
    """`HumanDuration`: 119s, 2m, 9m30s, 5h10m, 47h, 3d, 2y10d; `<invalid>` when clearly negative."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(hours // 24, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        return _two(hours // 24 // 365, "y", hours // 24 % 365, "d")
    return f"{hours // 24 // 365}y"


def _two(major: int, unit: str, minor: int, small: str) -> str:
    return f"{major}{unit}{minor}{small}" if minor else f"{major}{unit}"


def since(moment: Time | MicroTime | None, now: datetime) -> str:
    """How long ago that was; `<unknown>` when it is not set."""
    if not moment:
        return UNKNOWN
    return human_duration((now - datetime.fromisoformat(moment)).total_seconds())


def age(obj: Any, now: datetime) -> str:
    """The Age column: since the object's creation."""
    return since(obj.metadata.creationTimestamp, now)


def until(moment: Time | None, now: datetime) -> str:
    """How long it is until then; `<unknown>` when it is not set."""
    if not moment:
        return UNKNOWN
    return human_duration((datetime.fromisoformat(moment) - now).total_seconds())


def utc(now: datetime) -> datetime:
    """`now` in UTC, which RFC 3339 texts of the wire are in."""
    return now.astimezone(UTC)


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=1,b=2` in the order of keys, `<none>` when there is none (`labels.FormatLabels`)."""
    if not labels:
        return NONE
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels))


def joined(values: Iterable[str]) -> str:
    """Comma-separated, `<none>` when there is none."""
    return ",".join(values) or NONE


def first_few(values: Sequence[str], most: int) -> str:
    """Comma-separated up to `most`, then `...`: `a,b + 3 more...`."""
    if len(values) <= most:
        return ",".join(values)
    return f"{','.join(values[:most])} + {len(values) - most} more..."


def container_names(containers: Iterable[Any] | None) -> str:
    """The CONTAINERS column."""
    return ",".join(container.name for container in containers or ())


def container_images(containers: Iterable[Any] | None) -> str:
    """The IMAGES column."""
    return ",".join(container.image for container in containers or ())
