"""The blocks of PEM text, found in time that grows with its length alone: clients send such text.

Leaves what is in a block to whoever wants it. Source: Go `encoding/pem`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_BEGIN, _END, _DASHES = b"-----BEGIN ", b"-----END ", b"-----"


class Block(NamedTuple):
    """One block: what it says it is, what stands between its lines, and all of it."""

    label: bytes
    inside: bytes
    whole: bytes


def blocks(text: bytes) -> Iterator[Block]:
    """Every block in its order; a beginning whose next end is another's, or has none, is passed over."""
    at, end = 0, -1
    while (start := text.find(_BEGIN, at)) >= 0:
        head = text.find(_DASHES, start + len(_BEGIN))
        if head < 0:
            return
        at = start + len(_BEGIN)
        if end < head:
            end = text.find(_END, head)
        if end < 0:
            return
        label, body = text[start + len(_BEGIN):head], head + len(_DASHES)
        if b"\n" in label or not text.startswith(label + _DASHES, end + len(_END)):
            continue
        at = end + len(_END) + len(label) + len(_DASHES)
        yield Block(label, text[body:end].strip(), text[start:at])
