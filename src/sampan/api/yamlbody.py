"""YAML bodies to JSON as upstream reads them: YAML 1.1 (`y` and `yes` are booleans), no dates, no base sixty.

Owns the resolution of plain scalars, keys that become text, repeated keys, and bounds on aliases.
Source: `sigs.k8s.io/yaml` and the `go.yaml.in/yaml/v2` below it (`resolve.go`, `decode.go`).
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any, NamedTuple

from sampan.api import codec, goprint

MAX_NODES = 1_000_000
"""How many values the aliases of one document may unfold to."""

MAX_DEPTH = 1_000
"""The composer recurses on the C stack, where nothing but this stops it."""

_INT = re.compile(r"[-+]?(?:0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|[0-9]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BOOL = re.compile(r"y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE")
_TRUE = frozenset(("y", "yes", "on", "true"))


class YAMLError(ValueError):
    """It is not YAML, or none that can be JSON."""


class Converted(NamedTuple):
    """The JSON, and what is strictly wrong with the YAML."""

    body: bytes
    problems: list[str]


def to_json(body: bytes) -> Converted:
    """The first document as JSON; nothing is null.

    Raises:
        YAMLError: It can't be read, or is too large when unfolded.
    """
    import yaml

    try:
        _check_depth(body)
        loader = _loader_class()(body)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise YAMLError(_explain(error)) from None
    try:
        node = loader.get_node() if loader.check_node() else None
        if node is None:
            return Converted(b"null", [])
        if _size(node, {}) > MAX_NODES + len(body):
            raise YAMLError("yaml: document contains excessive aliasing")
        value = loader.construct_document(node)
        return Converted(codec.encode(goprint.ordered(value)), _problems(loader.repeated))
    except yaml.YAMLError as error:
        raise YAMLError(_explain(error)) from None
    except RecursionError:
        raise YAMLError("yaml: exceeded max depth") from None
    finally:
        loader.dispose()


def _explain(error: Exception) -> str:
    """In the words of go-yaml, whose parser is the same: the line, where it is not the first, and the problem.

    Source: go-yaml v2 `decode.go`, `parser.fail`.
    """
    import yaml

    problem = getattr(error, "problem", None)
    if not isinstance(error, yaml.MarkedYAMLError) or not problem:
        return f"yaml: {' '.join(str(error).split())}"
    line = next((mark.line for mark in (error.context_mark, error.problem_mark) if mark is not None and mark.line), 0)
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    return f"yaml: line {line}: {problem}" if line else f"yaml: {problem}"


def _check_depth(body: bytes) -> None:
    """Walk the events, which the parser gives without recursion.

    Raises:
        YAMLError: Too deep.
    """
    import yaml

    depth = 0
    for event in yaml.parse(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YAMLError("yaml: exceeded max depth")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _problems(repeated: list[tuple[int, str]]) -> list[str]:
    if not repeated:
        return []
    lines = "".join(f"\n  line {line}: key {goprint.quote(key)} already set in map" for line, key in repeated)
    return [f"yaml: unmarshal errors:{lines}"]


def _size(node: Any, known: dict[int, int]) -> int:
    """How many values the node unfolds to; an alias to a parent counts once and is refused by the constructor."""
    if (size := known.get(id(node))) is not None:
        return size
    known[id(node)] = 1
    total = 1
    if isinstance(node.value, list):
        for child in node.value:
            total += sum(_size(part, known) for part in child) if isinstance(child, tuple) else _size(child, known)
    known[id(node)] = total
    return total


@cache
def _loader_class() -> Any:
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc,valid-type]
        """Upstream's idea of plain scalars."""

        def __init__(self, stream: bytes) -> None:
            super().__init__(stream)
            self.repeated: list[tuple[int, str]] = []

    kept = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag in kept]
        for first, resolvers in base.yaml_implicit_resolvers.items()}
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(rf"(?:{_BOOL.pattern})\Z"), list("yYnNtTfFoO"))
    number = re.compile(r"[-+.0-9][-+.0-9a-zA-Z_]*\Z")
    Loader.add_implicit_resolver("!number", number, list("-+.0123456789"))
    Loader.add_constructor("!number", lambda loader, node: _plain_number(loader.construct_scalar(node)))
    Loader.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: loader.construct_scalar(node).lower() in _TRUE)
    Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: _plain_number(loader.construct_scalar(node)))
    Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: _plain_number(loader.construct_scalar(node)))
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))
    Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
    return Loader


def _plain_number(text: str) -> Any:
    """An integer or float where Go reads one, else the text."""
    lower = text.lower()
    if lower.lstrip("+-") in (".inf", ".nan"):
        raise YAMLError(f"json: unsupported value: {goprint.number(float(lower.replace('.', '')))}")
    plain = text.replace("_", "")
    if _INT.fullmatch(plain):
        digits = plain.lstrip("+-")
        octal = len(digits) > 1 and digits.startswith("0") and digits.isdigit()
        if not octal or not set(digits) & set("89"):
            value = int(digits, 8) if octal else int(digits, 0) if len(digits) < 400 else 2**64
            value = -value if plain.startswith("-") else value
            if -(2**63) <= value < 2**64:
                return value
    if _FLOAT.fullmatch(plain):
        real = float(plain)
        if math.isinf(real):
            return text  # too large for Go's reading, too
        return int(real) if real.is_integer() and abs(real) < 2**53 else real
    return text


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    loader.flatten_mapping(node)
    out: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _key(loader.construct_object(key_node, deep=True))
        if key in out:
            loader.repeated.append((key_node.start_mark.line + 1, key))
        out[key] = loader.construct_object(value_node, deep=True)
    return out


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return goprint.number(value)
    raise YAMLError(f"unsupported map key of type: {type(value).__name__}")
