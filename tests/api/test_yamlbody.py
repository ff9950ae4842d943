"""YAML bodies as JSON."""

from __future__ import annotations

import json

import pytest

from sampan.api import yamlbody


@pytest.mark.parametrize(("text", "value"), [
    ("y", True), ("No", False), ("on", True), ("'yes'", "yes"), ("~", None), ("", None), ("null", None),
    ("0777", 511), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("080", 80), ("80:80", "80:80"), ("1.5", 1.5), ("1e3", 1000), (".5", 0.5),
    ("2001-01-02", "2001-01-02"), ("1.2.3", "1.2.3"), ("-", [None]), ("18446744073709551616", 18446744073709551616.0), ("+1", 1), ("1" * 5000, "1" * 5000), ("1e999", "1e999"),
    ("10Mi", "10Mi"), ("{1: a, true: b, 1.5: c}", {"1": "a", "true": "b", "1.5": "c"}),
    ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
])
def test_scalars_are_what_upstream_takes_them_for(text: str, value: object) -> None:
    assert json.loads(yamlbody.to_json(text.encode()).body) == value


def test_repeated_keys_are_told_of_with_their_lines() -> None:
    body, problems = yamlbody.to_json(b"a: 1\nb: 2\na: 3\n")
    assert json.loads(body) == {"a": 3, "b": 2}
    assert problems == ['yaml: unmarshal errors:\n  line 3: key "a" already set in map']


@pytest.mark.parametrize("text", [
    b"{", b"a: b: c", b"\tx", b"a: &a [*a]", b"a: .inf", b"!!python/object:os.system {}", b"? [a]\n: b", b"\xff\xfe\xfa",
    b"[" * 100_000, b"- " * 50_000 + b"a", b"a:\n" * 3 + b"  *unknown",
])
def test_what_is_no_yaml_is_refused(text: bytes) -> None:
    with pytest.raises(yamlbody.YAMLError):
        yamlbody.to_json(text)


def test_aliases_can_t_unfold_without_bound() -> None:
    # given nine generations, each ten times the one before
    lines = ["a0: &a0 [" + ",".join("x" * 10) + "]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    # then
    with pytest.raises(yamlbody.YAMLError, match="excessive aliasing"):
        yamlbody.to_json("\n".join(lines).encode())


@pytest.mark.parametrize(("text", "why"), [
    (b"{bad", "yaml: line 1: did not find expected ',' or '}'"),
    (b"a: b: c", "yaml: mapping values are not allowed in this context"),
    (b"a: 1\nb: c: d", "yaml: line 2: mapping values are not allowed in this context"),
])
def test_what_is_wrong_is_said_as_go_says_it(text: bytes, why: str) -> None:
    with pytest.raises(yamlbody.YAMLError) as refused:
        yamlbody.to_json(text)
    assert str(refused.value) == why


def test_the_first_document_counts_and_keys_stand_in_order() -> None:
    assert yamlbody.to_json(b"---\nb: {d: 1, c: 2}\na: 3\n---\nx: y\n").body == b'{"a":3,"b":{"c":2,"d":1}}'
