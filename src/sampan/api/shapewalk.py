"""A parsed body beside the shape of its type: what Go would keep of it, and every path that is wrong with it.

Owns Go's rules for null, for keys that stand twice and for types that read themselves, and its words about wrong types.
Leaves to `sampan.api.strict` what follows from that. Source: `sigs.k8s.io/json`, Go's `encoding/json`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from sampan.api import goprint, gotime, schema
from sampan.api.jsonvalues import INTEGER, Pairs, as_text, is_number, pairs, scalar, valid_unicode, word
from sampan.api.quantity import canonical
from sampan.api.scalars import MicroTime, Time
from sampan.api.schema import Shape

MAX_PROBLEMS = 100
ABSENT: Any = object()
"""What the walk gives for a value that Go would leave out."""
_INT_BITS = {"int32": 31, "int64": 63}


class Undecodable(ValueError):
    """A body that can't become the object; the text is Go's."""


def go_type(shape: Shape) -> str:
    """The type as Go's messages call it."""
    match shape.form:
        case "list":
            return f"[]{go_type(shape.items)}" if shape.items else "[]string"
        case "map":
            if shape.items and shape.items.form == "quantity":
                return "v1.ResourceList"
            return f"map[string]{go_type(shape.items)}" if shape.items else "map[string]string"
        case "object":
            return ".".join(shape.type.rpartition("/")[2].split(".")[-2:])
        case "bytes":
            return "[]uint8"
        case _:
            return shape.form


class Walk:
    """One walk over one body. Wrong types are remembered (the first counts), unknown and repeated fields collected."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.stack: list[str] = []
        self.struct = ""
        self.mistake = ""

    def run(self, shape: Shape, tree: Any) -> Any:
        """The tree without what Go would drop.

        Raises:
            Undecodable: A type does not fit.
        """
        plain = self.value(shape, tree, "")
        if self.mistake:
            raise Undecodable(self.mistake)
        return {} if plain is ABSENT else plain

    def problem(self, what: str, path: str, key: str) -> None:
        text = f"{what} field {goprint.quote(f'{path}.{key}' if path else key)}"
        if len(self.problems) < MAX_PROBLEMS and text not in self.problems:
            self.problems.append(text)

    def complaint(self, value: str, expected: str) -> str:
        where = f"Go struct field {self.struct}.{'.'.join(self.stack)}" if self.struct else "Go value"
        return f"json: cannot unmarshal {value} into {where} of type {expected}"

    def wrong(self, value: Any, expected: str, shown: str = "") -> Any:
        """Remember a wrong type; the field is left out."""
        self.mistake = self.mistake or self.complaint(shown or word(value), expected)
        return ABSENT

    def value(self, shape: Shape, value: Any, path: str) -> Any:
        if value is None:
            return ABSENT
        match shape.form:
            case "object":
                return self.object(shape, value, path)
            case "map":
                return self.map(shape, value, path)
            case "list":
                return self.list(shape, value, path)
            case "any":
                return self.untyped(value)
            case _:
                return self.scalar(shape, value)

    def object(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, Pairs | dict):
            return self.wrong(value, go_type(shape))
        out: dict[str, Any] = {}
        seen: set[str] = set()
        outer, depth = self.struct, len(self.stack)
        for key, inner in pairs(value):
            field = shape.fields.get(key)
            if field is None:
                self.problem("unknown", path, key)
                continue
            if key in seen:
                self.problem("duplicate", path, key)
            seen.add(key)
            self.struct = shape.type.rpartition(".")[2]
            self.stack += (*field.embedded, key)
            found = self.value(field.shape, inner, f"{path}.{key}" if path else key)
            if found is not ABSENT:
                both = isinstance(found, dict) and field.shape.form in ("object", "map")
                out[key] = out.get(key, {}) | found if both else found
            del self.stack[depth:]
            self.struct = outer
        return out

    def map(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, Pairs | dict):
            return self.wrong(value, go_type(shape))
        items = shape.items or schema.ANY
        out: dict[str, Any] = {}
        for key, inner in pairs(value):
            if key in out:
                self.problem("duplicate", path, key)
            out[valid_unicode(key)] = self.element(items, inner, f"{path}.{key}" if path else key)
        return out

    def list(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, list) or isinstance(value, Pairs):
            return self.wrong(value, go_type(shape))
        items = shape.items or schema.ANY
        return [self.element(items, inner, f"{path}[{index}]") for index, inner in enumerate(value)]

    def element(self, shape: Shape, value: Any, path: str) -> Any:
        """An element of a map or list: null becomes the zero value."""
        found = self.value(shape, value, path)
        if found is not ABSENT:
            return found
        match shape.form:
            case "string" | "bytes":
                return ""
            case "int32" | "int64" | "float64" | "intstr":
                return 0
            case "bool":
                return False
            case "quantity":
                return "0"
            case "object" | "map":
                return {}
            case "list":
                return []
            case _:
                return None

    def scalar(self, shape: Shape, value: Any) -> Any:
        match shape.form:
            case "string":
                return valid_unicode(value) if type(value) is str else self.wrong(value, "string")
            case "bool":
                return value if isinstance(value, bool) else self.wrong(value, "bool")
            case "int32" | "int64":
                return self.integer(value, shape.form)
            case "float64":
                return float(value) if is_number(value) else self.wrong(value, "float64")
            case "bytes":
                return self.bytes(value)
            case _:
                return self.special(shape, value)

    def integer(self, value: Any, form: str) -> Any:
        if not is_number(value):
            return self.wrong(value, form)
        text = as_text(value)
        limit = 1 << _INT_BITS[form]
        if INTEGER.fullmatch(text) and len(text) <= 20 and -limit <= int(text) < limit:
            return int(text)
        return self.wrong(value, form, f"number {text}")

    def bytes(self, value: Any) -> Any:
        if type(value) is not str:
            return self.wrong(value, "[]uint8")
        text = value.replace("\n", "").replace("\r", "")
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.mistake = self.mistake or f"illegal base64 data at input byte {_bad_base64(value)}"
            return ABSENT
        return text

    def special(self, shape: Shape, value: Any) -> Any:
        """Types that read themselves: their errors end the walk at once."""
        if shape.form == "intstr":
            if type(value) is str:
                return valid_unicode(value)
            text = as_text(value)
            if is_number(value) and INTEGER.fullmatch(text) and len(text) < 12 and -(2**31) <= int(text) < 2**31:
                return int(text)
            raise Undecodable(self.complaint(f"number {text}" if is_number(value) else word(value), "int32"))
        if shape.form == "quantity":
            try:
                return canonical(as_text(value) if isinstance(value, str) or is_number(value) else word(value))
            except ValueError as error:
                raise Undecodable(str(error)) from None
        if type(value) is not str:
            raise Undecodable(self.complaint(word(value), "string"))
        try:
            return (MicroTime if shape.form == "microtime" else Time).parse(value)
        except ValueError:
            raise Undecodable(gotime.explain(value, gotime.MICROS) if shape.form == "microtime" else gotime.explain(value)) from None

    def untyped(self, value: Any) -> Any:
        """Any JSON, whose repeated keys nobody minds."""
        if isinstance(value, Pairs):
            return {valid_unicode(key): self.untyped(inner) for key, inner in value}
        if isinstance(value, list):
            return [self.untyped(inner) for inner in value]
        return scalar(value)

    def plain(self, value: Any, path: str) -> Any:
        """A custom object: everything is known, repeated keys are told of."""
        if isinstance(value, Pairs | dict):
            out: dict[str, Any] = {}
            for key, inner in pairs(value):
                if key in out:
                    self.problem("duplicate", path, key)
                out[valid_unicode(key)] = self.plain(inner, f"{path}.{key}" if path else key)
            return out
        if isinstance(value, list):
            return [self.plain(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        return scalar(value)


def _bad_base64(text: str) -> int:
    """The offset that Go's decoder stumbles over."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    count = 0
    for at, char in enumerate(text):
        if char in "\r\n":
            continue
        if char == "=":
            rest = text[at:].replace("\n", "").replace("\r", "")
            if count % 4 < 2 or not rest.startswith("=" * (4 - count % 4)):
                return at
            return at + 4 - count % 4
        if char not in alphabet:
            return at
        count += 1
    return len(text)
