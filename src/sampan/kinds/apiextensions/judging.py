"""Holds custom objects to the CEL rules of their schema.

Owns the walk along object and schema, what correlates with what in the old object, budgets and words.
Source: apiextensions-apiserver `pkg/apiserver/schema/cel/validation.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sampan.api import field
from sampan.api.cel.environment import PER_CALL_LIMIT, Program
from sampan.api.cel.errors import CelError, CostExceeded
from sampan.api.cel.rules import Rule, compile_rule
from sampan.api.cel.schemas import adapter, declare
from sampan.api.cel.values import NONE, Optional
from sampan.api.errors import FieldError

JsonSchema = Mapping[str, Any]
BUDGET = 10_000_000
MESSAGE_MOST = 5 * 1024
_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
_STEP = re.compile(r"\.([^.\[]+)|\['((?:[^'\\]|\\.)*)'\]")
_ABSENT: Any = object()


class SchemaRules:
    """What judges objects by all rules of a schema."""

    def __init__(self, schema: JsonSchema) -> None:
        self._level = _Level(schema, root=True)

    def validate(self, obj: Any, old: Any | None, path: str) -> Sequence[FieldError]:
        """Findings about an object, and about its change where `old` is not None."""
        run = _Run()
        try:
            run.judge(self._level, obj, _ABSENT if old is None else old, path)
        except _SpentError:
            pass  # the finding is there, and nothing more is looked at
        return run.found


class _SpentError(Exception):
    """The budget is gone."""


class _Level:
    """One level of a schema: its own rules and those below."""

    def __init__(self, schema: JsonSchema, *, root: bool) -> None:
        self.type = str(schema.get("type") or "")
        declared = declare(schema, resource=root)
        given = schema.get("x-kubernetes-validations") or ()
        self.rules = [compile_rule(one, declared) for one in given] if declared is not None else []
        self.adapt = adapter(schema) if self.rules else None
        self.root = root or bool(schema.get("x-kubernetes-embedded-resource"))
        self.properties = {name: level for name, one in (schema.get("properties") or {}).items() if (level := _compile(one))}
        additional = schema.get("additionalProperties")
        self.additional = _compile(additional) if isinstance(additional, Mapping) else None
        items = schema.get("items")
        self.items = _compile(items) if isinstance(items, Mapping) else None
        self.keys: tuple[str, ...] | None = None
        if schema.get("x-kubernetes-list-type") == "map":
            self.keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())

    @property
    def empty(self) -> bool:
        return not (self.rules or self.properties or self.additional or self.items)


def _compile(schema: JsonSchema) -> _Level | None:
    level = _Level(schema, root=False)
    return None if level.empty else level


class _Run:
    """One walk over one object."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []
        self.left = BUDGET

    def judge(self, level: _Level, value: Any, old: Any, path: str) -> None:
        if value is None:
            return
        if level.rules:
            self._rules(level, value, old, path)
        for below, one, before, where in _below(level, value, old, path):
            self.judge(below, one, before, where)

    def _rules(self, level: _Level, value: Any, old: Any, path: str) -> None:
        seen, before = value, None if old is _ABSENT else old
        if level.root and isinstance(value, dict):
            seen, before = _bare(seen), _bare(before)
        if level.adapt is not None:
            seen, before = level.adapt(seen), level.adapt(before)
        unchanged = old is not _ABSENT and old == value
        for rule in level.rules:
            if (rule.transition and before is None) or (unchanged and not rule.transition and not rule.optional):
                continue
            past = (NONE if before is None else Optional(before)) if rule.optional else before
            if error := self._judge(rule, level, {"self": seen, "oldSelf": past}, value, path):
                self.found.append(error)

    def _judge(self, rule: Rule, level: _Level, values: dict[str, Any], value: Any, path: str) -> FieldError | None:
        if rule.rule.program is None:
            return field.invalid(path, level.type, f"rule compile error: {rule.rule.problem}")
        try:
            if self._evaluate(rule.rule.program, values) is True:
                return None
        except CostExceeded as error:
            words = f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.text}"
            self.found.append(field.invalid(path, level.type, words if self.left > 0 else _OUT_OF_BUDGET))
            raise _SpentError from None
        except CelError as error:
            if str(error).startswith("no such overload"):
                return field.invalid(path, level.type, f"'{error}': call arguments did not match a supported operator, function or macro "
                                                       f"signature for rule: {rule.text}")
            return field.invalid(path, level.type, f"{error} evaluating rule: {rule.text}")
        detail = self._message(rule, values) or str(rule.source.get("message") or "").strip() or f"failed rule: {rule.text}"
        return _finding(rule, field_path(path, rule.source.get("fieldPath") or ""), value, detail)

    def _evaluate(self, program: Program, values: dict[str, Any]) -> Any:
        limit = min(PER_CALL_LIMIT, self.left)
        try:
            value, cost = program.measure(values, limit)
        except CostExceeded:
            self.left -= limit
            raise
        self.left -= cost
        return value

    def _message(self, rule: Rule, values: dict[str, Any]) -> str:
        if rule.message is None or rule.message.program is None:
            return ""
        try:
            text = self._evaluate(rule.message.program, values)
        except (CelError, CostExceeded):
            return ""  # the plain message does
        text = text.strip() if isinstance(text, str) else ""
        return "" if len(text) > MESSAGE_MOST or "\n" in text else text


def _finding(rule: Rule, path: str, value: Any, detail: str) -> FieldError:
    match rule.source.get("reason"):
        case "FieldValueForbidden":
            return field.forbidden(path, detail)
        case "FieldValueRequired":
            return field.required(path, detail)
        case "FieldValueDuplicate":
            return field.duplicate(path, value)
    if isinstance(value, dict | list):
        return FieldError("FieldValueInvalid", path, f"Invalid value: {detail}")
    return field.invalid(path, value, detail)


def _bare(obj: Any) -> Any:
    """A whole object as rules see it: of its metadata only the names."""
    if not isinstance(obj, dict) or not isinstance(meta := obj.get("metadata"), dict):
        return obj
    return obj | {"metadata": {key: meta[key] for key in ("name", "generateName") if key in meta}}


def _below(level: _Level, value: Any, old: Any, path: str) -> Iterator[tuple[_Level, Any, Any, str]]:
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, one in value.items():
            if below := level.properties.get(name):
                yield below, one, before.get(name, _ABSENT), f"{path}.{name}" if path else name
            elif level.additional is not None:
                yield level.additional, one, before.get(name, _ABSENT), f"{path}[{name}]"
    elif isinstance(value, list) and level.items is not None:
        known: dict[tuple[Any, ...], Any] = {}
        if level.keys and isinstance(old, list):
            known = {_key(level.keys, one): one for one in old if isinstance(one, dict)}
        for index, one in enumerate(value):
            yield level.items, one, known.get(_key(level.keys, one), _ABSENT) if known and isinstance(one, dict) else _ABSENT, f"{path}[{index}]"


def _key(keys: Sequence[str] | None, item: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(repr(item.get(key)) for key in keys or ())


def field_path(path: str, more: str) -> str:
    """A rule's `fieldPath` behind the path of its level."""
    for match in _STEP.finditer(more):
        name = match[1] or re.sub(r"\\(.)", r"\1", match[2])
        path = (f"{path}.{name}" if path else name) if match[1] else f"{path}[{name}]"
    return path
