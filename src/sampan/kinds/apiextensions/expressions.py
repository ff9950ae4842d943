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
from sampan.kinds.apiextensions import internal

RULES = "x-kubernetes-validations"
EXPRESSION_LIMIT = 10_000_000
TOTAL_LIMIT = 100_000_000
_DEAREST = 4
_ADVICE = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"


class _Level(NamedTuple):
    schema: Mapping[str, Any]
    at: str
    root: bool
    often: int | None
    """How many values of it an object can have; None: only bounded by the size of requests."""
    lost: str
    """The first level from the root whose values can't be found again in the old object; "" when all can."""


def validate_rules(schema: Mapping[str, Any], at: str) -> list[FieldError]:
    """Everything that is wrong with the rules of a structural schema."""
    out: list[FieldError] = []
    costs: list[tuple[int, str]] = []
    for level in _levels(_Level(schema, at, True, 1, "")):
        given = level.schema.get(RULES)
        declared = declare(level.schema, resource=level.root or bool(level.schema.get("x-kubernetes-embedded-resource"))) if given else None
        if not given or declared is None:
            continue
        for index, source in enumerate(given):
            if str(source.get("rule", "")).strip():
                where = f"{level.at}.{RULES}[{index}]"
                rule = compile_rule(source, declared)
                price = _cost(rule.rule, level, declared), _cost(rule.message, level, declared)
                out += _wrong(rule, where, price, lost=level.lost)
                costs += [(cost, f"{where}.{name}") for cost, name in zip(price, ("rule", "messageExpression"), strict=True)]
    total = min(MOST, sum(cost for cost, _ in costs))
    if total > TOTAL_LIMIT:
        dearest = sorted((one for one in costs if one[0] >= TOTAL_LIMIT // 100), key=lambda one: -one[0])[:_DEAREST]
        out += [field.forbidden(where, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema")
                for _, where in dearest]
        out.append(field.forbidden(at, _too_much("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", total, TOTAL_LIMIT)))
    return out


def _levels(level: _Level) -> Iterator[_Level]:
    """Those below come first, as upstream reports them."""
    schema, at = level.schema, level.at
    additional, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(additional, Mapping):
        yield from _levels(_Level(additional, f"{at}.additionalProperties", False, _times(level.often, schema.get("maxProperties")), level.lost))
    lost = at if schema.get("x-kubernetes-map-type") == "atomic" else ""
    for name, one in (schema.get("properties") or {}).items():
        yield from _levels(_Level(one, f"{at}.properties[{name}]", False, level.often, level.lost or lost))
    if isinstance(items, Mapping):
        lost = "" if schema.get("x-kubernetes-list-type") == "map" else at
        yield from _levels(_Level(items, f"{at}.items", False, _times(level.often, schema.get("maxItems")), level.lost or lost))
    yield level


def _times(often: int | None, most: int | None) -> int | None:
    return None if often is None or most is None else min(MOST, often * most)


def _cost(part: Compiled | None, level: _Level, declared: Type) -> int:
    if part is None or part.program is None:
        return 0
    often = level.often if level.often is not None else REQUEST_MOST // ((declared.enough or 2) + 1)
    return min(MOST, estimate(part.program.tree)[1] * often)


def _wrong(rule: Rule, where: str, price: tuple[int, int], *, lost: str) -> Iterator[FieldError]:
    shown = internal.rule(rule.source)
    if price[0] > EXPRESSION_LIMIT:
        yield field.forbidden(f"{where}.rule", _too_much("estimated rule cost", price[0], EXPRESSION_LIMIT))
    if rule.rule.problem:
        yield field.invalid(f"{where}.rule", shown, "cel expression must evaluate to a bool" if _mistyped(rule.rule) else rule.rule.problem)
    if rule.message is not None and rule.message.problem:
        why = "must evaluate to a string" if _mistyped(rule.message) else rule.message.problem
        yield field.invalid(f"{where}.messageExpression", shown, f"messageExpression {why}")
    elif price[1] > EXPRESSION_LIMIT:
        yield field.forbidden(f"{where}.messageExpression", _too_much("estimated messageExpression cost", price[1], EXPRESSION_LIMIT))
    if rule.uses_old and lost:
        yield field.invalid(f"{where}.rule", rule.source.get("rule"),
                            f"oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}")
    optional = rule.source.get("optionalOldSelf")
    if optional is not None and not (rule.rule.program is not None and rule.uses_old):
        yield field.invalid(f"{where}.optionalOldSelf", optional, "may not be set if oldSelf is not used in rule")


def _mistyped(compiled: Compiled) -> bool:
    return compiled.problem.startswith("must evaluate to ")


def _too_much(name: str, cost: int, limit: int) -> str:
    by = cost / limit
    shown = "more than 100x" if by > 100 else f"{by:f}x" if by < 1.5 else f"{by:.1f}x"
    return f"{name} exceeds budget by factor of {shown} {_ADVICE}"
