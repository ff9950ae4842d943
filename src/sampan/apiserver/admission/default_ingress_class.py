"""DefaultIngressClass: an ingress that names no class gets the default one.

Source: kubernetes `plugin/pkg/admission/network/defaultingressclass`.
"""

from __future__ import annotations

from sampan.api.networking.v1 import Ingress
from sampan.api.resources import INGRESS_CLASSES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.storage import newest
from sampan.apiserver.watchcache import Readers

DEFAULT = "ingressclass.kubernetes.io/is-default-class"
OLD_WAY = "kubernetes.io/ingress.class"


class DefaultIngressClass:
    """Sets the class."""

    name = "DefaultIngressClass"

    def __init__(self, readers: Readers) -> None:
        self._classes = readers.of(INGRESS_CLASSES)

    def handles(self, request: AdmissionRequest) -> bool:
        """New ingresses."""
        return request.resource.plural == "ingresses" and not request.subresource and request.operation == "CREATE"

    async def admit(self, request: AdmissionRequest) -> None:
        """Set it; of several defaults the newest."""
        ingress: Ingress = request.object
        if ingress.spec.ingressClassName is not None or OLD_WAY in ingress.metadata.annotations:
            return
        marked = [e.object for e in self._classes.entries() if e.object.metadata.annotations.get(DEFAULT) == "true"]
        found = newest(marked)
        if found is not None:
            ingress.spec.ingressClassName = found.metadata.name
