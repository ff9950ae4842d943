"""Schemas as upstream's messages show them."""

from __future__ import annotations

from sampan.kinds.apiextensions import internal


def test_a_schema_is_shown_with_all_that_is_not_set() -> None:
    shown = internal.schema({"type": "object", "maxProperties": 3})
    assert list(shown)[:5] == ["ID", "Schema", "Ref", "Description", "Type"]
    assert {name: value for name, value in shown.items() if value not in (None, "", False)} == {"Type": "object", "MaxProperties": 3}
    assert list(shown)[-2:] == ["XMapType", "XValidations"]


def test_what_is_in_it_is_shown_so_too() -> None:
    shown = internal.schema({
        "properties": {"b": {"type": "string"}, "a": {"items": {"type": "string"}}}, "additionalProperties": True,
        "anyOf": [{"format": "date"}], "externalDocs": {"url": "u"}, "x-kubernetes-validations": [{"rule": "self > 1"}]})
    assert list(shown["Properties"]) == ["a", "b"]
    assert shown["Properties"]["a"]["Items"]["Schema"]["Type"] == "string"
    assert shown["AdditionalProperties"] == {"Allows": True, "Schema": None}
    assert shown["AnyOf"][0]["Format"] == "date"
    assert shown["ExternalDocs"] == {"Description": "", "URL": "u"}
    assert shown["XValidations"] == [{"Rule": "self > 1", "Message": "", "MessageExpression": "", "Reason": None, "FieldPath": "",
                                      "OptionalOldSelf": None}]
