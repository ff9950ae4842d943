"""Does a custom object fit its schema, and if not, why: in upstream's words.

Owns the keywords of OpenAPI v3 schemas. Patterns are RE2, as Go's: no pattern takes more than linear time.
Leaves lists of unique items to `lists`, CEL rules to `Rules`.
Source: kube-openapi `pkg/validation/{validate,errors}`, apiextensions-apiserver `pkg/apiserver/validation/{validation,ratcheting}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import re2

from sampan.api import field, goprint
from sampan.api.errors import FieldError
from sampan.apiserver.crd.formats import check_of

JsonSchema = Mapping[str, Any]
_NO_OLD: Any = object()


class Rules(Protocol):
    """What judges `x-kubernetes-validations`; made once a schema."""

    def validate(self, obj: Any, old: Any | None, path: str) -> Sequence[FieldError]:
        """Findings about an object, and about its change where `old` is not None."""
        ...


def validate(schema: JsonSchema, obj: Any, path: str = "") -> list[FieldError]:
    """All findings about a new object, the root's path being `path`."""
    return _Check(path).run(schema, obj, _NO_OLD)


def validate_update(schema: JsonSchema, obj: Any, old: Any, path: str = "") -> list[FieldError]:
    """Findings about what the update changed: parts that were wrong and stay as they were are let be."""
    return _Check(path).run(schema, obj, old)


class _Result:
    """What one schema had to say, and how many of its checks went well (to choose among alternatives)."""

    __slots__ = ("errors", "matches")

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self.matches = 0

    def merge(self, other: _Result) -> None:
        self.errors += other.errors
        self.matches += other.matches


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "null"


@lru_cache(maxsize=1024)
def _pattern(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        return str(error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error)


class _Check:
    """One walk over one object."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def run(self, schema: JsonSchema, obj: Any, old: Any) -> list[FieldError]:
        return self.check(schema, obj, old, "").errors

    # -- findings ---------------------------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        name = name.lstrip(".")
        if not self.prefix:
            return name or "<nil>"
        return f"{self.prefix}.{name}" if name else self.prefix

    def invalid(self, name: str, value: Any, words: str) -> FieldError:
        return field.invalid(self.path(name), value, f"{name} in body {words}")

    def general(self, words: str) -> FieldError:
        """A finding that upstream gives no path."""
        return field.invalid(self.prefix or "<nil>", "", words)

    # -- the walk ---------------------------------------------------------------------------------------------------

    def check(self, schema: JsonSchema, value: Any, old: Any, name: str) -> _Result:
        out = _Result()
        if old is not _NO_OLD and value == old:
            return out  # what has not changed is not judged again
        self._type(schema, value, name, out)
        if value is None:
            self._enum(schema, value, name, out)
            return out
        self._combined(schema, value, old, name, out)
        if isinstance(value, str):
            self._string(schema, value, name, out)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._number(schema, value, name, out)
        elif isinstance(value, list):
            self._list(schema, value, old, name, out)
        self._enum(schema, value, name, out)
        if isinstance(value, dict):
            self._object(schema, value, old, name, out)
        out.matches += 1
        return out

    def _type(self, schema: JsonSchema, value: Any, name: str, out: _Result) -> None:
        types = ("integer", "string") if schema.get("x-kubernetes-int-or-string") else (schema["type"],) if schema.get("type") else ()
        kind = _kind(value)
        whole = kind == "number" and float(value).is_integer() and "integer" in types
        fits = not types or kind in types or whole or (kind == "integer" and "number" in types)
        # null is for those who allow it; what has a format is left to its check
        if fits or (value is None and schema.get("nullable")) or (kind == "array" and types == ("string",) and check_of(schema)):
            out.matches += 1
            return
        wanted = ",".join(types)
        out.errors.append(field.type_invalid(self.path(name), kind, f'{name} in body must be of type {wanted}: "{kind}"'))

    def _enum(self, schema: JsonSchema, value: Any, name: str, out: _Result) -> None:
        allowed = schema.get("enum")
        if not allowed or any(type(one) is type(value) and one == value for one in allowed):
            return
        if isinstance(value, int | float) and not isinstance(value, bool) and any(
                isinstance(one, int | float) and not isinstance(one, bool) and one == value for one in allowed):
            return
        shown = [one if isinstance(one, str) else goprint.compact(one) for one in allowed]
        out.errors.append(field.not_supported(self.path(name), value, shown))

    def _string(self, schema: JsonSchema, value: str, name: str, out: _Result) -> None:
        longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
        if longest is not None and len(value) > longest:
            out.errors.append(field.too_long(self.path(name), longest))
        elif shortest is not None and len(value) < shortest:
            out.errors.append(self.invalid(name, value, f"should be at least {shortest} chars long"))
        elif pattern:
            compiled = _pattern(pattern)
            if isinstance(compiled, str):
                out.errors.append(self.invalid(name, value, f"should match '{pattern}, but pattern is invalid: {compiled}'"))
            elif not compiled.search(value):
                out.errors.append(self.invalid(name, value, f"should match '{pattern}'"))
        check = check_of(schema)
        if check is not None and not check(value):
            words = f"{name} in body must be of type {schema['format']}: {goprint.quote(value)}"
            out.errors.append(field.type_invalid(self.path(name), value, words))

    def _number(self, schema: JsonSchema, value: float, name: str, out: _Result) -> None:
        if schema.get("type") == "integer" and schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
            out.errors.append(self.general(f"Checked value must be of type integer with format int32 in {name}"))
        whole = isinstance(value, int)

        def bound(keyword: str) -> Any:
            given = schema.get(keyword)
            return given if given is None or not whole else int(given)

        if (factor := bound("multipleOf")) is not None:
            if factor <= 0:
                words = f"factor MultipleOf declared for {name} must be positive: {goprint.number(factor)}"
                out.errors.append(field.invalid(self.path(name), factor, words))
            elif (value % factor) if whole else not float(value / factor if factor >= 1 else 1 / factor * value).is_integer():
                out.errors.append(self.invalid(name, value, f"should be a multiple of {goprint.number(factor)}"))
        if (most := bound("maximum")) is not None and (value >= most if schema.get("exclusiveMaximum") else value > most):
            words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
            out.errors.append(self.invalid(name, value, f"should be {words} {goprint.number(most)}"))
        if (least := bound("minimum")) is not None and (value <= least if schema.get("exclusiveMinimum") else value < least):
            words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
            out.errors.append(self.invalid(name, value, f"should be {words} {goprint.number(least)}"))

    def _list(self, schema: JsonSchema, value: list[Any], old: Any, name: str, out: _Result) -> None:
        items = schema.get("items")
        if isinstance(items, Mapping):
            before = _correlated(schema, value, old)
            for index, item in enumerate(value):
                out.merge(self.check(items, item, before[index], f"{name}[{index}]"))
        least, most = schema.get("minItems"), schema.get("maxItems")
        if least is not None and len(value) < least:
            out.errors.append(self.invalid(name, len(value), f"should have at least {least} items"))
        if most is not None and len(value) > most:
            out.errors.append(field.too_many(self.path(name), len(value), most))
        if schema.get("uniqueItems") and any(one in value[:index] for index, one in enumerate(value)):
            out.errors.append(self.invalid(name, "", "shouldn't contain duplicates"))

    def _object(self, schema: JsonSchema, value: dict[str, Any], old: Any, name: str, out: _Result) -> None:
        least, most = schema.get("minProperties"), schema.get("maxProperties")
        if least is not None and len(value) < least:
            out.errors.append(self.invalid(name, len(value), f"should have at least {least} properties"))
        if most is not None and len(value) > most:
            out.errors.append(field.too_many(self.path(name), len(value), most))
        properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
        before = old if isinstance(old, dict) else {}
        for key, inner in value.items():
            below = properties.get(key)
            where = f"{name}.{key}" if name or key not in properties else key
            if below is None and isinstance(additional, Mapping):
                below = additional
            elif below is None and additional is False:
                out.errors.append(field.invalid(self.path(name), "", f"{name}.{key} in body is a forbidden property"))
            if below is not None:
                out.merge(self.check(below, inner, before.get(key, _NO_OLD), where))
        out.errors += [field.required(self.path(f"{name}.{key}")) for key in schema.get("required") or () if key not in value]

    # -- allOf, anyOf, oneOf, not -----------------------------------------------------------------------------------

    def _combined(self, schema: JsonSchema, value: Any, old: Any, name: str, out: _Result) -> None:
        quoted = goprint.quote(name)
        if alternatives := schema.get("anyOf"):
            results = [self.check(one, value, old, name) for one in alternatives]
            good = next((one for one in results if not one.errors), None)
            if good is None:
                out.errors.append(self.general(f"{quoted} must validate at least one schema (anyOf)"))
            out.merge(good or max(results, key=lambda one: one.matches))
        if alternatives := schema.get("oneOf"):
            self._one_of([self.check(one, value, old, name) for one in alternatives], quoted, out)
        if parts := schema.get("allOf"):
            results = [self.check(one, value, old, name) for one in parts]
            for one in results:
                out.merge(one)
            failed = sum(bool(one.errors) for one in results)
            if failed:
                none = ". None validated" if failed == len(results) else ""
                out.errors.append(self.general(f"{quoted} must validate all the schemas (allOf){none}"))
        unwanted = schema.get("not")
        if unwanted is not None and not self.check(unwanted, value, _NO_OLD, name).errors:
            out.errors.append(self.general(f"{quoted} must not validate the schema (not)"))
        out.matches += 1

    def _one_of(self, results: list[_Result], quoted: str, out: _Result) -> None:
        good = [one for one in results if not one.errors]
        if len(good) == 1:
            out.merge(good[0])
            return
        found = f"Found {len(good)} valid alternatives" if good else "Found none valid"
        out.errors.append(self.general(f"{quoted} must validate one and only one schema (oneOf). {found}"))
        if not good:
            out.merge(max(results, key=lambda one: one.matches))


def _correlated(schema: JsonSchema, value: list[Any], old: Any) -> list[Any]:
    """For every item what it was before: by its key in maps, by its place where nothing moved, else nothing."""
    nothing = [_NO_OLD] * len(value)
    if not isinstance(old, list):
        return nothing
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if schema.get("x-kubernetes-list-type") == "map":
        def key(item: Any) -> str:
            return goprint.compact([item.get(name) for name in keys]) if isinstance(item, dict) else ""

        before = {key(item): item for item in old}
        return [before.get(key(item), _NO_OLD) for item in value]
    return [*old[:len(value)], *nothing[len(old):]] if schema.get("x-kubernetes-list-type") != "set" else nothing
