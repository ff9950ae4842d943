"""`authorizer`: may somebody do something? The answer comes from outside, by a function without a wait.

Source: apiserver `pkg/cel/library/authz.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sampan.api.cel.errors import CelError
from sampan.api.cel.library.overload import Functions, member
from sampan.api.cel.types import BOOL, STRING, opaque
from sampan.api.cel.values import Opaque

AUTHORIZER, PATH_CHECK, GROUP_CHECK, RESOURCE_CHECK, DECISION = (
    opaque(f"kubernetes.authorization.{name}") for name in ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision"))
CHECK_COST = 350_000


@dataclass(frozen=True)
class Question:
    """What is asked: `user` None means who sent the request, else a service account as (namespace, name)."""

    user: tuple[str, str] | None = None
    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


Ask = Callable[[Question], tuple[bool, str, str]]
"""Allowed, reason, error."""


class _Builder(Opaque):
    def __init__(self, ask: Ask, question: Question) -> None:
        self.ask, self.question = ask, question


class Authorizer(_Builder):
    type_name = "kubernetes.authorization.Authorizer"

    def __init__(self, ask: Ask, question: Question | None = None) -> None:
        super().__init__(ask, question or Question())


class PathCheck(_Builder):
    type_name = "kubernetes.authorization.PathCheck"


class GroupCheck(_Builder):
    type_name = "kubernetes.authorization.GroupCheck"


class ResourceCheck(_Builder):
    type_name = "kubernetes.authorization.ResourceCheck"


class Decision(Opaque):
    type_name = "kubernetes.authorization.Decision"

    def __init__(self, allowed: bool, reason: str, error: str) -> None:
        self.allowed, self.reason, self.error = allowed, reason, error


def _build(kind: type[_Builder], field: str) -> Callable[[_Builder, str], _Builder]:
    return lambda builder, value: kind(builder.ask, replace(builder.question, **{field: value}))  # type: ignore[arg-type]


def _check(builder: _Builder, verb: str) -> Decision:
    return Decision(*builder.ask(replace(builder.question, verb=verb)))


def _path(builder: _Builder, path: str) -> _Builder:
    if not path:
        raise CelError("path must not be empty")
    return PathCheck(builder.ask, replace(builder.question, path=path))


def _service_account(builder: _Builder, namespace: str, name: str) -> Authorizer:
    return Authorizer(builder.ask, replace(builder.question, user=(namespace, name)))


def _cost(args: Any, result: Any) -> int:
    return CHECK_COST


FUNCTIONS: Functions = {
    "path": [member("authorizer_path", (AUTHORIZER, STRING), PATH_CHECK, _path)],
    "group": [member("authorizer_group", (AUTHORIZER, STRING), GROUP_CHECK, _build(GroupCheck, "group"))],
    "serviceAccount": [member("authorizer_serviceaccount", (AUTHORIZER, STRING, STRING), AUTHORIZER, _service_account)],
    "resource": [member("groupcheck_resource", (GROUP_CHECK, STRING), RESOURCE_CHECK, _build(ResourceCheck, "resource"))],
    "subresource": [member("resourcecheck_subresource", (RESOURCE_CHECK, STRING), RESOURCE_CHECK, _build(ResourceCheck, "subresource"))],
    "namespace": [member("resourcecheck_namespace", (RESOURCE_CHECK, STRING), RESOURCE_CHECK, _build(ResourceCheck, "namespace"))],
    "name": [member("resourcecheck_name", (RESOURCE_CHECK, STRING), RESOURCE_CHECK, _build(ResourceCheck, "name"))],
    "check": [member("pathcheck_check", (PATH_CHECK, STRING), DECISION, _check, cost=_cost, estimate="check"),
              member("resourcecheck_check", (RESOURCE_CHECK, STRING), DECISION, _check, cost=_cost, estimate="check")],
    "allowed": [member("decision_allowed", (DECISION,), BOOL, lambda one: one.allowed)],
    "reason": [member("decision_reason", (DECISION,), STRING, lambda one: one.reason)],
    "errored": [member("decision_errored", (DECISION,), BOOL, lambda one: bool(one.error))],
    "error": [member("decision_error", (DECISION,), STRING, lambda one: one.error)],
}
