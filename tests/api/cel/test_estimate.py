"""Costs told beforehand, against the figures that upstream's estimator gives."""

from __future__ import annotations

import pytest

from sampan.api.cel.environment import Environment
from sampan.api.cel.estimate import MOST, estimate
from sampan.api.cel.schemas import declare

SCHEMA = {"type": "object", "properties": {
    "n": {"type": "integer"}, "s": {"type": "string", "maxLength": 10}, "free": {"type": "string"},
    "l": {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 10}},
    "m": {"type": "object", "maxProperties": 4, "additionalProperties": {"type": "integer"}},
}}
DECLARED = declare(SCHEMA)


def _cost(text: str) -> tuple[int, int]:
    assert DECLARED is not None
    return estimate(Environment({"self": DECLARED}).compile(text).tree)


@pytest.mark.parametrize(("text", "wanted"), [
    ("true", (0, 0)), ("self.n", (2, 2)), ("self.n > 0", (3, 3)), ("has(self.n)", (2, 2)), ("self.s == 'abc'", (3, 3)), ("[1, 2]", (10, 10)), ("{'a': 1}", (30, 30)),
    ("self.n > 0 && self.n < 5", (3, 6)), ("self.s.startsWith('abc')", (3, 3)), ("self.s.matches('abcdefgh')", (4, 6)), ("self.l.all(x, x == 'a')", (3, 3 + 5 * 5)),
    ("self.l.size() < 5", (4, 4)), ("'a' in self.l", (2, 7)), ("self.m.all(k, true)", (3, 15)),
])
def test_the_estimate_is_upstreams(text: str, wanted: tuple[int, int]) -> None:
    assert _cost(text) == wanted


def test_what_has_no_maximum_is_bounded_by_the_largest_request() -> None:
    assert _cost("self.free == self.free")[1] == 4 + -(-(3 * 1024 * 1024 - 2) // 10)


def test_an_unbounded_loop_in_a_loop_stays_within_the_largest_number() -> None:
    schema = {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}
    declared = declare(schema)
    assert declared is not None
    cost = estimate(Environment({"self": declared}).compile("self.all(x, x.all(y, y.matches('a+') && self.all(z, z.all(w, w == y))))").tree)
    assert 10_000_000 < cost[1] <= MOST
