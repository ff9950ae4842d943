"""The two plugins of admission policies. What evaluates them is imported with the first binding: it takes a while.

Source: apiserver `pkg/admission/plugin/policy/{validating,mutating}/plugin.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.resources import MUTATING_ADMISSION_POLICY_BINDINGS, VALIDATING_ADMISSION_POLICY_BINDINGS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.versions import Versions
from sampan.apiserver.auth.asking import Undecided
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.watchcache import Reader, Readers

if TYPE_CHECKING:
    from sampan.apiserver.admission.mutating_policies import MutatingPolicies
    from sampan.apiserver.admission.validating_policies import ValidatingPolicies

_UNTOUCHED = frozenset(("validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies",
                        "mutatingadmissionpolicybindings"))
_REVIEWS = frozenset(("authentication.k8s.io", "authorization.k8s.io"))


def concerns(request: AdmissionRequest) -> bool:
    """Policies judge everything but themselves and reviews: nobody can lock himself out."""
    group, plural = request.resource.group, request.resource.plural
    return not ((group == "admissionregistration.k8s.io" and plural in _UNTOUCHED) or group in _REVIEWS)


class _Bindings:
    """All bindings, read anew when one has changed: nearly always there is none, and every write asks."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._seen = reader, -1
        self._all: list[Any] = []

    def all(self) -> list[Any]:
        """Their objects; shared, read-only."""
        if self._seen != self._reader.generation:
            self._seen, self._all = self._reader.generation, [entry.object for entry in self._reader.entries()]
        return self._all


class ValidatingAdmissionPolicies:
    """Judges by every policy that a binding puts to work."""

    name = "ValidatingAdmissionPolicy"

    def __init__(self, readers: Readers, authorizers: Authorizers, versions: Versions | None = None) -> None:
        self._readers, self._authorizers, self._versions = readers, authorizers, versions
        self._bindings = _Bindings(readers.of(VALIDATING_ADMISSION_POLICY_BINDINGS))
        self._policies: ValidatingPolicies | None = None

    def handles(self, request: AdmissionRequest) -> bool:
        """Everything but policies and reviews."""
        return concerns(request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse, warn or note, as the bindings say.

        Raises:
            ApiError: A validation with the action Deny does not hold.
        """
        bindings = self._bindings.all()
        if not bindings:
            return
        if self._policies is None:
            from sampan.apiserver.admission.validating_policies import ValidatingPolicies
            self._policies = ValidatingPolicies(self._readers, self._authorizers, self._versions)
        self._policies.validate(request, bindings)


class MutatingAdmissionPolicies:
    """Changes objects by every policy that a binding puts to work."""

    name = "MutatingAdmissionPolicy"

    def __init__(self, readers: Readers, authorizers: Authorizers, versions: Versions | None = None) -> None:
        self._readers, self._authorizers, self._versions = readers, authorizers, versions
        self._bindings = _Bindings(readers.of(MUTATING_ADMISSION_POLICY_BINDINGS))
        self._policies: MutatingPolicies | None = None

    def handles(self, request: AdmissionRequest) -> bool:
        """What has an object, but for policies and reviews."""
        return concerns(request) and request.operation in ("CREATE", "UPDATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Make the changes.

        Raises:
            ApiError: A policy failed and does not say Ignore.
        """
        bindings = self._bindings.all()
        if not bindings:
            return
        if self._policies is None:
            from sampan.apiserver.admission.mutating_policies import MutatingPolicies
            self._policies = MutatingPolicies(self._readers, self._authorizers, self._versions)
        before = request.object
        try:
            self._policies.admit(request, bindings)
        except Undecided:
            request.object = before
            raise
