"""Rules of CRDs when they are written: do they compile, are they of the right type, do they cost too much?"""

from __future__ import annotations

from typing import Any

from sampan.kinds.apiextensions.expressions import validate_rules

ADVICE = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"


def _findings(schema: dict[str, Any], *rules: dict[str, Any]) -> list[str]:
    whole = {"type": "object", "properties": {"spec": schema | {"x-kubernetes-validations": list(rules)}}}
    return [f"{error.field}: {error.detail}" for error in validate_rules(whole, "s")]


def test_a_good_rule_has_no_findings() -> None:
    assert _findings({"type": "integer"}, {"rule": "self > 0 || oldSelf > 0"}) == []


def test_a_rule_that_does_not_compile_is_shown_with_its_error() -> None:
    found, = _findings({"type": "integer"}, {"rule": "self.x"})
    assert found.startswith('s.properties[spec].x-kubernetes-validations[0].rule: Invalid value: {')
    assert found.endswith("compilation failed: ERROR: <input>:1:5: type 'int' does not support field selection\n | self.x\n | ....^")


def test_rules_are_bools_and_messages_strings() -> None:
    found = _findings({"type": "integer"}, {"rule": "self", "messageExpression": "self"})
    assert [text.rpartition("}: ")[2] for text in found] == [
        "cel expression must evaluate to a bool", "messageExpression must evaluate to a string"]


def test_old_values_are_not_found_again_in_plain_lists() -> None:
    found = _findings({"type": "array", "maxItems": 2, "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}})
    assert found == ["s.properties[spec].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": "
                     "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[spec]"]


def test_a_rule_over_unbounded_lists_costs_too_much_until_they_are_bounded() -> None:
    rule = {"rule": "self.all(x, self.exists(y, y == x))"}
    found, *_ = _findings({"type": "array", "items": {"type": "string"}}, rule)
    assert found == f"s.properties[spec].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {ADVICE}"
    assert _findings({"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 50}}, rule) == []


def test_many_cheap_rules_together_cost_too_much() -> None:
    schema = {"type": "array", "maxItems": 1000, "items": {"type": "array", "maxItems": 1000, "items": {
        "type": "integer", "x-kubernetes-validations": [{"rule": "self > 0"}] * 60}}}
    *dearest, found = _findings(schema)
    assert len(dearest) == 4
    assert dearest[0] == ("s.properties[spec].items.items.x-kubernetes-validations[0].rule: Forbidden: "
                          "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema")
    assert found == f"s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of 1.200000x {ADVICE}"


def test_old_values_are_not_found_again_below_atomic_maps() -> None:
    rule = {"rule": "self == oldSelf"}
    found, = _findings({"type": "object", "x-kubernetes-map-type": "atomic",
                        "properties": {"a": {"type": "integer", "x-kubernetes-validations": [rule]}}})
    assert found.endswith("uncorrelatable portion of the schema within s.properties[spec]")


def test_an_optional_old_value_has_to_be_used() -> None:
    assert _findings({"type": "integer"}, {"rule": "self > 0", "optionalOldSelf": True}) == [
        "s.properties[spec].x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"]
    assert _findings({"type": "integer"}, {"rule": "oldSelf.hasValue() || self > 0", "optionalOldSelf": True}) == []
