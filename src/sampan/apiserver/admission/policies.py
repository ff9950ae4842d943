"""What validating and mutating admission policies share: which hold, with which parameters, and what expressions see.

Source: apiserver `pkg/admission/plugin/policy/generic`, `pkg/admission/plugin/cel`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from sampan.api import codec, resources, selectors
from sampan.api.admissionregistration.v1 import MatchCondition, ParamKind, ParamRef, Variable
from sampan.api.cel.admission import Compiled, compile_as, environment, with_variables
from sampan.api.cel.environment import PER_CALL_LIMIT, Environment, Program
from sampan.api.cel.errors import CelError, CostExceeded
from sampan.api.cel.library.authorizer import Authorizer, Question, ResourceCheck
from sampan.api.cel.types import BOOL, Type
from sampan.api.cel.values import LazyMap
from sampan.api.resourceinfo import Resource
from sampan.api.resources import NAMESPACES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.matching import labels_of
from sampan.apiserver.admission.versions import Versions
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.entries import Entry
from sampan.apiserver.request import Attributes, User
from sampan.apiserver.watchcache import Reader, Readers

BUDGET = 10_000_000
"""What all expressions of one policy may cost in one request."""


class PolicyError(Exception):
    """A policy or binding that cannot be evaluated; its failurePolicy decides."""


@cache
def _built_in() -> Mapping[tuple[str, str], Resource[Any]]:
    return {(one.group_version, one.kind): one for one in reversed(resources.ALL)}


def find_built_in(api_version: str, kind: str) -> Resource[Any] | None:
    """The built-in resource of a kind."""
    return _built_in().get((api_version, kind))


# ---- expressions ---------------------------------------------------------------------------------------------------


@dataclass
class Scope:
    """What one policy's expressions see in one request, and what is left of their budget."""

    values: dict[str, Any]
    left: int = BUDGET

    def run(self, program: Program) -> Any:
        """The value.

        Raises:
            CelError: Or the budget is spent.
        """
        limit = min(PER_CALL_LIMIT, self.left)
        try:
            value, cost = program.measure(self.values, limit)
        except CostExceeded as error:
            self.left = max(0, self.left - limit)
            raise CelError(str(error)) from None
        self.left -= cost
        return value


P = TypeVar("P")


class CompiledPolicies(Generic[P]):
    """Policies of one resource as `make` compiles them: each once, until it changes."""

    def __init__(self, reader: Reader, make: Callable[[Any], P]) -> None:
        self._reader, self._make = reader, make
        self._known: dict[str, tuple[Entry, P]] = {}

    def get(self, name: str) -> P | None:
        """The policy of this name as it is now; None: there is none."""
        entry = self._reader.get("", name)
        if entry is None:
            self._known.pop(name, None)
            return None
        known = self._known.get(name)
        if known is None or known[0] is not entry:
            known = self._known[name] = (entry, self._make(entry.object))
        return known[1]


class Expressions:
    """A policy's expressions, compiled once."""

    def __init__(self, *, params: bool, variables: list[Variable], conditions: list[MatchCondition], mutating: bool = False) -> None:
        base = environment(params=params, mutating=mutating)
        self.conditions = [(one.name, self._must(compile_as(environment(params=params), one.expression, (BOOL,)))) for one in conditions]
        self.env: Environment
        self.env, compiled = with_variables(base, [(one.name, one.expression) for one in variables])
        self.variables = [(one.name, self._must(program)) for one, program in zip(variables, compiled, strict=True)]

    @staticmethod
    def _must(compiled: Compiled) -> Program | str:
        return compiled.program or compiled.problem

    def of(self, expression: str, *wanted: Type) -> Program | str:
        """The program, or why there is none."""
        return self._must(compile_as(self.env, expression, wanted))

    def scope(self, values: Mapping[str, Any]) -> Scope:
        """A scope with the policy's variables, worked out when they are asked for."""
        scope = Scope(dict(values))
        scope.values["variables"] = LazyMap({name: _later(scope, program) for name, program in self.variables})
        return scope


def _later(scope: Scope, program: Program | str) -> Callable[[], Any]:
    def make() -> Any:
        if isinstance(program, str):
            raise CelError(program)
        return scope.run(program)
    return make


def selected(expressions: Expressions, values: Mapping[str, Any]) -> bool:
    """Whether all match conditions hold.

    Raises:
        PolicyError: One failed and none is false.
    """
    scope = Scope(dict(values))
    failed: list[str] = []
    for name, program in expressions.conditions:
        try:
            if isinstance(program, str):
                raise CelError(program)
            if scope.run(program) is False:
                return False
        except CelError as error:
            failed.append(f"matchCondition '{name}' failed: {error}" if not failed else str(error))
    if failed:
        raise PolicyError("; ".join(failed))
    return True


# ---- what they see -------------------------------------------------------------------------------------------------


def tree_of(obj: Any) -> Any:
    """An object as expressions see it."""
    return obj if obj is None or isinstance(obj, dict) else codec.to_builtins(obj)


def no_others(resource: Resource[Any]) -> list[Resource[Any]]:
    """Nothing else shows its objects, as far as is known."""
    return []


def values_of(request: AdmissionRequest, seen: AdmissionRequest, readers: Readers, authorizers: Authorizers) -> dict[str, Any]:
    """The variables of one request as the policy has `seen` it, `params` aside."""
    resource = request.resource
    namespace = readers.of(NAMESPACES).get("", request.namespace) if request.namespace and resource.plural != "namespaces" else None
    return {
        "object": tree_of(seen.object), "oldObject": tree_of(seen.old), "request": request_value(request, seen.resource),
        "namespaceObject": tree_of(namespace.object) if namespace is not None else None, "params": None,
        **authorizer_values(request, authorizers),
    }


def authorizer_values(request: AdmissionRequest, authorizers: Authorizers) -> dict[str, Any]:
    """`authorizer` and `authorizer.requestResource`."""
    ask, resource = asker(authorizers, request.user), request.resource
    check = Question(group=resource.group, resource=resource.plural, subresource=request.subresource, namespace=request.namespace,
                     name=request.name)
    return {"authorizer": Authorizer(ask), "authorizer.requestResource": ResourceCheck(ask, check)}


def request_value(request: AdmissionRequest, seen: Resource[Any]) -> dict[str, Any]:
    """`request`, as in an AdmissionReview."""
    resource, user = request.resource, request.user
    kind, asked_kind = ({"group": one.group, "version": one.version, "kind": one.kind} for one in (seen, resource))
    place, asked_place = ({"group": one.group, "version": one.version, "resource": one.plural} for one in (seen, resource))
    who: dict[str, Any] = {"username": user.name, "uid": user.uid, "groups": list(user.groups),
                           "extra": {key: list(items) for key, items in user.extra.items()}}
    return {
        "kind": kind, "resource": place, "requestKind": asked_kind, "requestResource": asked_place, "subResource": request.subresource,
        "requestSubResource": request.subresource, "name": request.name, "namespace": request.namespace, "operation": request.operation,
        "userInfo": {key: value for key, value in who.items() if value}, "dryRun": request.dry_run, "options": tree_of(request.options),
    }


def asker(authorizers: Authorizers, user: User) -> Callable[[Question], tuple[bool, str, str]]:
    """`authorizer`'s answers."""
    def ask(question: Question) -> tuple[bool, str, str]:
        who = user
        if question.user is not None:
            namespace, name = question.user
            who = User(f"system:serviceaccount:{namespace}:{name}", groups=(
                "system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"))
        if question.path:
            attributes = Attributes(who, question.verb, question.path)
        else:
            attributes = Attributes(who, question.verb, "", is_resource=True, group=question.group, version="*", resource=question.resource,
                                    subresource=question.subresource, namespace=question.namespace, name=question.name)
        decision = authorizers.authorize(attributes)
        return decision.allowed, decision.reason, decision.error
    return ask


def parameters(kind: ParamKind | None, ref: ParamRef | None, namespace: str, readers: Readers, versions: Versions | None) -> Iterator[Any]:
    """Every object that a binding takes parameters from (None: it takes none).

    Raises:
        PolicyError: There is none and the binding says Deny, or the kind is unknown.
    """
    if kind is None or ref is None:
        yield None
        return
    resource = (versions.find if versions is not None else find_built_in)(kind.apiVersion, kind.kind)
    if resource is None:
        raise PolicyError(f"failed to find resource referenced by paramKind: '{kind.apiVersion}, Kind={kind.kind}'")
    where = (ref.namespace or namespace) if resource.namespaced else ""
    if resource.namespaced and not where:
        raise PolicyError("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    reader = readers.of(resource)
    if ref.selector is not None:
        wanted = selectors.of_label_selector(ref.selector)
        found = [entry.object for entry in reader.entries(where) if wanted.matches(labels_of(entry.object))]
    else:
        entry = reader.get(where, ref.name)
        found = [entry.object] if entry is not None else []
    if not found and ref.parameterNotFoundAction == "Deny":
        raise PolicyError("no params found for policy binding with `Deny` parameterNotFoundAction")
    yield from map(tree_of, found)


