"""The two plugins of admission policies. What evaluates them is imported with the first binding: it takes a while.

Source: apiserver `pkg/admission/plugin/policy/{validating,mutating}/plugin.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sampan.api.resourceinfo import Resource
from sampan.api.resources import MUTATING_ADMISSION_POLICY_BINDINGS, VALIDATING_ADMISSION_POLICY_BINDINGS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.auth.asking import Undecided
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.catalog import Catalog
from sampan.apiserver.watchcache import Readers

if TYPE_CHECKING:
    from sampan.apiserver.admission.mutating_policies import MutatingPolicies
    from sampan.apiserver.admission.validating_policies import ValidatingPolicies

FindResource = Callable[[str, str], Resource[Any] | None]
"""The resource of (apiVersion, kind)."""
_UNTOUCHED = frozenset(("validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies",
                        "mutatingadmissionpolicybindings"))
_REVIEWS = frozenset(("authentication.k8s.io", "authorization.k8s.io"))


def concerns(request: AdmissionRequest) -> bool:
    """Policies judge everything but themselves and reviews: nobody can lock himself out."""
    group, plural = request.resource.group, request.resource.plural
    return not ((group == "admissionregistration.k8s.io" and plural in _UNTOUCHED) or group in _REVIEWS)


def finder(catalog: Catalog) -> FindResource:
    """Finds every resource that is served, custom ones as well, where it is stored."""
    def find(api_version: str, kind: str) -> Resource[Any] | None:
        return next((one.stored for one in catalog if one.resource.kind == kind and one.resource.group_version == api_version and not one.virtual), None)
    return find


class ValidatingAdmissionPolicies:
    """Judges by every policy that a binding puts to work."""

    name = "ValidatingAdmissionPolicy"

    def __init__(self, readers: Readers, authorizers: Authorizers, find: FindResource | None = None) -> None:
        self._readers, self._authorizers, self._find = readers, authorizers, find
        self._policies: ValidatingPolicies | None = None

    def handles(self, request: AdmissionRequest) -> bool:
        """Everything but policies and reviews."""
        return concerns(request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse, warn or note, as the bindings say.

        Raises:
            ApiError: A validation with the action Deny does not hold.
        """
        bindings = [entry.object for entry in self._readers.of(VALIDATING_ADMISSION_POLICY_BINDINGS).entries()]
        if not bindings:
            return
        if self._policies is None:
            from sampan.apiserver.admission.validating_policies import ValidatingPolicies
            self._policies = ValidatingPolicies(self._readers, self._authorizers, self._find)
        self._policies.validate(request, bindings)


class MutatingAdmissionPolicies:
    """Changes objects by every policy that a binding puts to work."""

    name = "MutatingAdmissionPolicy"

    def __init__(self, readers: Readers, authorizers: Authorizers, find: FindResource | None = None) -> None:
        self._readers, self._authorizers, self._find = readers, authorizers, find
        self._policies: MutatingPolicies | None = None

    def handles(self, request: AdmissionRequest) -> bool:
        """What has an object, but for policies and reviews."""
        return concerns(request) and request.operation in ("CREATE", "UPDATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Make the changes.

        Raises:
            ApiError: A policy failed and does not say Ignore.
        """
        bindings = [entry.object for entry in self._readers.of(MUTATING_ADMISSION_POLICY_BINDINGS).entries()]
        if not bindings:
            return
        if self._policies is None:
            from sampan.apiserver.admission.mutating_policies import MutatingPolicies
            self._policies = MutatingPolicies(self._readers, self._authorizers, self._find)
        before = request.object
        try:
            self._policies.admit(request, bindings)
        except Undecided:
            request.object = before
            raise
