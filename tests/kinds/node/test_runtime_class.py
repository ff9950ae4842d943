"""RuntimeClasses."""

from __future__ import annotations

from kinds.core.making import changed, created, findings
from sampan.api.resources import RUNTIME_CLASSES


def test_a_handler_is_a_label_and_overhead_is_not_negative() -> None:
    found = findings(RUNTIME_CLASSES, {"metadata": {"name": "r"}, "handler": "Bad_", "overhead": {"podFixed": {"cpu": "-1"}}})
    assert [text.split(":")[0] for text in found] == ["handler", "overhead.limits[cpu]"]


def test_the_handler_stays() -> None:
    old = created(RUNTIME_CLASSES, {"metadata": {"name": "r"}, "handler": "a"})
    assert changed(RUNTIME_CLASSES, old, {"handler": "b"})[1] == ['handler: Invalid value: "b": field is immutable']
