"""Bodies to objects as upstream takes them: what the fast decoder refuses is walked again, with every path named.

Owns the three modes of `fieldValidation` (Ignore, Warn, Strict), Go's rules for null and its words about wrong types,
and what `kind` and `apiVersion` may say. The fast path is `codec.decode`; duplicate keys, which it does not see, are
found by counting quotes. Leaves YAML to `sampan.api.yamlbody`.
Source: `sigs.k8s.io/json`, apimachinery `runtime/serializer/json`, apiserver `endpoints/handlers/rest.go`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sampan.api import codec, goprint, gotime, jsonsyntax, schema
from sampan.api.errors import BadRequest
from sampan.api.quantity import canonical
from sampan.api.resourceinfo import Resource
from sampan.api.scalars import MicroTime, Time
from sampan.api.schema import Shape

MAX_PROBLEMS = 100
_HEAD = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
_SCHEME = '"pkg/runtime/scheme.go:111"'
_INTEGER = re.compile(r"-?[0-9]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INT_BITS = {"int32": 31, "int64": 63}
_ABSENT: Any = object()
_REFUSED = (codec.DecodeError, UnicodeDecodeError, RecursionError)


class Undecodable(ValueError):
    """A body that can't become the object; the text is Go's."""


class Decoded(NamedTuple):
    """An object, and what is strictly wrong with its text (for warnings)."""

    object: Any
    problems: list[str]


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys as they came, repeated ones too."""


def _constant(text: str) -> Any:
    raise ValueError(text)


_parser = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_constant)


_UNKNOWN = 'unknown field "'
Coerce = Callable[[Any], list[str]]
"""Drops what a custom resource's schema does not know, in place; gives the complaints about it."""


def decode(resource: Resource[Any], body: bytes, *, validation: str = "Warn", coerce: Coerce | None = None) -> Decoded:
    """A JSON body to an object of `resource`, made for the caller alone; kind and apiVersion are as the body has them.

    Args:
        resource: What it should be.
        body: JSON.
        validation: `Ignore`, `Warn` or `Strict`, as in the query; empty means Warn.
        coerce: What a custom resource's objects are held to besides.

    Raises:
        BadRequest: It can't be one, or it is something else; under Strict also when fields are unknown or repeated.
    """
    try:
        obj = codec.decode(resource.wire, body)
    except _REFUSED:
        return _slow(resource, body, validation, coerce)
    if not _fits(resource, obj) or (validation != "Ignore" and repeats(body)):
        return _slow(resource, body, validation, coerce)
    if coerce is None:
        return Decoded(obj, [])
    prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
    try:
        return _judged(obj, coerce(obj), validation, prefix)
    except Undecodable as error:
        raise BadRequest(prefix + str(error)) from None


def convert(resource: Resource[Any], tree: Any, *, validation: str = "Warn", coerce: Coerce | None = None) -> Decoded:
    """A changed tree of dicts (a patch's result) to an object.

    Raises:
        Undecodable: It can't be one; under Strict also when fields are unknown.
    """
    if coerce is not None:
        obj, problems = tree, coerce(tree)
    else:
        try:
            return Decoded(codec.convert(resource.wire, tree), [])
        except _REFUSED:
            obj, problems = _walk(resource, tree)
    if validation == "Ignore":
        problems = []
    if problems and validation == "Strict":
        raise Undecodable(f"strict decoding error: {', '.join(problems)}")
    return Decoded(obj, problems)


def coerce_to(wire: type, tree: Any, path: str = "") -> tuple[Any, list[str]]:
    """A part of a tree as a Struct class has it, without what it does not know, and the complaints about that.

    Raises:
        Undecodable: A type does not fit.
    """
    walk = _Walk()
    walk.stack = [path] if path else []
    plain = walk.value(schema.of_wire(wire), tree, path)
    if walk.mistake:
        raise Undecodable(walk.mistake)
    return ({} if plain is _ABSENT else plain), walk.problems


def unknown_field(path: str) -> str:
    """The complaint about a field that nobody knows."""
    return f'{_UNKNOWN}{path}"'


def unknown_paths(complaints: Iterable[str]) -> list[str]:
    """The paths that complaints are about."""
    return [one.removeprefix(_UNKNOWN).removesuffix('"') for one in complaints]


def repeats(body: bytes) -> bool:
    """Whether some JSON object has a key twice: reading and writing it again then loses quotes.

    A quote written as an escape makes it True as well, which costs a slow walk and no more.
    """
    return rb"\u0022" in body or body.count(b'"') != codec.encode(codec.loads(body)).count(b'"')


def repeated_fields(body: bytes) -> list[str]:
    """The complaints about keys that stand twice, with their paths; the body is JSON."""
    if not repeats(body):
        return []
    walk = _Walk()
    walk.plain(_parser.decode(body.decode("utf-8", "replace")), "")
    return walk.problems


def _fits(resource: Resource[Any], obj: Any) -> bool:
    if isinstance(obj, dict):
        kind, version = obj.get("kind"), obj.get("apiVersion")
        return bool(kind) and kind == resource.kind and version in (resource.group_version, "", None)
    return obj.kind in ("", resource.kind) and obj.apiVersion in ("", resource.group_version)


# ---- the slow way --------------------------------------------------------------------------------------------------


def _slow(resource: Resource[Any], body: bytes, validation: str, coerce: Coerce | None = None) -> Decoded:
    tree = _parse(resource, body)
    group, version, kind = _identify(resource, tree, body)
    prefix = f'{kind} in version "{version}" cannot be handled as a {resource.kind}: '
    shape: Shape | None = None
    if resource.wire_path:
        if not schema.registered(group, version, kind):
            api_version = f"{group}/{version}" if group else version
            raise BadRequest(f'{prefix}no kind "{kind}" is registered for version "{api_version}" in scheme {_SCHEME}')
        shape = schema.of_kind(group, version, kind)
    elif (group, version) != (resource.group, resource.version):
        raise _other_version(resource, group, version)
    try:
        if shape is not None and shape is not schema.of_resource(resource):
            _Walk().run(shape, tree)  # its own errors come first
            _other_kind(resource, group, version, kind, prefix)
        obj, problems = _walk(resource, tree)
        if coerce is not None:
            problems += coerce(obj)
    except Undecodable as error:
        raise BadRequest(prefix + str(error)) from None
    except RecursionError:
        raise BadRequest(prefix + f"json: invalid character '{{' {jsonsyntax.TOO_DEEP}") from None
    return _judged(obj, problems, validation, prefix)


def _judged(obj: Any, problems: list[str], validation: str, prefix: str) -> Decoded:
    if problems and validation == "Strict":
        raise BadRequest(f"{prefix}strict decoding error: {', '.join(problems)}")
    return Decoded(obj, [] if validation == "Ignore" else problems)


def _other_version(resource: Resource[Any], group: str, version: str) -> BadRequest:
    said, expected = f"{group}/{version}" if group else version, resource.group_version
    return BadRequest(f"the API version in the data ({said}) does not match the expected API version ({expected})")


def _other_kind(resource: Resource[Any], group: str, version: str, kind: str, prefix: str) -> None:
    if kind == resource.kind and group == resource.group:
        raise _other_version(resource, group, version)
    package = resource.group.partition(".")[0] or "core"
    raise BadRequest(f"{prefix}converting ({version}.{kind}) to ({package}.{resource.kind}): unknown conversion")


def _parse(resource: Resource[Any], body: bytes) -> Any:
    try:
        return _parser.decode(body.decode("utf-8", "replace"))
    except RecursionError:
        message = f"invalid character '{{' {jsonsyntax.TOO_DEEP}"
    except ValueError as error:
        message = jsonsyntax.explain(body) or str(error)
    raise _unrecognized(resource, body, f"couldn't get version/kind; json parse error: {message}") from None


def _unrecognized(resource: Resource[Any], body: bytes, message: str) -> BadRequest:
    return unrecognized(resource.kind, body, message)


def unrecognized(kind: str, body: bytes, message: str) -> BadRequest:
    """The answer to bytes that don't even say what they are."""
    if not body:
        summary = "<empty>"
    else:
        start = body[:30].decode("utf-8", "replace") if body.startswith(b"{") else body[:30].hex()
        summary = f"{start} ..." if len(body) > 30 else start
    return BadRequest(f"the object provided is unrecognized (must be of type {kind}): {message} ({summary})")


def _identify(resource: Resource[Any], tree: Any, body: bytes) -> tuple[str, str, str]:
    """Group, version and kind that the body claims, the resource's own where it says nothing."""
    couldn_t = "couldn't get version/kind; json parse error: json: cannot unmarshal"
    said = {"apiVersion": "", "kind": ""}
    if isinstance(tree, _Pairs):
        for key, value in tree:
            if key in said and value is not None:
                if type(value) is not str:
                    raise _unrecognized(resource, body, f"{couldn_t} {word(value)} into Go struct field .{key} of type string")
                said[key] = value
    elif tree is not None:
        raise _unrecognized(resource, body, f"{couldn_t} {word(tree)} into Go value of type {_HEAD}")
    kind, api_version = said["kind"], said["apiVersion"]
    if api_version.count("/") > 1:
        raise _unrecognized(resource, body, f"unexpected GroupVersion string: {api_version}")
    if not kind and not resource.wire_path:
        raise _unrecognized(resource, body, f"Object 'Kind' is missing in '{body.decode('utf-8', 'replace')}'")
    group, _, version = api_version.rpartition("/")
    return (group, version, kind or resource.kind) if api_version else (resource.group, resource.version, kind or resource.kind)


def _walk(resource: Resource[Any], tree: Any) -> tuple[Any, list[str]]:
    walk = _Walk()
    shape = schema.of_resource(resource)
    if shape is None:
        return (walk.plain(tree, "") if tree is not None else {}), walk.problems
    plain = walk.run(shape, tree)
    try:
        return codec.convert(resource.wire, plain), walk.problems
    except codec.DecodeError as error:  # an emptiness that Go would not mind and that the walk does not know
        raise Undecodable(str(error)) from None


def word(value: Any) -> str:
    """What JSON calls the value, in Go's messages."""
    if isinstance(value, _Pairs | dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, _Number | int | float) else "string"


def _is_number(value: Any) -> bool:
    return isinstance(value, _Number | int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) else goprint.compact(value)


def _number(value: Any) -> float:
    """An untyped number: an integer where it is one and fits, as Go preserves them."""
    if not isinstance(value, _Number):
        return value  # type: ignore[no-any-return]
    if _INTEGER.fullmatch(value) and len(value) <= 20 and -(2**63) <= int(value) < 2**63:
        return int(value)
    return float(value)


def _string(value: str) -> str:
    return value if value.isascii() or not _SURROGATE.search(value) else _SURROGATE.sub("\ufffd", value)


def _pairs(value: Any) -> Iterable[tuple[str, Any]]:
    return value if isinstance(value, _Pairs) else value.items()


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


class _Walk:
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
        return {} if plain is _ABSENT else plain

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
        return _ABSENT

    def value(self, shape: Shape, value: Any, path: str) -> Any:
        if value is None:
            return _ABSENT
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
        if not isinstance(value, _Pairs | dict):
            return self.wrong(value, go_type(shape))
        out: dict[str, Any] = {}
        seen: set[str] = set()
        outer, depth = self.struct, len(self.stack)
        for key, inner in _pairs(value):
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
            if found is not _ABSENT:
                both = isinstance(found, dict) and field.shape.form in ("object", "map")
                out[key] = out.get(key, {}) | found if both else found
            del self.stack[depth:]
            self.struct = outer
        return out

    def map(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, _Pairs | dict):
            return self.wrong(value, go_type(shape))
        items = shape.items or schema.ANY
        out: dict[str, Any] = {}
        for key, inner in _pairs(value):
            if key in out:
                self.problem("duplicate", path, key)
            out[_string(key)] = self.element(items, inner, f"{path}.{key}" if path else key)
        return out

    def list(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, list) or isinstance(value, _Pairs):
            return self.wrong(value, go_type(shape))
        items = shape.items or schema.ANY
        return [self.element(items, inner, f"{path}[{index}]") for index, inner in enumerate(value)]

    def element(self, shape: Shape, value: Any, path: str) -> Any:
        """An element of a map or list: null becomes the zero value."""
        found = self.value(shape, value, path)
        if found is not _ABSENT:
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
                return _string(value) if type(value) is str else self.wrong(value, "string")
            case "bool":
                return value if isinstance(value, bool) else self.wrong(value, "bool")
            case "int32" | "int64":
                return self.integer(value, shape.form)
            case "float64":
                return float(value) if _is_number(value) else self.wrong(value, "float64")
            case "bytes":
                return self.bytes(value)
            case _:
                return self.special(shape, value)

    def integer(self, value: Any, form: str) -> Any:
        if not _is_number(value):
            return self.wrong(value, form)
        text = _text(value)
        limit = 1 << _INT_BITS[form]
        if _INTEGER.fullmatch(text) and len(text) <= 20 and -limit <= int(text) < limit:
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
            return _ABSENT
        return text

    def special(self, shape: Shape, value: Any) -> Any:
        """Types that read themselves: their errors end the walk at once."""
        if shape.form == "intstr":
            if type(value) is str:
                return _string(value)
            text = _text(value)
            if _is_number(value) and _INTEGER.fullmatch(text) and len(text) < 12 and -(2**31) <= int(text) < 2**31:
                return int(text)
            raise Undecodable(self.complaint(f"number {text}" if _is_number(value) else word(value), "int32"))
        if shape.form == "quantity":
            try:
                return canonical(_text(value) if isinstance(value, str) or _is_number(value) else word(value))
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
        if isinstance(value, _Pairs):
            return {_string(key): self.untyped(inner) for key, inner in value}
        if isinstance(value, list):
            return [self.untyped(inner) for inner in value]
        return _number(value) if _is_number(value) else _string(value) if isinstance(value, str) else value

    def plain(self, value: Any, path: str) -> Any:
        """A custom object: everything is known, repeated keys are told of."""
        if isinstance(value, _Pairs | dict):
            out: dict[str, Any] = {}
            for key, inner in _pairs(value):
                if key in out:
                    self.problem("duplicate", path, key)
                out[_string(key)] = self.plain(inner, f"{path}.{key}" if path else key)
            return out
        if isinstance(value, list):
            return [self.plain(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        return _number(value) if _is_number(value) else _string(value) if isinstance(value, str) else value


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
