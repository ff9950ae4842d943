"""The authorizers in their order: system:masters, nodes, RBAC. The first that allows decides.

Source: kubernetes `pkg/kubeapiserver/authorizer`, apiserver `authorization/union`, `authorizerfactory`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.apiserver.auth.base import Authorizer, Decision
from sampan.apiserver.auth.nodes import NodeAuthorizer
from sampan.apiserver.auth.rbac import Rbac
from sampan.apiserver.request import Attributes, User
from sampan.apiserver.watchcache import Readers

MASTERS = "system:masters"
_ALLOWED = Decision(True)

Rules = tuple[list[dict[str, list[str]]], list[dict[str, list[str]]], bool]


class Authorizers:
    """Members of system:masters may do everything; everybody else what one of `chain` allows.

    A webhook authorizer takes its place in `chain`.
    """

    def __init__(self, rbac: Rbac, chain: Sequence[Authorizer]) -> None:
        self.rbac = rbac
        self._chain = tuple(chain)

    def authorize(self, attributes: Attributes) -> Decision:
        """The first that allows; otherwise all reasons, a line each."""
        if MASTERS in attributes.user.groups:
            return _ALLOWED
        reasons = []
        for authorizer in self._chain:
            decision = authorizer.authorize(attributes)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))

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


def default_authorizers(readers: Readers) -> Authorizers:
    """What `--authorization-mode=Node,RBAC` means."""
    rbac = Rbac(readers)
    return Authorizers(rbac, (NodeAuthorizer(readers), rbac))
