"""Warnings about definitions: formats that nothing checks.

Source: apiextensions-apiserver `pkg/registry/customresourcedefinition/strategy.go`, `pkg/apiserver/validation/formats.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api import codec, goprint
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.kinds.apiextensions.formats import recognized
from sampan.kinds.apiextensions.structural import every_schema


def warnings(new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> list[str]:
    """One for each unknown format that was not in the definition before."""
    before = set(_unknown(old)) if old is not None else set()
    return [f"unrecognized format {goprint.quote(form)}" for form in dict.fromkeys(_unknown(new)) if form not in before]


def _unknown(crd: CustomResourceDefinition) -> Iterator[str]:
    for version in crd.spec.versions or ():
        if version.schema is not None and version.schema.openAPIV3Schema is not None:
            for one in every_schema(codec.to_builtins(version.schema.openAPIV3Schema)):
                form = one.get("format", "")
                if form and not recognized(form, one.get("type", "")):
                    yield form
