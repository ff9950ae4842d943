"""The authorizers in their order: system:masters, nodes, RBAC, webhooks. The first that allows or denies decides.

Source: kubernetes `pkg/kubeapiserver/authorizer`, apiserver `authorization/union`, `authorizerfactory`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.aio.clock import AsyncClock
from sampan.apiserver.auth.base import Authorization, Authorizer, Decision
from sampan.apiserver.auth.nodes import NodeAuthorizer
from sampan.apiserver.auth.rbac import Rbac
from sampan.apiserver.request import Attributes, User
from sampan.apiserver.watchcache import Readers

MASTERS = "system:masters"
_ALLOWED = Decision(True)

Rules = tuple[list[dict[str, list[str]]], list[dict[str, list[str]]], bool]


class Authorizers:
    """Members of system:masters may do everything; everybody else what one of `chain` allows."""

    def __init__(self, rbac: Rbac, chain: Sequence[Authorizer]) -> None:
        self.rbac = rbac
        self._chain = tuple(chain)

    def authorize(self, attributes: Attributes) -> Decision:
        """The first that allows; otherwise all reasons, a line each."""
        if MASTERS in attributes.user.groups:
            return _ALLOWED
        reasons, errors = [], []
        for authorizer in self._chain:
            decision = authorizer.authorize(attributes)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
            if decision.error:
                errors.append(decision.error)
            if decision.denied:
                return Decision(False, "\n".join(reasons), True, "; ".join(errors))
        return Decision(False, "\n".join(reasons), False, "; ".join(errors))

    def rules_for(self, user: User, namespace: str) -> Rules:
        """What all of them would allow, as far as they can tell."""
        resources: list[dict[str, list[str]]] = []
        urls: list[dict[str, list[str]]] = []
        incomplete = False
        for authorizer in self._chain:
            found, paths, unsure = authorizer.rules_for(user, namespace)
            resources += found
            urls += paths
            incomplete = incomplete or unsure
        return resources, urls, incomplete


    @property
    def unlisted(self) -> str:
        """What upstream says where an authorizer can't list rules: empty where all can, nodes' aside."""
        return "webhook authorizer does not support user rule resolution" if any(hasattr(one, "ask") for one in self._chain) else ""

    async def close(self) -> None:
        """Close the webhooks' connections."""
        for authorizer in self._chain:
            close = getattr(authorizer, "close", None)
            if close is not None:
                await close()


class Always:
    """The modes AlwaysAllow and AlwaysDeny."""

    def __init__(self, *, allowed: bool) -> None:
        self._decision = _ALLOWED if allowed else Decision(False, "Everything is forbidden.")

    def authorize(self, attributes: Attributes) -> Decision:
        """Always the same."""
        return self._decision

    def rules_for(self, user: User, namespace: str) -> Rules:
        """Everything, or nothing."""
        if not self._decision.allowed:
            return [], [], False
        return [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}], [{"verbs": ["*"], "nonResourceURLs": ["*"]}], False


def default_authorizers(readers: Readers, authorization: Authorization = Authorization(), clock: AsyncClock | None = None) -> Authorizers:
    """The configured ones; by default what `--authorization-mode=Node,RBAC` means. Webhooks need the clock."""
    rbac = Rbac(readers)
    made: list[Authorizer] = []
    for one in authorization.chain:
        if not isinstance(one, str):
            from sampan.apiserver.auth.authzwebhook import (
                WebhookAuthorizer,  # what it needs is imported for those who have one
            )

            assert clock is not None
            made.append(WebhookAuthorizer(one, clock))
        elif one == "RBAC":
            made.append(rbac)
        else:
            made.append(NodeAuthorizer(readers) if one == "Node" else Always(allowed=one == "AlwaysAllow"))
    return Authorizers(rbac, made)
