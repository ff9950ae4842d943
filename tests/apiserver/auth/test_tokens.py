from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sampan.apiserver.auth.tokens import BadCredentials, TokenAnswer, TokenUnion
from sampan.apiserver.request import User


class Knows:
    """Knows one token, and of another that it is bad."""

    def __init__(self, token: str, bad: str = "", why: str = "") -> None:
        self._token, self._bad, self._why = token, bad, why

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        if token == self._bad:
            raise BadCredentials(self._why)
        return TokenAnswer(User(token), tuple(audiences)) if token == self._token else None


UNION = TokenUnion([Knows("a", bad="x", why="expired"), Knows("b", bad="x", why="expired"), Knows("x1", bad="y", why="odd")])


def _why(token: str, union: TokenUnion = UNION) -> str:
    with pytest.raises(BadCredentials) as caught:
        asyncio.run(union.authenticate_token(token, ["aud"]))
    assert caught.value.message == "Unauthorized"
    return caught.value.why


def test_the_first_that_knows_a_token_decides() -> None:
    assert asyncio.run(UNION.authenticate_token("b", ["aud"])).user.name == "b"
    assert _why("none") == "invalid bearer token"


def test_reasons_are_told_once_each() -> None:
    assert _why("x") == "[invalid bearer token, expired]"
    assert _why("y") == "[invalid bearer token, odd]"


def test_one_that_knows_it_outweighs_one_that_refuses() -> None:
    union = TokenUnion([Knows("", bad="t", why="not mine"), Knows("t")])
    assert asyncio.run(union.authenticate_token("t", ["aud"])).user.name == "t"
