"""The language, as a table: what expressions evaluate to, what they are refused for, what they meet when they run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sampan.api.cel.environment import Environment
from sampan.api.cel.errors import CelError, CompileError
from sampan.api.cel.types import DYN, INT, STRING, list_of, map_of
from sampan.api.cel.values import Duration, Timestamp, UInt

ENV = Environment({"i": INT, "s": STRING, "d": DYN, "l": list_of(INT), "m": map_of(STRING, INT)}, mixed=True)
VALUES: dict[str, Any] = {"i": 5, "s": "abc", "d": {"a": {"b": [1, 2]}, "n": None}, "l": [1, 2, 3], "m": {"x": 1}}

GOOD: list[tuple[str, Any]] = [
    # literals
    ("0x1F", 31), ("-0x10", -16), ("1u", UInt(1)), ("1e3", 1000.0), (".5", 0.5), ("'a\\n\\u00e9\\x41\\101'", "a\néAA"),
    ("r'\\n'", "\\n"), ("'''a\n'b' '''", "a\n'b' "), ("b'\\xff\\303\\277'", b"\xff\xc3\xbf"),
    ("b'é'", "é".encode()), ('"it\'s"', "it's"), ("''", ""), ("null", None), ("[1, 2,]", [1, 2]), ("{'a': 1, 2: 'b'}", {"a": 1, 2: "b"}),
    ("-9223372036854775808", -(2**63)), ("// nothing\n1", 1), ("[]", []), ("{}", {}),
    # operators
    ("1 + 2 * 3 - 4 / 2", 5), ("(1 + 2) * 3", 9), ("-7 / 2", -3), ("-7 % 3", -1), ("7 % -3", 1), ("1.0 / 0.0", math.inf), ("- -1", 1), ("!!true", True),
    ("i > 3 ? 'big' : 'small'", "big"), ("1 < 2 && 2 < 3 || false", True), ("[1] + [2]", [1, 2]), ("b'a' + b'b'", b"ab"),
    ("dyn(1) == dyn(1u) && dyn(1) == dyn(1.0)", True), ("dyn(true) == dyn(1)", False), ("1 < 1.5 && 2u > 1", True), ("[1, [2]] == [1, [2]]", True),
    ("dyn({'a': 1}) == dyn({'a': 1.0})", True), ("'b' > 'a'", True), ("false < true", True),
    ("1 in [1, 2]", True), ("'x' in m", True), ("'y' in m", False), ("dyn(2.0) in [1, 2]", True),
    # errors that another operand makes unimportant
    ("1 / 0 == 0 || true", True), ("true || 1 / 0 == 0", True), ("1 / 0 == 0 && false", False), ("[1, 0].exists(x, 1 / x == 1)", True),
    ("[0, 1].exists(x, 1 / x == 1)", True), ("[0, 1].all(x, 1 / x == 2)", False),
    # fields
    ("d.a.b[1]", 2), ("has(d.a)", True), ("has(d.z)", False), ("has(d.n)", True), ("d['a'].b.size()", 2), ("m.x", 1), ("m['x']", 1), ("l[dyn(1.0)]", 2),
    # macros
    ("l.all(x, x > 0)", True), ("l.exists(x, x == 2)", True), ("l.exists_one(x, x > 2)", True), ("l.map(x, x * 2)", [2, 4, 6]),
    ("l.map(x, x > 1, x * 2)", [4, 6]), ("l.filter(x, x != 2)", [1, 3]), ("m.all(k, k == 'x')", True), ("m.map(k, m[k])", [1]),
    ("m.all(k, v, k == 'x' && v == 1)", True), ("l.exists(i, v, i == 2 && v == 3)", True), ("l.transformList(i, v, i + v)", [1, 3, 5]),
    ("l.transformMap(i, v, v > 1, v * v)", {1: 4, 2: 9}), ("m.transformMapEntry(k, v, {v: k})", {1: "x"}),
    ("l.map(x, l.filter(y, y < x).size())", [0, 1, 2]), ("cel.bind(x, i * 2, x + x)", 20), ("l.all(i, i < 4) && i == 5", True),
    # optionals
    ("d.?a.?b[?9].hasValue()", False), ("d.?a.?b[?1].orValue(0)", 2), ("d.?z.y.orValue(7)", 7), ("m[?'x'].value()", 1), ("optional.none().or(optional.of(2)).value()", 2),
    ("optional.ofNonZeroValue(0).hasValue()", False), ("d.?a.optMap(x, x.b.size()).value()", 2), ("optional.of(1).optFlatMap(x, optional.of(x + 1)).value()", 2),
    ("[?m[?'x'], ?m[?'y']]", [1]), ("{?'a': m[?'x'], ?'b': m[?'y']}", {"a": 1}), ("has(d.?a.b)", True), ("optional.of(1) == optional.of(1)", True),
    # conversions
    ("int('-5')", -5), ("int(3.9)", 3), ("uint('7')", UInt(7)), ("double('1.5')", 1.5), ("string(1.0)", "1"), ("string(1e21)", "1e+21"), ("string(true)", "true"),
    ("string(b'abc')", "abc"), ("bytes('é').size()", 2), ("bool('true')", True), ("type(1) == int", True), ("type([]) == list", True), ("type(type(1)) == type", True),
    ("int(timestamp('1970-01-01T00:01:00Z'))", 60), ("string(duration('90m1.5s'))", "5401.5s"), ("string(timestamp('2020-01-01T01:00:00+01:00'))", "2020-01-01T00:00:00Z"),
    # times
    ("timestamp('2023-10-01T00:00:00Z') - duration('1h') < timestamp('2023-10-01T00:00:00Z')", True), ("duration('1h').getMinutes()", 60),
    ("timestamp('2023-12-25T00:00:00.5Z').getMilliseconds()", 500), ("timestamp('2023-12-25T23:30:00Z').getDate('+01:00')", 26),
    ("timestamp('2023-12-25T00:00:00Z').getDayOfWeek()", 1), ("timestamp('2023-07-01T12:00:00Z').getHours('Europe/Berlin')", 14),
    ("timestamp('2020-01-01T00:00:01Z') - timestamp('2020-01-01T00:00:00Z')", Duration(10**9)), ("timestamp(0)", Timestamp(0)),
    # texts
    ("'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo')", True), ("'foobar'.matches('o+b')", True), ("size('🐱')", 1),
]


@pytest.mark.parametrize(("text", "wanted"), GOOD, ids=[text for text, _ in GOOD])
def test_an_expression_has_the_value_that_the_language_gives_it(text: str, wanted: Any) -> None:
    found = ENV.compile(text).evaluate(VALUES)
    assert found == wanted
    assert type(found) is type(wanted)


REFUSED = [
    ("object.", "ERROR: <input>:1:8: Syntax error: no viable alternative at input '.'\n | object.\n | .......^"),
    ("x", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^"),
    ("i.foo", "ERROR: <input>:1:2: type 'int' does not support field selection\n | i.foo\n | .^"),
    ("i == 'x'", "ERROR: <input>:1:3: found no matching overload for '_==_' applied to '(int, string)'\n | i == 'x'\n | ..^"),
    ("s.size(1)", "ERROR: <input>:1:7: found no matching overload for 'size' applied to 'string.(int)'\n | s.size(1)\n | ......^"),
    ("i.all(x, true)", "ERROR: <input>:1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | i.all(x, true)\n | ^"),
    ("1\n + x", "ERROR: <input>:2:4: undeclared reference to 'x' (in container '')\n |  + x\n | ...^"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_a_wrong_expression_is_refused_in_upstreams_words(text: str, words: str) -> None:
    with pytest.raises(CompileError) as caught:
        ENV.compile(text)
    assert str(caught.value) == words


BROKEN = ["1 +", "(1", "[1", "{1:2", "'abc", "1 2", "a b", "@", "1 ? 2", "has(i)", "f(", "9223372036854775808", "18446744073709551616u", "'\\q'", "if", "l.map(1, 2)",
          "{'a': }", ".", "d.", "d[", "'\\ud800'", "l.all(x.y, true)", "1..2", "!", "--", "in", "d.in", "cel.bind(1, 2, 3)", "\0", "'\\400'"]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_texts_are_compile_errors(text: str) -> None:
    with pytest.raises(CompileError):
        ENV.compile(text)


FAILING = [
    ("9223372036854775807 + i", "integer overflow"), ("-(-9223372036854775807 - 1)", "integer overflow"), ("0u - 1u", "unsigned integer overflow"),
    ("i / 0", "division by zero"), ("i % 0", "modulus by zero"), ("l[3]", "index out of bounds: 3"), ("m.y", "no such key: y"), ("m['y']", "no such key: y"),
    ("d.a.c", "no such key: c"), ("d.a.b.c", "no such overload"), ("d.n.x", "no such overload"), ("d.a + 1 == 2", "no such overload"), ("d.a && true", "no such overload"),
    ("int('x')", "type conversion error from 'string' to 'int'"), ("int(1e30)", "integer overflow"), ("uint(-1)", "unsigned integer overflow"),
    ("optional.none().value()", "optional.none() dereference"), ("{'a': 1, 'a': 2}", "Failed with repeated key: a"), ("timestamp('x') == timestamp(0)", None),
    ("duration('1x') == duration('1s')", None), ("s.matches('(')", None), ("timestamp('9999-12-31T23:59:59Z') + duration('1h') == timestamp(0)", "timestamp overflow"),
    ("string(b'\\xff')", None), ("timestamp(0).getHours('Nowhere/None')", None),
]


@pytest.mark.parametrize(("text", "words"), FAILING, ids=[text for text, _ in FAILING])
def test_an_evaluation_error_says_what_happened(text: str, words: str | None) -> None:
    with pytest.raises(CelError) as caught:
        ENV.compile(text).evaluate(VALUES)
    assert words is None or str(caught.value) == words


def test_kubernetes_literals_have_items_of_one_type() -> None:
    with pytest.raises(CompileError, match="expected type 'int' but found 'string'"):
        Environment({}).compile("[1, 'a']")
    assert Environment({}).compile("'%d %s'.format([1, 'a'])").evaluate({}) == "1 a"


def test_a_program_is_compiled_once_and_shared() -> None:
    assert ENV.compile("i + 1") is ENV.compile("i + 1")


WANTED = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"


@pytest.mark.parametrize(("text", "told"), [
    ("é", ["1:1: Syntax error: token recognition error at: 'é'", f"1:2: Syntax error: mismatched input '<EOF>' expecting {WANTED}"]),
    ("'abc", ["1:1: Syntax error: token recognition error at: ''abc'", f"1:5: Syntax error: mismatched input '<EOF>' expecting {WANTED}"]),
    ("'a\\q'", ["1:1: Syntax error: token recognition error at: ''a\\q'", "1:5: Syntax error: token recognition error at: '''",
                f"1:6: Syntax error: mismatched input '<EOF>' expecting {WANTED}"]),
    ("a § b", ["1:3: Syntax error: token recognition error at: '§'", "1:5: Syntax error: extraneous input 'b' expecting <EOF>"]),
    ("1 + #1", ["1:5: Syntax error: token recognition error at: '#'"]),
    ("(1", ["1:3: Syntax error: missing ')' at '<EOF>'"]),
    ("[1,2", ["1:5: Syntax error: mismatched input '<EOF>' expecting {']', ','}"]),
    ("{'a':1", ["1:7: Syntax error: mismatched input '<EOF>' expecting {'}', ','}"]),
    ("f(", [f"1:3: Syntax error: mismatched input '<EOF>' expecting {WANTED.replace(chr(39) + '.' + chr(39), chr(39) + ')' + chr(39) + ', ' + chr(39) + '.' + chr(39))}"]),
    ("[1].map(2, 3)", ["1:9: argument is not an identifier"]),
    ("[1].all(2, true)", ["1:9: argument must be a simple name"]),
    ("null + 1", ["1:6: found no matching overload for '_+_' applied to '(null, int)'"]),
])
def test_what_is_wrong_with_a_text_is_told_in_upstreams_words(text: str, told: list[str]) -> None:
    with pytest.raises(CompileError) as caught:
        Environment({}).compile(text)
    assert [line.removeprefix("ERROR: <input>:") for line in str(caught.value).split("\n") if line.startswith("ERROR")] == told
