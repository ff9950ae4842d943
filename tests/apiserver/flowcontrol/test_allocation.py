"""The server's seats are divided by what each level could use, within its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.flowcontrol.allocation import Item, divide

ITEMS = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 100), st.floats(0, 1000)).map(
    lambda numbers: Item(target=numbers[1] + numbers[0], lower=numbers[1], upper=numbers[1] + numbers[2])), min_size=1, max_size=9)


@given(items=ITEMS, part=st.floats(0, 1))
def test_everything_is_given_out_and_every_level_has_its_fair_fraction_or_a_bound(items: list[Item], part: float) -> None:
    low, high = sum(item.lower for item in items), sum(item.upper for item in items)
    total = int(low + (high - low) * part)
    if total < low:
        return
    seats, fraction = divide(total, items)
    if total == 0:
        assert not any(seats)
        return
    assert sum(seats) == pytest.approx(total, abs=1e-3)
    for item, given_seats in zip(items, seats, strict=True):
        assert item.lower - 1e-6 <= given_seats <= item.upper + 1e-6
        fair = fraction * max(item.target, 0.001)
        assert given_seats == pytest.approx(min(max(fair, item.lower), item.upper), abs=1e-3)


def test_a_busy_level_borrows_what_idle_ones_lend() -> None:
    busy, idle = Item(target=300, lower=50, upper=600), Item(target=10, lower=10, upper=600)
    seats, _ = divide(100, [busy, idle])
    assert seats == [pytest.approx(90), pytest.approx(10)]


def test_bounds_without_a_solution_are_refused() -> None:
    for total in (-1, 5, 100):
        with pytest.raises(ValueError, match="can't be divided"):
            divide(total, [Item(10, 10, 20)])
