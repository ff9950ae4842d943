"""Selectors: syntax, messages, matching, printing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import selectors
from sampan.api.meta.v1 import LabelSelector, LabelSelectorRequirement

WEB = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(("text", "matches"), [
    ("", True), ("app=web", True), ("app==web,tier!=back", True), ("app in (web,db)", True), ("app notin (web)", False),
    ("missing notin (x)", True), ("!missing", True), ("!app", False), ("app", True), ("n>4", True), ("n<5", False), ("app>1", False),
    ("app=web,tier=front", True), ("app=web,tier=back", False), ("missing=", False), ("missing!=x", True),
])
def test_labels_are_matched(text: str, matches: bool) -> None:
    assert selectors.parse_labels(text).matches(WEB) is matches


@pytest.mark.parametrize(("text", "shown"), [
    ("b=1,a", "a,b=1"), ("x in (b,a)", "x in (a,b)"), ("x in ()", "x in ()"), ("x in (,a)", "x in (,a)"), ("in in (in)", "in in (in)"),
    ("a>1", "a>1"), ("!a", "!a"), ("a = b ,c", "a=b,c"),
])
def test_a_selector_prints_as_upstream_prints_it(text: str, shown: str) -> None:
    assert str(selectors.parse_labels(text)) == shown


@pytest.mark.parametrize(("text", "words"), [
    ("x in", "unable to parse requirement: found '' expected: '('"),
    ("a=b,", "found '', expected: identifier after ','"),
    ("=b", "found '=', expected: !, identifier, or 'end of string'"),
    ("a==b c", "found 'c', expected: ',' or 'end of string'"),
    ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
    ("a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"),
])
def test_a_selector_that_can_t_be_read_is_explained_in_upstream_s_words(text: str, words: str) -> None:
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.parse_labels(text)
    assert str(caught.value) == words


def test_a_label_selector_object_selects_alike_as_struct_and_as_dict() -> None:
    # given
    struct = LabelSelector(matchLabels={"app": "web"}, matchExpressions=[LabelSelectorRequirement(key="tier", operator="Exists")])
    plain = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    # then
    assert selectors.of_label_selector(struct) == selectors.of_label_selector(plain)
    assert selectors.of_label_selector(struct).matches(WEB)
    assert selectors.format_selector(struct) == "app=web,tier"
    assert selectors.format_column(LabelSelector()) == "<none>"


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.of_label_selector(None).matches(WEB)
    assert selectors.of_label_selector({}).matches(WEB)


def test_field_selectors_are_unescaped_matched_and_printed() -> None:
    selector = selectors.parse_fields(r"spec.nodeName!=n1,metadata.name=a\,b\=c")
    assert str(selector) == r"metadata.name=a\,b\=c,spec.nodeName!=n1"
    assert selector.exact("metadata.name") == "a,b=c"
    check = selector.compile({"metadata.name": lambda pod: pod.name, "spec.nodeName": lambda pod: pod.node})
    assert check(SimpleNamespace(name="a,b=c", node="n2"))
    assert not check(SimpleNamespace(name="a,b=c", node="n1"))


@pytest.mark.parametrize(("text", "words"), [
    ("spec", "invalid selector: 'spec'; can't understand 'spec'"),
    ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
])
def test_a_bad_field_selector_is_explained(text: str, words: str) -> None:
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.parse_fields(text)
    assert str(caught.value) == words


@given(st.text(alphabet="ab/-.,()=!<> \\in", max_size=30))
def test_what_was_printed_reads_back(text: str) -> None:
    for parse in (selectors.parse_labels, selectors.parse_fields):
        try:
            selector = parse(text)
        except selectors.SelectorError:
            continue
        assert parse(str(selector)) == selector


def test_selectors_of_many_parts_are_not_kept() -> None:
    # given one that is no larger than people write them, and one of a hostile size
    small, large = {"matchLabels": {"app": "kept"}}, {"matchLabels": {f"key-{number}": "x" for number in range(1000)}}
    # when both are asked for again
    kept = selectors.of_label_selector(small) is selectors.of_label_selector(small)
    again = selectors.of_label_selector(large) is selectors.of_label_selector(large)
    # then only the first was remembered, and the second means what it says
    assert (kept, again) == (True, False)
    assert selectors.of_label_selector(large).matches(large["matchLabels"])
    assert not selectors.of_label_selector(large).matches(small["matchLabels"])
    assert selectors.of_set(large["matchLabels"]) is not selectors.of_set(large["matchLabels"])
