"""Warnings about definitions."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.kinds.apiextensions.warn import warnings


def definition(*formats: tuple[str, str]) -> CustomResourceDefinition:
    properties: dict[str, Any] = {f"p{index}": {"type": kind, "format": form} for index, (kind, form) in enumerate(formats)}
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": {"type": "object", "properties": properties}}}}
    return codec.convert(CustomResourceDefinition, {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}})


def test_a_format_that_nothing_checks_warns_once() -> None:
    crd = definition(("string", "fancy"), ("string", "fancy"), ("integer", "date"), ("string", "date-time"), ("number", "float"),
                     ("string", "k8s-short-name"))
    assert warnings(crd, None) == ['unrecognized format "fancy"', 'unrecognized format "date"']


def test_a_format_that_was_there_before_does_not_warn_again() -> None:
    assert warnings(definition(("string", "a"), ("string", "b")), definition(("string", "a"))) == ['unrecognized format "b"']
