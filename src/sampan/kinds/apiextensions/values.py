"""Does a custom object fit its schema, and if not, why: in upstream's words.

Owns the keywords of OpenAPI v3 schemas. Patterns are RE2, as Go's: no pattern takes more than linear time.
Leaves lists of unique items to `lists`, CEL rules to `Rules`.
Source: kube-openapi `pkg/validation/{validate,errors}`, apiextensions-apiserver `pkg/apiserver/validation/{validation,ratcheting}.go`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import re2

from sampan.api import field, goprint
from sampan.api.errors import FieldError
from sampan.kinds.apiextensions.formats import check_of, known_format
from sampan.lib.memo import remembered

JsonSchema = Mapping[str, Any]
_INT32 = -(2**31), 2**31
_FORMS = {"integer": "int64", "number": "float64"}
_MAX_FLOAT32 = 3.4028235677973366e38


class Rules(Protocol):
    """What judges `x-kubernetes-validations`; made once a schema."""

    def validate(self, obj: Any, old: Any | None, path: str) -> Sequence[FieldError]:
        """Findings about an object, and about its change where `old` is not None."""
        ...


def validate(schema: JsonSchema, obj: Any, path: str = "") -> list[FieldError]:
    """All findings about a new object, the root's path being `path`."""
    return _Check(path).run(schema, obj, None)


def validate_update(schema: JsonSchema, obj: Any, old: Any, path: str = "") -> list[FieldError]:
    """Findings about what the update changed: parts that were wrong and stay as they were are let be."""
    return _Check(path).run(schema, obj, Was(schema, obj, old))


class _Result:
    """What one schema had to say, and how many of its checks went well (to choose among alternatives)."""

    __slots__ = ("errors", "matches")

    def __init__(self) -> None:
        self.errors: dict[FieldError, None] = {}  # in order, each once
        self.matches = 0

    def add(self, *errors: FieldError) -> None:
        self.errors.update(dict.fromkeys(errors))

    def merge(self, other: _Result) -> None:
        self.errors.update(other.errors)
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


@remembered(maxsize=256)
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

    def run(self, schema: JsonSchema, obj: Any, was: Was | None) -> list[FieldError]:
        return list(self.check(schema, obj, was, "").errors)

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

    def check(self, schema: JsonSchema, value: Any, was: Was | None, name: str) -> _Result:
        out = self._check(schema, value, was, name)
        if out.errors and was is not None and was.same:
            out.errors = {}  # it was wrong before
        return out

    def _check(self, schema: JsonSchema, value: Any, was: Was | None, name: str) -> _Result:
        out = _Result()
        self._type(schema, value, name, out)
        if value is None:
            self._enum(schema, value, name, out)
            return out
        self._combined(schema, value, name, out)
        if isinstance(value, str):
            self._string(schema, value, name, out)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._number(schema, value, name, out)
        elif isinstance(value, list):
            self._list(schema, value, was, name, out)
        self._enum(schema, value, name, out)
        if isinstance(value, dict):
            self._object(schema, value, was, name, out)
        out.matches += 1
        return out

    def _type(self, schema: JsonSchema, value: Any, name: str, out: _Result) -> None:
        types = ("integer", "string") if schema.get("x-kubernetes-int-or-string") else (schema["type"],) if schema.get("type") else ()
        kind, form = _kind(value), known_format(schema)
        numeric = "integer" in types or "number" in types
        fits = (not types and not form) or kind in types or (kind == "integer" and "number" in types) \
            or (kind == "number" and "integer" in types and _is_whole(value))
        if value is None:
            fits = not types or bool(schema.get("nullable"))
        elif form and kind not in ("string", "array"):
            own = _FORMS.get(kind, "")
            if not fits and own != form:
                out.add(field.type_invalid(self.path(name), own, f'{name} in body must be of type {form}: "{own}"'))
                return
        elif form and not numeric:
            fits = True  # what has a format is left to its check
        if fits:
            out.matches += 1
            return
        wanted = ",".join(types)
        out.add(field.type_invalid(self.path(name), kind, f'{name} in body must be of type {wanted}: "{kind}"'))

    def _enum(self, schema: JsonSchema, value: Any, name: str, out: _Result) -> None:
        allowed = schema.get("enum")
        if not allowed or any(_is_one(value, one) for one in allowed):
            return
        shown = [one if isinstance(one, str) else goprint.compact(one) for one in allowed]
        out.add(field.not_supported(self.path(name), goprint.ordered(value), shown))

    def _string(self, schema: JsonSchema, value: str, name: str, out: _Result) -> None:
        longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
        if longest is not None and len(value) > longest:
            out.add(field.too_long(self.path(name), longest))
        elif shortest is not None and len(value) < shortest:
            out.add(self.invalid(name, value, f"should be at least {shortest} chars long"))
        elif pattern:
            compiled = _pattern(pattern)
            if isinstance(compiled, str):
                out.add(self.invalid(name, value, f"should match '{pattern}, but pattern is invalid: {compiled}'"))
            elif not compiled.search(value):
                out.add(self.invalid(name, value, f"should match '{pattern}'"))
        check = check_of(schema)
        if check is not None and not check(value):
            words = f"{name} in body must be of type {schema['format']}: {goprint.quote(value)}"
            out.add(field.type_invalid(self.path(name), value, words))

    def _number(self, schema: JsonSchema, value: float, name: str, out: _Result) -> None:
        def fits(what: str, number: float) -> bool:
            if _in_range(schema, number):
                return True
            form = f"with format {known_format(schema)}" if known_format(schema) else "(default format)"
            out.add(self.general(f"{what} value must be of type {schema['type']} {form} in {name}"))
            return False

        fits("Checked", value)

        def bound(keyword: str, what: str) -> tuple[Any, Any]:
            """The bound, and the value as it is compared: whole numbers with whole ones, where the bound can be one."""
            given = schema.get(keyword)
            if given is None or (fits(what, given) and not isinstance(value, int)):
                return given, value
            return (int(given), value) if isinstance(value, int) and _in_range(schema, given) else (given, float(value))

        factor, number = bound("multipleOf", "MultipleOf")
        if factor is not None:
            if factor <= 0:
                words = f"factor MultipleOf declared for {name} must be positive: {goprint.number(factor)}"
                out.add(field.invalid(self.path(name), factor, words))
            elif not _is_multiple(number, factor):
                out.add(self.invalid(name, number, f"should be a multiple of {goprint.number(factor)}"))
        least, number = bound("minimum", "Minimum boundary")
        if least is not None and (number <= least if schema.get("exclusiveMinimum") else number < least):
            words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
            out.add(self.invalid(name, number, f"should be {words} {goprint.number(least)}"))
        most, number = bound("maximum", "Maximum boundary")
        if most is not None and (number >= most if schema.get("exclusiveMaximum") else number > most):
            words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
            out.add(self.invalid(name, number, f"should be {words} {goprint.number(most)}"))

    def _list(self, schema: JsonSchema, value: list[Any], was: Was | None, name: str, out: _Result) -> None:
        items = schema.get("items")
        if isinstance(items, Mapping):
            for index, item in enumerate(value):
                out.merge(self.check(items, item, was.index(index) if was else None, f"{name}[{index}]"))
        least, most = schema.get("minItems"), schema.get("maxItems")
        if least is not None and len(value) < least:
            out.add(self.invalid(name, len(value), f"should have at least {least} items"))
        if most is not None and len(value) > most:
            out.add(field.too_many(self.path(name), len(value), most))
        if schema.get("uniqueItems") and any(one in value[:index] for index, one in enumerate(value)):
            out.add(self.invalid(name, "", "shouldn't contain duplicates"))

    def _object(self, schema: JsonSchema, value: dict[str, Any], was: Was | None, name: str, out: _Result) -> None:
        least, most = schema.get("minProperties"), schema.get("maxProperties")
        if least is not None and len(value) < least:
            out.add(self.invalid(name, len(value), f"should have at least {least} properties"))
        if most is not None and len(value) > most:
            out.add(field.too_many(self.path(name), len(value), most))
        properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, inner in value.items():
            below = properties.get(key)
            where = f"{name}.{key}" if name or key not in properties else key
            if below is None and isinstance(additional, Mapping):
                below = additional
            elif below is None and additional is False:
                out.add(field.invalid(self.path(name), "", f"{name}.{key} in body is a forbidden property"))
            if below is not None:
                before = was.key(key) if was and (name or key not in ("kind", "apiVersion")) else None
                out.merge(self.check(below, inner, before, where))
        out.add(*(field.required(self.path(f"{name}.{key}")) for key in schema.get("required") or () if key not in value))

    # -- allOf, anyOf, oneOf, not -----------------------------------------------------------------------------------

    def _combined(self, schema: JsonSchema, value: Any, name: str, out: _Result) -> None:
        quoted = goprint.quote(name)
        if alternatives := schema.get("anyOf"):
            results = [self._check(one, value, None, name) for one in alternatives]
            good = next((one for one in results if not one.errors), None)
            if good is None:
                out.add(self.general(f"{quoted} must validate at least one schema (anyOf)"))
            out.merge(good or max(results, key=lambda one: one.matches))
        if alternatives := schema.get("oneOf"):
            self._one_of([self._check(one, value, None, name) for one in alternatives], quoted, out)
        if parts := schema.get("allOf"):
            results = [self._check(one, value, None, name) for one in parts]
            for one in results:
                out.merge(one)
            failed = sum(bool(one.errors) for one in results)
            if failed:
                none = ". None validated" if failed == len(results) else ""
                out.add(self.general(f"{quoted} must validate all the schemas (allOf){none}"))
        unwanted = schema.get("not")
        if unwanted is not None and not self._check(unwanted, value, None, name).errors:
            out.add(self.general(f"{quoted} must not validate the schema (not)"))
        out.matches += 1

    def _one_of(self, results: list[_Result], quoted: str, out: _Result) -> None:
        good = [one for one in results if not one.errors]
        if len(good) == 1:
            out.merge(good[0])
            return
        found = f"Found {len(good)} valid alternatives" if good else "Found none valid"
        out.add(self.general(f"{quoted} must validate one and only one schema (oneOf). {found}"))
        if not good:
            out.merge(max(results, key=lambda one: one.matches))


def _is_one(value: Any, one: Any) -> bool:
    """Whether a value is this one of an enumeration: as Go converts it to the type of that one."""
    if value is None or one is None or isinstance(value, bool) != isinstance(one, bool):
        return False
    if isinstance(value, int | float) and isinstance(one, int | float):
        return (int(value) if isinstance(one, int) and math.isfinite(value) else value) == one
    if isinstance(value, int) and isinstance(one, str):
        return one == (chr(value) if 0 <= value <= sys.maxunicode and not 0xD800 <= value < 0xE000 else "\ufffd")
    return type(value) is type(one) and goprint.compact(value) == goprint.compact(one)


def _in_range(schema: JsonSchema, number: float) -> bool:
    if schema.get("type") == "integer":
        least, end = _INT32 if schema.get("format") == "int32" else (-(2**63), 2**63)
        return float(number).is_integer() and least <= number < end
    return schema.get("type") != "number" or schema.get("format") != "float" or abs(number) < _MAX_FLOAT32


def _is_multiple(value: float, factor: float) -> bool:
    if isinstance(value, int) and isinstance(factor, int):
        return value % factor == 0
    return _is_whole(value / factor if factor >= 1 else 1 / factor * value)


def _is_whole(number: float) -> bool:
    if not -(2**53) < number < 2**53:
        return False
    nearest = round(number)
    return number == nearest or abs(number - nearest) < 1e-9 * abs(nearest)


class Was:
    """What a part of the object was before the update, as far as the old object has the same part.

    Items of lists correlate by their keys in lists of type map alone; fields that the schema does not name never do.
    Source: apiserver `pkg/cel/common/equality.go`.
    """

    __slots__ = ("_by_key", "_same", "_schema", "old", "value")

    def __init__(self, schema: JsonSchema, value: Any, old: Any) -> None:
        self._schema, self.value, self.old = schema, value, old
        self._same: bool | None = None
        self._by_key: dict[str, Any] | None = None

    def key(self, name: str) -> Was | None:
        """A field's; None where there is none to compare with."""
        old, new = self.old, self.value
        if not isinstance(old, dict) or not isinstance(new, dict) or name not in old or name not in new:
            return None
        below = (self._schema.get("properties") or {}).get(name)
        if below is None:
            below = self._schema.get("additionalProperties")
        return Was(below, new[name], old[name]) if isinstance(below, Mapping) else None

    def index(self, index: int) -> Was | None:
        """An item's; None where there is none to compare with."""
        items = self._schema.get("items")
        if self._schema.get("x-kubernetes-list-type") != "map" or not isinstance(self.old, list) \
                or not isinstance(self.value, list) or index >= len(self.value) or not isinstance(items, Mapping):
            return None
        if self._by_key is None:
            self._by_key = {}
            for item in self.old:
                if key := self._key_of(item):
                    self._by_key.setdefault(key, item)
        new = self.value[index]
        old = self._by_key.get(self._key_of(new))
        return Was(items, new, old) if old is not None else None

    def _key_of(self, item: Any) -> str:
        """The text of an item's keys; empty where it lacks one."""
        if not isinstance(item, dict):
            return ""
        keys = [item.get(name) for name in self._schema.get("x-kubernetes-list-map-keys") or ()]
        return "" if any(not isinstance(key, str | int | float) for key in keys) else goprint.compact(keys)

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        if self._same is None:
            self._same = self._compare()
        return self._same

    def _compare(self) -> bool:
        new, old = self.value, self.old
        if type(new) is not type(old):
            return False
        if isinstance(new, dict):
            parts = [self.key(name) for name in new] if len(new) == len(old) else [None]
        elif isinstance(new, list) and self._schema.get("x-kubernetes-list-type") == "map":
            parts = [self.index(index) for index in range(len(new))] if len(new) == len(old) else [None]
        else:
            return goprint.compact(new) == goprint.compact(old)
        return all(part is not None and part.same for part in parts)
