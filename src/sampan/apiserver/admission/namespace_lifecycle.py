"""NamespaceLifecycle: no objects in a namespace that is not there, no new ones in one that is going; some stay for ever.

Source: apiserver `pkg/admission/plugin/namespace/lifecycle`.
"""

from __future__ import annotations

from sampan.api.errors import NotFound
from sampan.api.resources import NAMESPACES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))


class NamespaceLifecycle:
    """Judges before anything else does."""

    name = "NamespaceLifecycle"

    def __init__(self, readers: Readers) -> None:
        self._namespaces = readers.of(NAMESPACES)

    def handles(self, request: AdmissionRequest) -> bool:
        """Namespaces' deletion, and whatever is made or changed in one."""
        if request.resource.plural == "namespaces" and not request.resource.group:
            return request.operation == "DELETE"
        if request.resource.plural == "localsubjectaccessreviews":
            return False
        return request.resource.namespaced and request.operation in ("CREATE", "UPDATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Refuse what has no place."""
        if request.operation == "DELETE":
            if request.name in IMMORTAL:
                raise forbidden(request, "this namespace may not be deleted")
            return
        entry = self._namespaces.get("", request.namespace)
        if entry is None:
            raise NotFound.of("namespaces", "", request.namespace)
        if request.operation == "CREATE" and entry.object.status.phase == "Terminating":
            error = forbidden(request, f"unable to create new content in namespace {request.namespace} because it is being terminated")
            error.details = error.details | {"causes": [{
                "reason": "NamespaceTerminating", "message": f"namespace {request.namespace} is being terminated",
                "field": "metadata.namespace"}]}
            raise error
