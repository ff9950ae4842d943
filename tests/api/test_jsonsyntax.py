"""Go's words about texts that are not JSON or no times."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import gotime, jsonsyntax


@pytest.mark.parametrize(("text", "words"), [
    ('{"a":1}', ""), ("{", "unexpected end of JSON input"), ("{]", "invalid character ']' looking for beginning of object key string"),
    ('{"a" 1}', "invalid character '1' after object key"), ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
    ("[1 2]", "invalid character '2' after array element"), ("nul", "invalid character ' ' in literal null (expecting 'l')"),
    ("'a'", r"invalid character '\'' looking for beginning of value"), ("01", "invalid character '1' after top-level value"),
    ("-", "invalid character ' ' in numeric literal"), ('"\n"', r"invalid character '\n' in string literal"),
    (r'"\x"', "invalid character 'x' in string escape code"), ("1.e", "invalid character 'e' after decimal point in numeric literal"),
    ("[" * 10_001, "invalid character '[' exceeded max depth"),
])
def test_the_first_error_is_named_as_go_names_it(text: str, words: str) -> None:
    assert jsonsyntax.explain(text.encode()) == words


@given(st.text(alphabet='{}[],:"a1-.e\\ tru', max_size=12))
def test_it_agrees_with_another_parser_about_what_is_json(text: str) -> None:
    try:
        json.loads(text)
        good = True
    except ValueError:
        good = False
    assert (not jsonsyntax.explain(text.encode())) == good


@pytest.mark.parametrize(("text", "words"), [
    ("yesterday", 'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"'),
    ("2026-13-01T00:00:00Z", 'parsing time "2026-13-01T00:00:00Z": month out of range'),
    ("2026-02-30T00:00:00Z", 'parsing time "2026-02-30T00:00:00Z": day out of range'),
    ("2026-01-01T00:00:00Zx", 'parsing time "2026-01-01T00:00:00Zx": extra text: "x"'),
    ("2026-01-01", 'parsing time "2026-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"'),
])
def test_what_is_no_time_is_told_in_go_s_words(text: str, words: str) -> None:
    assert gotime.explain(text) == words
