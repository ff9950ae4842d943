"""Paths of fields, and the findings of validation about them, in upstream's words.

Owns the constructors of `FieldError`. A path is text ("spec.containers[0].name"); `Path` adds the ways to extend
it, and every constructor takes any string.
Source: apimachinery `pkg/util/validation/field/{errors,path}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sampan.api import goprint
from sampan.api.errors import FieldError

REQUIRED = "FieldValueRequired"
INVALID = "FieldValueInvalid"
NOT_SUPPORTED = "FieldValueNotSupported"
FORBIDDEN = "FieldValueForbidden"
DUPLICATE = "FieldValueDuplicate"
NOT_FOUND = "FieldValueNotFound"
TOO_LONG = "FieldValueTooLong"
TOO_SHORT = "FieldValueTooShort"
TOO_MANY = "FieldValueTooMany"
TOO_FEW = "FieldValueTooFew"
TYPE_INVALID = "FieldValueTypeInvalid"
INTERNAL = "InternalError"

IMMUTABLE = "field is immutable"

_OMITTED = object()  # the value is not shown


class Path(str):
    """The path of a field. `Path("spec") / "containers"`, `.index(0)`, `.key("a.b/c")`."""

    __slots__ = ()

    def __truediv__(self, name: str) -> Path:
        return Path(f"{self}.{name}" if self else name)

    def child(self, *names: str) -> Path:
        """Fields below this one, each in the one before."""
        return Path(".".join((self, *names) if self else names))

    def index(self, index: int) -> Path:  # type: ignore[override]
        """An element of a list."""
        return Path(f"{self}[{index}]")

    def key(self, key: str) -> Path:
        """An entry of a map."""
        return Path(f"{self}[{key}]")


ROOT = Path("")
WHOLE = Path("[]")
"""The object as a whole, as upstream's path without a name reads."""
METADATA = Path("metadata")
SPEC = Path("spec")
STATUS = Path("status")


def _build(reason: str, path: str, label: str, value: Any, detail: str) -> FieldError:
    shown = label if value is _OMITTED else f"{label}: {goprint.value(value)}"
    return FieldError(reason, path, f"{shown}: {detail}" if detail else shown)


def required(path: str, detail: str = "") -> FieldError:
    """`Required value: detail`."""
    return _build(REQUIRED, path, "Required value", _OMITTED, detail)


def invalid(path: str, value: Any, detail: str = "") -> FieldError:
    """`Invalid value: "x": detail`. Structs and dicts are shown as JSON, None as null."""
    return _build(INVALID, path, "Invalid value", value, detail)


def invalid_unshown(path: str, detail: str) -> FieldError:
    """`Invalid value: detail`, where upstream leaves the value out (`OmitValueType`)."""
    return _build(INVALID, path, "Invalid value", _OMITTED, detail)


def type_invalid(path: str, value: Any, detail: str = "") -> FieldError:
    """Like `invalid`, for a value whose type the schema does not know."""
    return _build(TYPE_INVALID, path, "Invalid value", value, detail)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    """`Unsupported value: "x": supported values: "a", "b"`, in the order given (upstream sorts most lists)."""
    names = ", ".join(map(goprint.quote, supported))
    return _build(NOT_SUPPORTED, path, "Unsupported value", value, f"supported values: {names}" if names else "")


def forbidden(path: str, detail: str = "") -> FieldError:
    """`Forbidden: detail`."""
    return _build(FORBIDDEN, path, "Forbidden", _OMITTED, detail)


def duplicate(path: str, value: Any) -> FieldError:
    """`Duplicate value: "x"`."""
    return _build(DUPLICATE, path, "Duplicate value", value, "")


def not_found(path: str, value: Any) -> FieldError:
    """`Not found: "x"`."""
    return _build(NOT_FOUND, path, "Not found", value, "")


def too_long(path: str, limit: int, *, unit: str = "byte") -> FieldError:
    """`Too long: may not be more than 63 bytes`; without a limit (negative) `value is too long`."""
    detail = f"may not be more than {limit} {unit}{'' if limit == 1 else 's'}" if limit >= 0 else "value is too long"
    return _build(TOO_LONG, path, "Too long", _OMITTED, detail)


def too_short(path: str, limit: int) -> FieldError:
    """`Too short: must be at least 3 characters`."""
    detail = f"must be at least {limit} character{'' if limit == 1 else 's'}" if limit >= 0 else "value is too short"
    return _build(TOO_SHORT, path, "Too short", _OMITTED, detail)


def too_many(path: str, actual: int, limit: int) -> FieldError:
    """`Too many: 3: must have at most 2 items`; the number is left out when negative."""
    detail = f"must have at most {limit} item{'' if limit == 1 else 's'}" if limit >= 0 else "has too many items"
    return _build(TOO_MANY, path, "Too many", actual if actual >= 0 else _OMITTED, detail)


def too_few(path: str, actual: int, limit: int) -> FieldError:
    """`Too few: 0: must have at least 1 item`; the number is left out when negative."""
    detail = f"must have at least {limit} item{'' if limit == 1 else 's'}" if limit >= 0 else "has too few items"
    return _build(TOO_FEW, path, "Too few", actual if actual >= 0 else _OMITTED, detail)


def internal(path: str, detail: str) -> FieldError:
    """`Internal error: detail`."""
    return _build(INTERNAL, path, "Internal error", _OMITTED, detail)


def invalid_each(path: str, value: Any, messages: Sequence[str]) -> list[FieldError]:
    """One `invalid` a message, as the checks of `sampan.api.names` give them."""
    return [invalid(path, value, message) for message in messages]


def aggregate(errors: Iterable[FieldError]) -> str:
    """Several findings as one text: upstream's aggregate, without repeats."""
    texts = list(dict.fromkeys(map(str, errors)))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def immutable(new: Any, old: Any, path: str) -> list[FieldError]:
    """`field is immutable` where the two differ."""
    return [] if new == old else [invalid(path, new, IMMUTABLE)]
