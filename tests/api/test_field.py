"""Findings of validation, word for word."""

from __future__ import annotations

from sampan.api import field
from sampan.api.meta.v1 import LabelSelector


def test_a_path_grows_by_fields_indices_and_keys() -> None:
    containers = field.SPEC / "containers"
    assert containers.index(0) / "name" == "spec.containers[0].name"
    assert field.METADATA.child("annotations").key("a.b/c") == "metadata.annotations[a.b/c]"
    assert field.ROOT / "spec" == "spec"


def test_findings_read_as_upstream_s() -> None:
    said = [
        field.required("a", "why"), field.required("a"), field.invalid("a", 'x"y', "no"), field.invalid("a", 5, "no"),
        field.invalid("a", True), field.invalid("a", None), field.invalid("a", ["x", "<"], "no"), field.invalid("a", LabelSelector(matchLabels={"b": "c"})),
        field.not_supported("a", "x", ["p", "q"]), field.forbidden("a", "no"), field.duplicate("a", "x"), field.not_found("a", "x"),
        field.too_long("a", 1), field.too_many("a", 3, 2), field.too_few("a", 0, 1), field.too_short("a", 3), field.internal("a", "boom"),
    ]
    assert [error.detail for error in said] == [
        "Required value: why", "Required value", 'Invalid value: "x\\"y": no', "Invalid value: 5: no",
        "Invalid value: true", "Invalid value: null", 'Invalid value: ["x","\\u003c"]: no',
        'Invalid value: {"matchLabels":{"b":"c"}}',
        'Unsupported value: "x": supported values: "p", "q"', "Forbidden: no", 'Duplicate value: "x"', 'Not found: "x"',
        "Too long: may not be more than 1 byte", "Too many: 3: must have at most 2 items", "Too few: 0: must have at least 1 item",
        "Too short: must be at least 3 characters", "Internal error: boom",
    ]


def test_an_aggregate_drops_repeats() -> None:
    one = field.required("a")
    assert field.aggregate([one, one]) == "a: Required value"
    assert field.aggregate([one, field.required("b")]) == "[a: Required value, b: Required value]"


def test_maps_within_what_is_shown_are_sorted() -> None:
    selector = LabelSelector(matchLabels={"b": "1", "a": "2"})
    assert str(field.invalid("s", selector)) == 's: Invalid value: {"matchLabels":{"a":"2","b":"1"}}'
    assert str(field.invalid("s", [selector])) == 's: Invalid value: [{"matchLabels":{"a":"2","b":"1"}}]'
