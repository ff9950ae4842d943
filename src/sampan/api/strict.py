"""Bodies to objects as upstream takes them: what the fast decoder refuses is walked again, with every path named.

Owns the three modes of `fieldValidation` (Ignore, Warn, Strict) and what `kind` and `apiVersion` may say. The fast path
is `codec.decode`; duplicate keys, which it does not see, are found by counting quotes. Leaves the walk to
`sampan.api.shapewalk`, YAML to `sampan.api.yamlbody`.
Source: `sigs.k8s.io/json`, apimachinery `runtime/serializer/json`, apiserver `endpoints/handlers/rest.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from sampan.api import codec, jsonsyntax, schema
from sampan.api.errors import BadRequest
from sampan.api.jsonvalues import PARSER, Pairs, word
from sampan.api.resourceinfo import Resource
from sampan.api.schema import Shape
from sampan.api.shapewalk import ABSENT, Walk
from sampan.api.shapewalk import Undecodable as Undecodable  # noqa: PLC0414  the error of the functions here, for their callers
from sampan.lib.memo import remembered

_HEAD = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
_SCHEME = '"pkg/runtime/scheme.go:111"'
_REFUSED = (codec.DecodeError, UnicodeDecodeError, RecursionError)
_UNKNOWN = 'unknown field "'


class Decoded(NamedTuple):
    """An object, and what is strictly wrong with its text (for warnings)."""

    object: Any
    problems: list[str]


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


def convert(resource: Resource[Any], tree: Any, *, validation: str = "Warn", coerce: Coerce | None = None,
            walk: type[Walk] = Walk) -> Decoded:
    """A changed tree of dicts (a patch's result) to an object; `walk` has the words about wrong types.

    Raises:
        Undecodable: It can't be one; under Strict also when fields are unknown.
    """
    if coerce is not None:
        obj, problems = tree, coerce(tree)
    else:
        try:
            return Decoded(codec.convert(resource.wire, tree), [])
        except _REFUSED:
            # parts that nobody has looked at may still be text
            obj, problems = _walk(resource, codec.to_builtins(tree), walk)
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
    walk = Walk()
    walk.stack = [path] if path else []
    plain = walk.value(schema.of_wire(wire), tree, path)
    if walk.mistake:
        raise Undecodable(walk.mistake)
    return ({} if plain is ABSENT else plain), walk.problems


def unknown_field(path: str) -> str:
    """The complaint about a field that nobody knows."""
    return f'{_UNKNOWN}{path}"'


def unknown_paths(complaints: Iterable[str]) -> list[str]:
    """The paths that complaints are about."""
    return [one.removeprefix(_UNKNOWN).removesuffix('"') for one in complaints]


def repeats(body: bytes, tree: Any = ABSENT) -> bool:
    """Whether some JSON object has a key twice: reading and writing it again then loses quotes. `tree` is what it says, where that is known.

    A quote written as an escape makes it True as well, which costs a slow walk and no more.
    """
    if rb"\u0022" in body:
        return True
    if tree is not ABSENT:
        return body.count(b'"') != codec.encode(tree).count(b'"')
    text = body.strip()
    # what controllers make of one template is the same to the letter
    return (_of_body(text) if len(text) > WORTH_PARTING_BYTES else _quotes(text, LEVELS_APART)) < 0


def _quotes(text: bytes, levels: int) -> int:
    """How many quotes a value's text has; less than none: it has a key twice. What is large is taken apart so far down, and those of its
    parts looked at that are not known: what a client sends is for the most part what it was sent, the owners of fields above all.
    """
    quotes = text.count(b'"')
    if len(text) <= WORTH_PARTING_BYTES or not levels or not text.startswith(_NESTED):
        return quotes if quotes == codec.encode(codec.loads(text)).count(b'"') else -1
    parts: Iterable[msgspec.Raw]
    if text.startswith(b"{"):
        members = _members.decode(text)
        found, parts = 2 * len(members) + "".join(members).count('"'), members.values()
    else:
        found, parts = 0, _items.decode(text)
    for raw in parts:
        part = bytes(raw)
        inner = _BELOW[levels - 1](part) if part.startswith(_NESTED) else part.count(b'"')
        if inner < 0:
            return -1
        found += inner
    return quotes if quotes == found else -1


LEVELS_APART = 5  # an object, its metadata, their list of owners, one of them, the fields
WORTH_PARTING_BYTES = 1024
_NESTED = (b"{", b"[")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_BELOW = [remembered(maxsize=256, longest=4096)(partial(_quotes, levels=levels)) for levels in range(LEVELS_APART)]
_of_body = remembered(maxsize=32, longest=4096)(partial(_quotes, levels=LEVELS_APART))


def repeated_fields(body: bytes, tree: Any = ABSENT) -> list[str]:
    """The complaints about keys that stand twice, with their paths; the body is JSON that says `tree`."""
    if not repeats(body, tree):
        return []
    walk = Walk()
    walk.plain(PARSER.decode(body.decode("utf-8", "replace")), "")
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
            Walk().run(shape, tree)  # its own errors come first
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


def refusal(resource: Resource[Any], problems: Iterable[str]) -> BadRequest:
    """The answer to what is only strictly wrong."""
    return BadRequest(f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                      f"strict decoding error: {', '.join(problems)}")


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
        return PARSER.decode(body.decode("utf-8", "replace"))
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
    try:
        api_version, kind = claimed(resource, tree, lambda: body.decode("utf-8", "replace"))
    except Undecodable as error:
        raise _unrecognized(resource, body, str(error)) from None
    group, _, version = api_version.rpartition("/")
    return (group, version, kind or resource.kind) if api_version else (resource.group, resource.version, kind or resource.kind)


def claimed(resource: Resource[Any], tree: Any, text: Callable[[], str]) -> tuple[str, str]:
    """Version and kind that a tree claims, empty where it claims none: what upstream reads first of everything. `text` is its JSON.

    Raises:
        Undecodable: It can't say, or a custom resource says no kind.
    """
    couldn_t = "couldn't get version/kind; json parse error: json: cannot unmarshal"
    said = {"apiVersion": "", "kind": ""}
    if isinstance(tree, Pairs | dict):
        for key, value in tree.items() if isinstance(tree, dict) else tree:
            if key in said and value is not None:
                if type(value) is not str:
                    raise Undecodable(f"{couldn_t} {word(value)} into Go struct field .{key} of type string")
                said[key] = value
    elif tree is not None:
        raise Undecodable(f"{couldn_t} {word(tree)} into Go value of type {_HEAD}")
    if said["apiVersion"].count("/") > 1:
        raise Undecodable(f"unexpected GroupVersion string: {said['apiVersion']}")
    if not said["kind"] and not resource.wire_path:
        raise Undecodable(f"Object 'Kind' is missing in '{text()}'")
    return said["apiVersion"], said["kind"]


def _walk(resource: Resource[Any], tree: Any, words: type[Walk] = Walk) -> tuple[Any, list[str]]:
    walk = words()
    shape = schema.of_resource(resource)
    if shape is None:
        return (walk.plain(tree, "") if tree is not None else {}), walk.problems
    plain = walk.run(shape, tree)
    try:
        return codec.convert(resource.wire, plain), walk.problems
    except codec.DecodeError as error:  # an emptiness that Go would not mind and that the walk does not know
        raise Undecodable(str(error)) from None
