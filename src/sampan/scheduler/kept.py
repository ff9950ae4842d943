"""Columns derived from what is on the rows, kept: between two decisions few rows change, and only those are computed anew.

Owns how long a column holds. Leaves what is in it to those who ask for it: `made` must follow from the rows alone, that is from
what `Snapshot.touched_since` tells of, and from the key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from sampan.scheduler.snapshot import Rows, Snapshot

MOST_KEPT = 32  # of a kind: pods of few shapes come one after the other


def kept(snapshot: Snapshot, what: str, key: Hashable, made: Callable[[Rows], Any]) -> Any:
    """`made(every row)`, an array whose last axis is the rows; shared and kept current in place, so read-only and good until the next change."""
    tables: dict[Hashable, tuple[int, Any]] = snapshot.memory.setdefault(what, {})
    known = tables.pop(key, None)
    rows = snapshot.touched_since(known[0]) if known is not None else None
    if known is None or rows is None:
        table = made(slice(None))
    else:
        table = known[1]
        if rows:
            some = these(rows)
            table[..., some] = made(some)
    tables[key] = (snapshot.moment, table)  # the last are those that were used last
    if len(tables) > MOST_KEPT:
        del tables[next(iter(tables))]
    return table


def these(rows: list[int]) -> Rows:
    """The rows, each once; a single one, which is most often all that has changed, as a slice: numpy copies nothing then."""
    first = rows[0]
    if len(rows) == 1 or rows.count(first) == len(rows):
        return slice(first, first + 1)
    return list(dict.fromkeys(rows))
