"""Remembering what a pure function made of a short text.

Clients choose such texts, so both how many are kept and how long each may be are bounded: a cache of `maxsize` texts of at
most `longest` characters can't grow beyond their product.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Generic, TypeVar

Text = TypeVar("Text", str, bytes)
Result = TypeVar("Result")
LONGEST = 1024


def remembered(maxsize: int, longest: int = LONGEST) -> Callable[[Callable[[Text], Result]], Callable[[Text], Result]]:
    """Like `functools.lru_cache`, but what is longer than `longest` is worked out each time and never kept."""

    def decorate(function: Callable[[Text], Result]) -> Callable[[Text], Result]:
        known = lru_cache(maxsize=maxsize)(function)

        @wraps(function)
        def call(text: Text) -> Result:
            return known(text) if len(text) <= longest else function(text)

        return call

    return decorate


class Passed(Generic[Text]):
    """Texts that passed a test: at most `maxsize` of them, those that passed last, each of at most `longest` characters.

    For tests whose subject is more than a text, but is told by one. The empty text is never kept: it stands for no text at all.
    """

    def __init__(self, maxsize: int, longest: int = LONGEST) -> None:
        self._maxsize, self._longest = maxsize, longest
        self._texts: dict[Text, None] = {}

    def __contains__(self, text: Text) -> bool:
        return text in self._texts

    def add(self, text: Text) -> None:
        """It passed."""
        if not 0 < len(text) <= self._longest:
            return
        if len(self._texts) >= self._maxsize:
            del self._texts[next(iter(self._texts))]
        self._texts[text] = None
