"""CEL rules of a schema: each has to compile, to be of the right type, and not to cost too much.

Source: apiextensions-apiserver `pkg/apis/apiextensions/validation/{validation,cel_validation}.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sampan.api import field
from sampan.api.cel.admission import Compiled
from sampan.api.cel.estimate import MOST, estimate
from sampan.api.cel.rules import Rule, compile_rule
from sampan.api.cel.schemas import REQUEST_MOST, declare
from sampan.api.cel.types import Type
from sampan.api.errors import FieldError

RULES = "x-kubernetes-validations"
EXPRESSION_LIMIT = 10_000_000
TOTAL_LIMIT = 100_000_000
_ADVICE = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
_SHOWN = (("Rule", "rule", ""), ("Message", "message", ""), ("MessageExpression", "messageExpression", ""), ("Reason", "reason", None),
          ("FieldPath", "fieldPath", ""), ("OptionalOldSelf", "optionalOldSelf", None))


class _Level(NamedTuple):
    schema: Mapping[str, Any]
    at: str
    root: bool
    often: int | None
    """How many values of it an object can have; None: only bounded by the size of requests."""
    correlated: bool
    """Whether its values can be found again in the old object."""


def validate_rules(schema: Mapping[str, Any], at: str) -> list[FieldError]:
    """Everything that is wrong with the rules of a structural schema."""
    out: list[FieldError] = []
    total = 0
    for level in _levels(_Level(schema, at, True, 1, True)):
        given = level.schema.get(RULES)
        declared = declare(level.schema, resource=level.root or bool(level.schema.get("x-kubernetes-embedded-resource"))) if given else None
        if not given or declared is None:
            continue
        for index, source in enumerate(given):
            if str(source.get("rule", "")).strip():
                where = f"{level.at}.{RULES}[{index}]"
                rule = compile_rule(source, declared)
                out += _wrong(rule, where, correlated=level.correlated)
                for name, part in (("rule", rule.rule), ("messageExpression", rule.message)):
                    cost = _cost(part, level, declared)
                    total = min(MOST, total + cost)
                    if cost > EXPRESSION_LIMIT:
                        out.append(field.forbidden(f"{where}.{name}", _too_much(f"estimated {name} cost", cost, EXPRESSION_LIMIT)))
    if total > TOTAL_LIMIT:
        out.append(field.forbidden(at, _too_much("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", total, TOTAL_LIMIT)))
    return out


def _levels(level: _Level) -> Iterator[_Level]:
    yield level
    schema, at = level.schema, level.at
    for name, one in (schema.get("properties") or {}).items():
        yield from _levels(_Level(one, f"{at}.properties[{name}]", False, level.often, level.correlated))
    additional, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(additional, Mapping):
        yield from _levels(_Level(additional, f"{at}.additionalProperties", False, _times(level.often, schema.get("maxProperties")), level.correlated))
    if isinstance(items, Mapping):
        correlated = level.correlated and schema.get("x-kubernetes-list-type") == "map"
        yield from _levels(_Level(items, f"{at}.items", False, _times(level.often, schema.get("maxItems")), correlated))


def _times(often: int | None, most: int | None) -> int | None:
    return None if often is None or most is None else min(MOST, often * most)


def _cost(part: Compiled | None, level: _Level, declared: Type) -> int:
    if part is None or part.program is None:
        return 0
    often = level.often if level.often is not None else REQUEST_MOST // ((declared.enough or 2) + 1)
    return min(MOST, estimate(part.program.tree)[1] * often)


def _wrong(rule: Rule, where: str, *, correlated: bool) -> Iterator[FieldError]:
    shown = {name: rule.source.get(key, default) for name, key, default in _SHOWN}
    if rule.rule.problem:
        yield field.invalid(f"{where}.rule", shown, rule.rule.problem)
    if rule.message is not None and rule.message.problem:
        yield field.invalid(f"{where}.messageExpression", shown, rule.message.problem)
    if rule.transition and not correlated:
        yield field.invalid(f"{where}.rule", rule.source.get("rule"), "oldSelf cannot be used on the uncorrelatable portion of the schema")


def _too_much(name: str, cost: int, limit: int) -> str:
    by = cost / limit
    shown = "more than 100x" if by > 100 else f"{by:f}x" if by < 1.5 else f"{by:.1f}x"
    return f"{name} exceeds budget by factor of {shown} {_ADVICE}"
