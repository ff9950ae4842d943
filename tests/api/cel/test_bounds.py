"""Nothing that an expression or its values can be takes long: long texts, deep trees, regular expressions, loops in loops."""

from __future__ import annotations

import pytest

from sampan.api.cel.environment import Environment
from sampan.api.cel.errors import CelError, CompileError, CostExceeded
from sampan.api.cel.types import DYN, list_of

ENV = Environment({"d": DYN, "l": list_of(DYN)})


def test_a_text_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(CompileError, match="expression code point size exceeds limit: size: 300000000, limit 100000"):
        ENV.compile("1+" * 150_000_000)


@pytest.mark.parametrize("text", ["(" * 10_000 + "1" + ")" * 10_000, "[" * 10_000 + "]" * 10_000, "-" * 10_000 + "d", "!" * 9999 + "d", "1" + "+1" * 10_000,
                                  "d" + ".a" * 10_000, "d" + "[0]" * 10_000, "true ? " * 9000 + "1" + " : 1" * 9000, "{1:" * 10_000, "f(" * 10_000,
                                  "d.map(x, " * 5000 + "1" + ")" * 5000])
def test_a_tree_that_is_too_deep_is_refused_or_folded(text: str) -> None:
    words = ""
    try:
        ENV.compile(text)
    except CompileError as error:
        words = str(error)
    assert not words or any(one in words for one in ("recursion", "Syntax error", "overload"))


def test_the_deepest_tree_that_compiles_can_be_evaluated() -> None:
    assert ENV.compile("(" * 200 + "1" + ")" * 200).evaluate({"d": None, "l": []}) == 1
    assert ENV.compile("1" + "+1" * 200).evaluate({"d": None, "l": []}) == 201


def test_a_long_chain_of_conditions_is_one_level() -> None:
    assert ENV.compile(" && ".join(["true"] * 10_000)).evaluate({"d": None, "l": []}) is True


def test_a_regular_expression_cannot_run_away() -> None:
    program = ENV.compile("d.matches('^(a+)+$') || d.matches('(a*)*b')")
    assert program.evaluate({"d": "a" * 100_000 + "!", "l": []}) is False


@pytest.mark.parametrize(("length", "fits"), [(50_000, True), (3_000_000, False)])
def test_each_match_of_a_regular_expression_is_paid_for(length: int, *, fits: bool) -> None:
    program, values = ENV.compile("d.findAll('a').size() > 0"), {"d": "a" * length, "l": []}
    if fits:
        assert program.evaluate(values) is True
    else:
        with pytest.raises(CostExceeded):
            program.evaluate(values)


@pytest.mark.parametrize("text", ["[l].flatten()", "l.slice(0, l.size())", "lists.range(l.size())", "l.slice(0, 400).distinct()", "l.slice(0, 400).sort()"])
def test_functions_of_lists_cost_as_much_as_they_make(text: str) -> None:
    _, cost = ENV.compile(text).measure({"d": None, "l": list(range(100_000))})
    assert cost > 100_000


def test_a_regular_expression_that_grows_too_large_is_an_error() -> None:
    with pytest.raises(CelError):
        ENV.compile("d.matches('((((a{100}){100}){100}){100}){100}')").evaluate({"d": "a", "l": []})


def test_loops_in_loops_spend_the_budget_and_stop() -> None:
    deep = "l.all(a, l.all(b, l.all(c, l.all(e, l.all(f, l.all(g, true))))))"
    with pytest.raises(CostExceeded, match="operation cancelled: actual cost limit exceeded"):
        ENV.compile(deep).evaluate({"d": None, "l": list(range(1000))})


def test_the_budget_cannot_be_absorbed() -> None:
    with pytest.raises(CostExceeded):
        ENV.compile("l.exists(a, l.all(b, l.all(c, true))) || true").evaluate({"d": None, "l": list(range(1000))})


@pytest.mark.parametrize("text", ["d + d == ''", "d.contains(d)", "d.replace('a', d)", "d.split('').join(d)", "d.matches(d)", "d.lowerAscii() == ''", "d == d + 'x'"])
def test_a_huge_string_costs_too_much_before_it_is_worked_on(text: str) -> None:
    with pytest.raises((CostExceeded, CelError)):
        ENV.compile(text).evaluate({"d": "a" * (1 << 26), "l": []})


def test_a_string_that_doubles_itself_stops() -> None:
    text = "cel.bind(a, d + d, " * 60 + "a" + ")" * 60
    doubling = "'x'"
    for _ in range(60):
        doubling = f"cel.bind(a, {doubling}, a + a)"
    with pytest.raises(CostExceeded):
        ENV.compile(doubling).evaluate({"d": "x", "l": []})
    assert ENV.compile(text).evaluate({"d": "x", "l": []}) == "xx"


def test_values_that_are_nested_deep_are_an_error_not_a_crash() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    other: list[object] = []
    for _ in range(100_000):
        other = [other]
    with pytest.raises(CelError):
        ENV.compile("d == l").evaluate({"d": deep, "l": other})
    while deep:  # taken apart by hand: the interpreter would recurse
        deep, other = deep[0], other[0]  # type: ignore[assignment]
