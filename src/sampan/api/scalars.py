"""The scalars of the wire and the base class of every wire Struct.

Owns: `Quantity`, `Time`, `MicroTime` (strings that are canonical by construction), `Int32`, `Int64`,
`IntOrString`, and the small factories that generated fields use as defaults. A default made by one of these
factories is always written (Go: no `omitempty`); a plain default is left out (Go: `omitempty`).
Leaves quantity arithmetic to `sampan.api.quantity`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Int32: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
IntOrString: TypeAlias = Int32 | str

_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_MICROS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)")


class Wire(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of every generated wire type: camelCase fields as in JSON, Go's rules for what is left out."""


class Quantity(str):
    """A resource amount in its canonical form, as Go's `resource.Quantity` marshals it: "100m", "1536Mi".

    Decoding canonicalises; constructing one from text that is already canonical is the caller's promise.
    """

    __slots__ = ()


class Time(str):
    """RFC 3339 in UTC with whole seconds: `2026-01-02T03:04:05Z`. Sorts as text in the order of time."""

    __slots__ = ()

    @classmethod
    def of(cls, moment: datetime) -> Time:
        """The wire form of an aware datetime, cut to whole seconds."""
        return cls(_utc(moment).isoformat(timespec="seconds")[:19] + "Z")

    @classmethod
    def parse(cls, text: str) -> Time:
        """Normalise any RFC 3339 text.

        Raises:
            ValueError: It is not RFC 3339.
        """
        return cls(text) if _SECONDS.fullmatch(text) and _valid(text) else cls.of(_parse(text))

    def moment(self) -> datetime:
        """The aware datetime this stands for."""
        return datetime.fromisoformat(self)


class MicroTime(str):
    """RFC 3339 in UTC with six decimals: `2026-01-02T03:04:05.000006Z`."""

    __slots__ = ()

    @classmethod
    def of(cls, moment: datetime) -> MicroTime:
        """The wire form of an aware datetime."""
        return cls(_utc(moment).isoformat(timespec="microseconds")[:26] + "Z")

    @classmethod
    def parse(cls, text: str) -> MicroTime:
        """Normalise RFC 3339 text with exactly six decimals, as upstream wants it.

        Raises:
            ValueError: It is anything else.
        """
        match = _MICROS.fullmatch(text)
        if match is None:
            raise ValueError(f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse it with six decimals')
        return cls(text) if match[1] == "Z" and _valid(text) else cls.of(_parse(text))

    def moment(self) -> datetime:
        """The aware datetime this stands for."""
        return datetime.fromisoformat(self)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _valid(text: str) -> bool:
    datetime.fromisoformat(text)
    return True


def _parse(text: str) -> datetime:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse it as RFC 3339')
    fraction = (match[2] or "").ljust(6, "0")[:6]
    return datetime.fromisoformat(f"{match[1]}.{fraction}{match[3]}")


def none() -> None:
    """The default of a field that Go writes as null when it is not set."""


def zero() -> int:
    return 0


def false() -> bool:
    return False


def empty_string() -> str:
    return ""


def empty_bytes() -> bytes:
    return b""


def zero_quantity() -> Quantity:
    return Quantity("0")
