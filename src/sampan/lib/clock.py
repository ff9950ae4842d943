"""Time and identity as arguments: the protocols that components are given instead of calling `time` or `uuid`."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time and steady time. `sampan.aio.clock` adds sleeping and has the system's and the virtual one."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...


class Identity:
    """Where uids (`rng`), random suffixes and jitter (`chance`) come from; one seeded source in tests, the system's entropy otherwise."""

    # upstream's alphabet for generated names: no vowels, nothing that reads like another character
    ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

    def __init__(self, rng: random.Random | None = None) -> None:
        self.rng = rng or random.SystemRandom()
        # for what may be guessed, as upstream's names and jitter may: each number of the other is a call of the system
        self.chance = rng or random.Random()

    def uid(self) -> str:
        """A version 4 UUID as text."""
        bits = self.rng.getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62  # RFC 9562: version 4, variant 10
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def suffix(self, length: int = 5) -> str:
        """The random end of a generated name."""
        return "".join(self.chance.choices(self.ALPHABET, k=length))


def utc(moment: datetime) -> datetime:
    """The same moment in UTC."""
    return moment.astimezone(UTC)
