"""The two questions of identity, as protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sampan.apiserver.request import Attributes, RequestInfo, User

if TYPE_CHECKING:
    from sampan.apiserver.auth.authzwebhook import WebhookSettings


class Authenticator(Protocol):
    """Tells who is asking from credentials that it knows."""

    async def authenticate(self, request: RequestInfo) -> User | None:
        """The user, with `system:authenticated` among the groups; None: no credentials of this kind.

        Raises:
            Unauthorized: There are credentials of this kind and they are not good.
        """
        ...


class Decision(NamedTuple):
    """`allowed`, or why not (`reason` may be empty; upstream's words). `denied`: nobody further is asked.

    `error`: why an authorizer could not tell.
    """

    allowed: bool
    reason: str = ""
    denied: bool = False
    error: str = ""


class Authorizer(Protocol):
    """Tells whether it may be done. The first authorizer that allows or denies decides; none: forbidden."""

    def authorize(self, attributes: Attributes) -> Decision:
        """Decide at once.

        Raises:
            Undecided: Another server has to be asked first: see `asking`.
        """
        ...

    def rules_for(self, user: User, namespace: str) -> tuple[list[dict[str, list[str]]], list[dict[str, list[str]]], bool]:
        """(resource rules, non-resource rules, incomplete) for SelfSubjectRulesReview."""
        ...


@dataclass(frozen=True)
class Authorization:
    """Authorizers in their order: names of modes (`authzconfig.TYPES`), settings of webhooks."""

    chain: Sequence[str | WebhookSettings] = ("Node", "RBAC")
