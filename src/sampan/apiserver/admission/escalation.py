"""RBACEscalation: nobody writes a role or binding that grants what he lacks.

Upstream does this in the storage of these kinds, behind mutating admission and before validation: that is the end of
the mutating round. The rules are in `sampan.apiserver.auth.escalation`.
"""

from __future__ import annotations

from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.auth.escalation import GROUP, check_binding, check_role


class RbacEscalation:
    """No upstream plugin; always on."""

    name = "RBACEscalation"

    def __init__(self, authorizers: Authorizers) -> None:
        self._authorizers = authorizers

    def handles(self, request: AdmissionRequest) -> bool:
        """Writes of the four kinds."""
        return request.resource.group == GROUP and request.operation in ("CREATE", "UPDATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Refuse what escalates."""
        plural = request.resource.plural
        check = check_role if plural in ("roles", "clusterroles") else check_binding
        check(plural, request.namespace, request.object, request.old, request.user, self._authorizers)
