"""Names, keys and values: what is good, and the messages about what is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import names

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
KEY = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
UNDERSCORED = re.compile(r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")
REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")


@given(st.text(alphabet="a0-._A,:\n", max_size=8))
def test_the_patterns_that_never_backtrack_agree_with_upstream_s(text: str) -> None:
    assert (not names.dns1123_label(text)) == bool(LABEL.fullmatch(text))
    assert (not names.dns1123_subdomain(text)) == bool(SUBDOMAIN.fullmatch(text))
    assert (not names.label_value(text)) == (not text or bool(KEY.fullmatch(text)))
    assert (not names.qualified_name(text)) == bool(KEY.fullmatch(text))
    assert (not names.dns1123_subdomain_with_underscore(text)) == bool(UNDERSCORED.fullmatch(text))
    assert (not names.condition_reason(text)) == bool(REASON.fullmatch(text))


@pytest.mark.parametrize(("check", "value", "words"), [
    (names.dns1123_label, "a.b", ["must not contain dots"]),
    (names.dns1123_label, "a" * 64, ["must be no more than 63 characters"]),
    (names.label_value, "a" * 64, ["must be no more than 63 bytes"]),
    (names.port_number, 0, ["must be between 1 and 65535, inclusive"]),
    (names.port_name, "-1", ["must contain at least one letter (a-z)", "must not begin or end with a hyphen"]),
    (names.percent, "5", ["a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
                          "regex used for validation is '[0-9]+%')"]),
    (names.config_map_key, "..a", ["must not start with '..'"]),
    (names.path_segment_name, "a/b%", ["may not contain '/'", "may not contain '%'"]),
    (names.qualified_name, "/a", ["prefix part must be non-empty"]),
    (names.relaxed_env_var_name, "a=b",
     ["a valid environment variable name must consist only of printable ASCII characters other than '='"]),
])
def test_what_is_wrong_is_said_in_upstream_s_words(check: object, value: object, words: list[str]) -> None:
    assert list(check(value)) == words  # type: ignore[operator]


@pytest.mark.parametrize(("value", "good"), [
    ("my-name", True), ("a.b-c.d", True), ("a..b", False), ("-a", False), ("a-.b", False), ("a.", False), ("", False), ("A", False),
])
def test_a_subdomain_is_labels_with_dots_between(value: str, good: bool) -> None:
    assert (not names.dns1123_subdomain(value)) is good


def test_a_long_name_is_a_subdomain_in_other_words() -> None:
    assert names.long_name("a.b") == ()
    assert names.long_name("A") == names.dns1123_subdomain("A")
    assert names.long_name("a" * 254) == ("must be no more than 253 bytes",)
