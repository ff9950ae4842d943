"""MutatingAdmissionPolicy: changes in CEL that are made to objects, where a binding says so.

Source: apiserver `pkg/admission/plugin/policy/mutating`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sampan.api import codec, schema, typed
from sampan.api.admissionregistration.v1 import MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding
from sampan.api.cel.admission import OBJECT, PATCHES
from sampan.api.cel.environment import Program
from sampan.api.cel.errors import CelError
from sampan.api.cel.library.standard import to_string
from sampan.api.cel.values import Duration, Timestamp, UInt
from sampan.api.errors import ApiError
from sampan.api.patch import JsonPatch
from sampan.api.resources import MUTATING_ADMISSION_POLICIES
from sampan.api.schema import Shape
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.matching import matched
from sampan.apiserver.admission.policies import (
    CompiledPolicies,
    Expressions,
    PolicyError,
    no_others,
    parameters,
    selected,
    values_of,
)
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.admission.versions import Versions
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.watchcache import Readers
from sampan.kinds.all import kind_of

_DEDUCED = Shape("deduced")


class _Policy:
    """A policy with its expressions compiled."""

    def __init__(self, policy: MutatingAdmissionPolicy) -> None:
        spec = policy.spec
        self.name, self.spec, self.ignores = policy.metadata.name, spec, spec.failurePolicy == "Ignore"
        self.again = spec.reinvocationPolicy == "IfNeeded"
        self.expressions = Expressions(params=spec.paramKind is not None, variables=spec.variables, conditions=spec.matchConditions,
                                       mutating=True)
        self.mutations: list[Program | str] = []
        for one in spec.mutations:
            if one.patchType == "JSONPatch" and one.jsonPatch is not None:
                self.mutations.append(self.expressions.of(one.jsonPatch.expression, PATCHES))
            elif one.applyConfiguration is not None:
                self.mutations.append(self.expressions.of(one.applyConfiguration.expression, OBJECT))

    def mutate(self, values: dict[str, Any], shape: Shape) -> dict[str, Any]:
        """The object's tree after all mutations; the one given stays as it is.

        Raises:
            PolicyError: A mutation failed.
        """
        tree: dict[str, Any] = values["object"]
        for program in self.mutations:
            try:
                if isinstance(program, str):
                    raise CelError(program)
                made = plain(self.expressions.scope(values | {"object": tree}).run(program))
                tree = self._patched(tree, made, shape)
            except (CelError, ApiError, typed.TypedError) as error:
                raise PolicyError(str(error)) from None
        return tree

    @staticmethod
    def _patched(tree: dict[str, Any], made: Any, shape: Shape) -> dict[str, Any]:
        if isinstance(made, list):
            # the patch works in place
            result: Any = JsonPatch(codec.encode(made)).apply(codec.loads(codec.encode(tree)))
        else:
            for key in ("apiVersion", "kind"):
                if made.get(key, tree.get(key)) != tree.get(key):
                    raise CelError(f"{key} may not be changed")
            result = typed.merge(shape, tree, made)
        if not isinstance(result, dict):
            raise CelError("the mutation left no object")
        return result


def plain(value: Any) -> Any:
    """A value of an expression as JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, UInt):
        return int(value)
    if isinstance(value, bytes | Timestamp | Duration):
        return to_string(value)
    return value


class MutatingPolicies:
    """Changes objects by every policy that a binding puts to work."""

    def __init__(self, readers: Readers, authorizers: Authorizers, versions: Versions | None) -> None:
        self._readers, self._authorizers, self._versions = readers, authorizers, versions
        self._others = versions.others if versions is not None else no_others
        self._policies = CompiledPolicies(readers.of(MUTATING_ADMISSION_POLICIES), _Policy)

    def admit(self, request: AdmissionRequest, bindings: list[MutatingAdmissionPolicyBinding]) -> None:
        """Make the changes.

        Raises:
            ApiError: A policy failed and does not say Ignore.
        """
        last = -1  # the last policy that changed something
        ran = list(self._applied(bindings))
        for index, (policy, binding) in enumerate(ran):
            if self._apply(policy, binding, request):
                last = index
        for policy, binding in ran[:max(last, 0)]:
            if policy.again:
                self._apply(policy, binding, request)

    def _applied(self, bindings: list[MutatingAdmissionPolicyBinding]) -> Iterator[tuple[_Policy, MutatingAdmissionPolicyBinding]]:
        for binding in bindings:
            policy = self._policies.get(binding.spec.policyName)
            if policy is not None:
                yield policy, binding

    def _apply(self, policy: _Policy, binding: MutatingAdmissionPolicyBinding, request: AdmissionRequest) -> bool:
        resource = matched(policy.spec.matchConstraints, request, self._readers, self._others)
        if resource is None or matched(binding.spec.matchResources, request, self._readers, self._others) is None:
            return False
        seen = self._versions.shown(request, resource) if self._versions is not None else request
        try:
            values = values_of(request, seen, self._readers, self._authorizers)
            shape = schema.of_resource(seen.resource) or _DEDUCED
            tree = values["object"]
            for params in parameters(policy.spec.paramKind, binding.spec.paramRef, request.namespace, self._readers, self._versions):
                given = values | {"object": tree, "params": params}
                if selected(policy.expressions, given):
                    tree = policy.mutate(given, shape)
        except PolicyError as error:
            if policy.ignores:
                return False
            raise forbidden(request, f"policy '{policy.name}' with binding '{binding.metadata.name}' denied request: {error}") from None
        if tree == values["object"]:
            return False
        self._put(seen, tree)
        if self._versions is not None:
            request.object = self._versions.back(request, seen)
        return True

    @staticmethod
    def _put(request: AdmissionRequest, tree: dict[str, Any]) -> None:
        if isinstance(request.object, dict):
            request.object = tree
            return
        made = codec.convert(type(request.object), tree)
        if not request.subresource:
            kind_of(request.resource).default(made)
        request.object = made
