"""Small arithmetic that workloads share: percentages, template hashes. Pure."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

_sorted = msgspec.json.Encoder(enc_hook=str, order="sorted")

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
LONGEST_NUMBER = 10  # digits: as many as a 32-bit number may have


def number_of(text: str) -> int | None:
    """The number that an annotation or label holds; None: it is no whole 32-bit number.

    Source: Go `strconv.ParseInt(text, 10, 32)` without a leading plus.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > LONGEST_NUMBER:
        return None
    number = int(text)
    return number if -(2**31) <= number < 2**31 else None


def scaled(value: int | str | None, total: int, *, round_up: bool) -> int:
    """An IntOrString of `total`: "25%" of 10 is 2 or 3. None is 0."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    text = value.removesuffix("%")
    if text == value or not text.isdigit():
        raise ValueError(f"invalid value for IntOrString: {value!r} is neither an integer nor a percentage")
    share = int(text) * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def safe_hash(value: Any, collisions: int | None = None) -> str:
    """A short stable hash of a Struct in upstream's alphabet; another one for each number of collisions."""
    digest = hashlib.blake2s(_sorted.encode(value), digest_size=4)
    if collisions is not None:
        digest.update(collisions.to_bytes(4, "little", signed=True))
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(int.from_bytes(digest.digest(), "big")))
