"""Tokens that another server knows: a TokenReview for each that nobody here knows.

Source: apiserver `plugin/pkg/authenticator/token/webhook`, `pkg/authentication/token/cache`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.apiserver.auth.remembered import Remembered
from sampan.apiserver.auth.remote import NoAnswer, RemoteReviews
from sampan.apiserver.auth.tokens import BadCredentials, TokenAnswer
from sampan.apiserver.request import User
from sampan.client.kubeconfig import Access

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0


class _Answered:
    """What was answered: somebody, or why nobody."""

    def __init__(self, answer: TokenAnswer | None, error: str) -> None:
        self.answer, self.error = answer, error


class WebhookTokens:
    """Asks a webhook, and remembers what it said."""

    def __init__(self, access: Access, clock: AsyncClock, audiences: Sequence[str], *, version: str = "v1beta1", seconds: float = 120.0) -> None:
        """`audiences` are the API server's own; `seconds` is how long an answer counts."""
        self._reviews = RemoteReviews(access, clock, seconds=REQUEST_SECONDS)
        self._version, self._seconds, self._own = version, seconds, tuple(audiences)
        self._known: Remembered[_Answered] = Remembered(clock)

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._reviews.close()

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        """Whose it is, in the webhook's words.

        Raises:
            BadCredentials: It can't be asked, or says that the token is not good.
        """
        key = (hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), tuple(audiences))
        known = self._known.get(key)
        if known is None:
            known = await self._ask(token, audiences)
            self._known.put(key, known, self._seconds)
        if known.error:
            raise BadCredentials(known.error)
        return known.answer

    async def _ask(self, token: str, audiences: Sequence[str]) -> _Answered:
        spec: dict[str, Any] = {"token": token, "audiences": list(audiences)}
        try:
            status = await self._reviews.status({"kind": "TokenReview", "apiVersion": f"authentication.k8s.io/{self._version}", "spec": spec})
        except NoAnswer as error:
            log.error("a token could not be asked about", extra={"why": str(error)})
            raise BadCredentials(str(error)) from None
        if not status.get("authenticated"):
            return _Answered(None, str(status.get("error") or ""))
        try:
            user = _user(status.get("user") or {})
        except (TypeError, AttributeError, ValueError):
            raise BadCredentials("webhook: the answer's user is none") from None
        if not user.name:
            return _Answered(None, "webhook: the answer names no user")
        good = status.get("audiences") or list(self._own)  # upstream: an answer without audiences is for the server's own
        return _Answered(TokenAnswer(user, tuple(one for one in audiences if one in good)), "") if set(good) & set(audiences) else _Answered(None, "")


def _user(wire: dict[str, Any]) -> User:
    groups, extra = wire.get("groups") or [], wire.get("extra") or {}
    if not all(isinstance(group, str) for group in groups) or not all(isinstance(value, str) for values in extra.values() for value in values):
        raise ValueError("groups and extra are strings")
    return User(str(wire.get("username") or ""), str(wire.get("uid") or ""), tuple(groups), {key: tuple(values) for key, values in extra.items()})
