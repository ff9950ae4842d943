"""The chain of admission plugins, in its order.

Source: `k8s.io/apiserver/pkg/admission/chain.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.apiserver.admission.base import AdmissionRequest, Mutating, Validating


class Chain:
    """All mutating plugins, then (after the object has been validated) all validating ones."""

    def __init__(self, mutating: Sequence[Mutating], validating: Sequence[Validating]) -> None:
        self._mutating, self._validating = tuple(mutating), tuple(validating)

    async def admit(self, request: AdmissionRequest) -> None:
        """Let each change the object.

        Raises:
            ApiError: One refuses.
        """
        for plugin in self._mutating:
            if plugin.handles(request):
                await plugin.admit(request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Let each judge the object.

        Raises:
            ApiError: One refuses.
        """
        for plugin in self._validating:
            if plugin.handles(request):
                await plugin.validate(request)
