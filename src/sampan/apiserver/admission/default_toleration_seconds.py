"""DefaultTolerationSeconds: a pod stays five minutes on a node that went away, unless it says otherwise.

Source: kubernetes `plugin/pkg/admission/defaulttolerationseconds`.
"""

from __future__ import annotations

from sampan.api.core.v1 import Pod, Toleration
from sampan.apiserver.admission.base import AdmissionRequest

SECONDS = 300
KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds:
    """Adds the two tolerations."""

    name = "DefaultTolerationSeconds"

    def handles(self, request: AdmissionRequest) -> bool:
        """Pods themselves."""
        return (request.resource.plural == "pods" and not request.resource.group and not request.subresource
                and request.operation in ("CREATE", "UPDATE"))

    async def admit(self, request: AdmissionRequest) -> None:
        """Add what is missing."""
        pod: Pod = request.object
        covered = [t.key for t in pod.spec.tolerations if t.effect in ("NoExecute", "")]
        for key in KEYS:
            if key not in covered and "" not in covered:
                pod.spec.tolerations.append(
                    Toleration(key=key, operator="Exists", effect="NoExecute", tolerationSeconds=SECONDS))
