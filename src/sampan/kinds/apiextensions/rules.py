"""Whether a schema has CEL rules; what judges by them is imported with the first schema that has some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.kinds.apiextensions.values import Rules

RULES = "x-kubernetes-validations"


def rules_for(schema: Mapping[str, Any]) -> Rules | None:
    """What judges objects by the rules of a schema, None if it has none."""
    if not _has_rules(schema):
        return None
    from sampan.kinds.apiextensions.judging import SchemaRules  # the language takes a while to import
    return SchemaRules(schema)


def _has_rules(schema: Mapping[str, Any]) -> bool:
    below = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return bool(schema.get(RULES)) or any(_has_rules(one) for one in below if isinstance(one, Mapping))
