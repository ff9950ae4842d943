"""Findings about selectors."""

from __future__ import annotations

from sampan.api.errors import FieldError
from sampan.api.meta.v1 import LabelSelector, LabelSelectorRequirement
from sampan.kinds.label_selectors import label_selector


def test_every_part_of_a_selector_is_looked_at() -> None:
    errors: list[FieldError] = []
    label_selector(errors, LabelSelector(matchLabels={"a b": "c d"}, matchExpressions=[
        LabelSelectorRequirement(key="x", operator="In"),
        LabelSelectorRequirement(key="x", operator="Exists", values=["1"]),
        LabelSelectorRequirement(key="x", operator="Gt"),
        LabelSelectorRequirement(key="/", operator="In", values=["-"]),
    ]), "s")
    assert [error.field for error in errors] == [
        "s.matchLabels", "s.matchLabels", "s.matchExpressions[0].values", "s.matchExpressions[1].values",
        "s.matchExpressions[2].operator", "s.matchExpressions[3].key", "s.matchExpressions[3].key", "s.matchExpressions[3].key",
        "s.matchExpressions[3].values[0]"]


def test_no_selector_and_the_empty_one_are_fine() -> None:
    errors: list[FieldError] = []
    label_selector(errors, None, "s")
    label_selector(errors, LabelSelector(), "s")
    assert errors == []
