"""Sets of completion indexes as text: "1,3-5,7".

Source: kubernetes `pkg/controller/job/indexed_job_utils.go`, `pkg/apis/batch/validation/validation.go`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]


def parse(text: str, completions: int) -> list[Interval]:
    """Closed intervals in rising order; what lies at or above `completions` is dropped.

    Raises:
        ValueError: The text is no such set.
    """
    return [(first, min(last, completions - 1)) for first, last in _intervals(text) if first < completions]


def count(intervals: Iterable[Interval]) -> int:
    """How many indexes."""
    return sum(last - first + 1 for first, last in intervals)


def among(intervals: Sequence[Interval], indexes: Iterable[int]) -> int:
    """How many of `indexes` lie in the intervals, which rise; costs nothing by the width of these."""
    firsts = [first for first, _ in intervals]
    return sum(1 for index in indexes if (at := bisect_right(firsts, index)) and index <= intervals[at - 1][1])


def each(intervals: Iterable[Interval]) -> Iterator[int]:
    """Every index, rising."""
    for first, last in intervals:
        yield from range(first, last + 1)


def render(indexes: Iterable[int]) -> str:
    """Text of a set of indexes: two in a row are listed, more become a range."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(set(indexes)), -1]:
        if run and index != run[-1] + 1:
            parts += [str(run[0])] if len(run) == 1 else [f"{run[0]}{',' if len(run) == 2 else '-'}{run[-1]}"]
            run = []
        run.append(index)
    return ",".join(parts)


def check(text: str, completions: int) -> int:
    """How many indexes the text names, all of them below `completions`.

    Raises:
        ValueError: In upstream's words.
    """
    total = 0
    for first, last in _intervals(text):
        for index in (first, last):
            if index >= completions:
                raise ValueError(f'too large index: "{index}"')
        total += last - first + 1
    return total


def overlap(one: str, other: str, completions: int) -> int | None:
    """The lowest index that both texts name; parts that can't be read are passed over (`check` tells of them)."""
    firsts = [max(a[0], b[0]) for a in _readable(one, completions) for b in _readable(other, completions)
              if a[0] <= b[1] and b[0] <= a[1]] if one and other else []
    return min(firsts, default=None)


def _readable(text: str, completions: int) -> list[Interval]:
    out: list[Interval] = []
    for part in text.split(","):
        try:
            check(part, completions)
            out += _intervals(part)
        except ValueError:
            continue
    return out


def _intervals(text: str) -> Iterator[Interval]:
    before = -1
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2:
            raise ValueError(f'the fragment "{part}" violates the requirement that an index interval can have at most two parts '
                             "separated by '-'")
        numbers = [_number(end) for end in ends]
        first, last = numbers[0], numbers[-1]
        if first <= before:
            raise ValueError(f"non-increasing order, previous: {before}, current: {first}")
        if len(numbers) == 2 and last <= first:
            raise ValueError(f"non-increasing order, previous: {first}, current: {last}")
        yield first, last
        before = last


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 10:
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    return int(text)
