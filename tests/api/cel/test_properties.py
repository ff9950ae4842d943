"""Properties: arithmetic and comparison agree with Python's, costs stay within estimates, nothing but our errors comes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.api.cel.environment import Environment
from sampan.api.cel.errors import CelError, CompileError, CostExceeded
from sampan.api.cel.estimate import estimate
from sampan.api.cel.types import DYN, INT, STRING, Type, list_of, map_of
from sampan.api.cel.values import equal

NUMBERS = Environment({"a": INT, "b": INT})
TEXT = Type("string", "string", most=20)
SIZED = Environment({"s": TEXT, "l": list_of(TEXT, 8), "n": list_of(INT, 8), "m": map_of(STRING, INT, 8)})
INTS = st.integers(-(2**63), 2**63 - 1)
RULES = ["s == 'abc'", "l.all(x, x.startsWith('a'))", "l.exists(x, x.matches('^a+$'))", "n.map(x, x * 2).sum() > 3", "l.filter(x, x.size() > 2).join(',')",
         "n.all(x, n.exists(y, y >= x))", "s.replace('a', 'bb').contains('bb')", "s + s == s", "n.isSorted() && 3 in n", "l.exists_one(x, x == s)",
         "m.all(k, m[k] > 0)", "l.map(x, x.upperAscii()) == l", "cel.bind(x, l, x.all(y, y != s))", "has(m.a) ? m.a > 1 : n.size() > 2", "s.split(',').size() < 4"]
JSON: Any = st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=3),
                         lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=3), max_leaves=8)
WORDS = st.lists(st.sampled_from(["d", ".", "a", "(", ")", "[", "]", "{", "}", ",", "1", "'a'", "+", "==", "&&", "||", "!", "-", "?", ":", "all", "map", "x", "in", " ", "has",
                                  "size", ".?", "null", "1.5", "true", "b'x'", "2u"]), max_size=14)


@given(INTS, INTS)
def test_integers_compute_as_pythons_or_overflow(a: int, b: int) -> None:
    for sign, wanted in (("+", a + b), ("-", a - b), ("*", a * b)):
        program = NUMBERS.compile(f"a {sign} b")
        if -(2**63) <= wanted < 2**63:
            assert program.evaluate({"a": a, "b": b}) == wanted
        else:
            with pytest.raises(CelError, match="integer overflow"):
                program.evaluate({"a": a, "b": b})


@given(INTS, INTS.filter(bool))
def test_division_and_remainder_belong_together(a: int, b: int) -> None:
    if (a, b) == (-(2**63), -1):
        return
    values = {"a": a, "b": b}
    assert NUMBERS.compile("(a / b) * b + a % b == a").evaluate(values) is True


@given(JSON, JSON)
def test_equality_is_reflexive_and_symmetric(a: Any, b: Any) -> None:
    assert equal(a, a)
    assert equal(a, b) == equal(b, a)


@settings(max_examples=60)
@given(st.text("abc,", max_size=20), st.lists(st.text("abc", max_size=20), max_size=8), st.lists(st.integers(-9, 9), max_size=8),
       st.dictionaries(st.text("abc", max_size=4), st.integers(-9, 9), max_size=8))
def test_no_evaluation_costs_more_than_its_estimate(s: str, texts: list[str], n: list[int], m: dict[str, int]) -> None:
    for rule in RULES:
        program = SIZED.compile(rule)
        _, cost = program.measure({"s": s, "l": texts, "n": n, "m": m})
        assert cost <= estimate(program.tree)[1], rule


@settings(max_examples=400)
@given(WORDS, JSON)
def test_any_text_over_any_value_ends_in_a_value_or_an_error_of_ours(words: list[str], value: Any) -> None:
    try:
        Environment({"d": DYN, "x": DYN}).compile("".join(words)).evaluate({"d": value, "x": 1})
    except (CompileError, CelError, CostExceeded):
        pass
