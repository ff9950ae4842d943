"""Custom objects against the CEL rules of their schema."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.kinds.apiextensions.rules import rules_for


def _judge(schema: dict[str, Any], obj: Any, old: Any = None) -> list[str]:
    rules = rules_for({"type": "object", "properties": {"spec": schema}})
    assert rules is not None
    return [str(error) for error in rules.validate({"metadata": {"name": "n", "labels": {}}, "spec": obj}, None if old is None else {"spec": old}, "")]


def _rule(text: str, **more: Any) -> list[dict[str, Any]]:
    return [{"rule": text} | more]


def test_a_schema_without_rules_has_no_judge() -> None:
    assert rules_for({"type": "object", "properties": {"a": {"type": "string"}}}) is None


@pytest.mark.parametrize(("schema", "value", "rule"), [
    ({"type": "number"}, 1, "self == 1.0"), ({"type": "string", "format": "date-time"}, "2020-01-01T00:00:00Z", "self.getFullYear() == 2020"),
    ({"type": "string", "format": "duration"}, "1h", "self == duration('60m')"), ({"type": "string", "format": "byte"}, "aGk=", "self == b'hi'"),
    ({"x-kubernetes-int-or-string": True}, "50%", "type(self) == string ? self == '50%' : self == 50"),
    ({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}, ["a", "b"], "self == ['b', 'a']"),
    ({"type": "object", "properties": {"a-b": {"type": "integer"}, "namespace": {"type": "string"}, "x__y": {"type": "string"}}}, {"a-b": 1, "namespace": "n", "x__y": "z"},
     "self.a__dash__b == 1 && self.__namespace__ == 'n' && self.x__underscores__y == 'z'"),
    ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {"any": [1]}, "self.any[0] == 1"),
    ({"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}, {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}},
     "self.kind == 'K' && self.metadata.name == 'n'"),
])
def test_values_have_the_types_of_their_schema(schema: dict[str, Any], value: Any, rule: str) -> None:
    assert _judge(schema | {"x-kubernetes-validations": _rule(rule)}, value) == []


def test_transition_rules_judge_changes_only() -> None:
    schema = {"type": "integer", "x-kubernetes-validations": _rule("self >= oldSelf", message="may only grow")}
    assert _judge(schema, 1) == []
    assert _judge(schema, 1, 2) == ["spec: Invalid value: 1: may only grow"]


def test_items_of_keyed_lists_are_found_again_and_others_are_not() -> None:
    items = {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}, "x-kubernetes-validations": _rule("self.v == oldSelf.v")}
    keyed = {"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    old, new = [{"k": "a", "v": 1}, {"k": "b", "v": 2}], [{"k": "b", "v": 3}, {"k": "c", "v": 4}]
    assert _judge(keyed, new, old) == ["spec[0]: Invalid value: failed rule: self.v == oldSelf.v"]
    assert _judge({"type": "array", "items": items}, new, old) == []


def test_what_stays_wrong_is_let_be() -> None:
    schema = {"type": "integer", "x-kubernetes-validations": _rule("self < 5")}
    assert _judge(schema, 9, 9) == []
    assert _judge(schema, 8, 9) == ["spec: Invalid value: 8: failed rule: self < 5"]


def test_a_rule_that_costs_too_much_ends_the_judging() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
        {"rule": "self.all(a, self.all(b, self.all(c, true)))"}, {"rule": "false"}]}
    found = _judge(schema, list(range(500)))
    assert found == ["spec: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run "
                     "due to call cost exceeds limit for rule: self.all(a, self.all(b, self.all(c, true)))"]


def test_a_message_expression_that_fails_leaves_the_message() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-validations": _rule(
        "false", messageExpression="self.nope", message="plain", fieldPath=".x['a.b']", reason="FieldValueRequired")}
    assert _judge(schema, {"a": "b"}) == ["spec.x[a.b]: Required value: plain"]


def test_a_null_where_a_string_belongs_is_an_error_of_the_rule() -> None:
    schema = {"type": "object", "properties": {"s": {"type": "string", "nullable": True}}, "x-kubernetes-validations": _rule("self.s.startsWith('a')")}
    assert _judge(schema, {"s": None}) == ["spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, "
                                           "function or macro signature for rule: self.s.startsWith('a')"]
