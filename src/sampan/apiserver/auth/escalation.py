"""Nobody grants rights that he does not have: the check on writes of roles and bindings.

Owns the rules and upstream's words; `sampan.apiserver.admission.escalation` calls it for every such write.
Source: kubernetes `pkg/registry/rbac/*/policybased/storage.go`, `pkg/registry/rbac/escalation_check.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec, goprint
from sampan.api.errors import Forbidden, NotFound
from sampan.api.rbac.v1 import RoleRef
from sampan.apiserver.auth.authorizers import MASTERS, Authorizers
from sampan.apiserver.auth.rules import MOST_PARTS, Rule, TooManyParts, compact, missing, quoted, rules_of
from sampan.apiserver.request import Attributes, User

GROUP = "rbac.authorization.k8s.io"
_FULL_AUTHORITY = (Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",)))


def check_role(plural: str, namespace: str, new: Any, old: Any, user: User, authorizers: Authorizers) -> None:
    """Judge a Role or ClusterRole that `user` wants to write; `old` is None when he creates it.

    Raises:
        Forbidden: It would grant what the user does not have.
    """
    if MASTERS in user.groups or (old is not None and _only_gc_fields(new, old)):
        return
    name = new.metadata.name
    asked = Attributes(user=user, verb="escalate", path="", is_resource=True, group=GROUP, version="*", resource=plural,
                       namespace=namespace, name=name if old is not None else "")
    if authorizers.authorize(asked).allowed:
        return
    if (why := _why_escalates(rules_of(new.rules), namespace, user, authorizers)):
        raise Forbidden.on(plural, GROUP, name, why)
    aggregation = getattr(new, "aggregationRule", None)
    if aggregation is not None and (old is None or old.aggregationRule != aggregation) \
            and _why_escalates(_FULL_AUTHORITY, namespace, user, authorizers):
        raise Forbidden.on(plural, GROUP, name, "must have cluster-admin privileges to use an aggregationRule")


def check_binding(plural: str, namespace: str, new: Any, old: Any, user: User, authorizers: Authorizers) -> None:
    """Judge a RoleBinding or ClusterRoleBinding that `user` wants to write.

    Raises:
        Forbidden: It would grant what the user does not have.
        NotFound: The role is not there, and the user may not bind it unseen.
    """
    if MASTERS in user.groups or (old is not None and _only_gc_fields(new, old)):
        return
    ref: RoleRef = new.roleRef
    asked = Attributes(user=user, verb="bind", path="", is_resource=True, group=ref.apiGroup, version="*",
                       resource="clusterroles" if ref.kind == "ClusterRole" else "roles", namespace=namespace, name=ref.name)
    if authorizers.authorize(asked).allowed:
        return
    rules = authorizers.rbac.role_rules(ref, namespace)
    if rules is None:
        raise NotFound.of(ref.kind.lower(), GROUP, ref.name)
    if (why := _why_escalates(rules, namespace, user, authorizers)):
        raise Forbidden.on(plural, GROUP, new.metadata.name, why)


def _why_escalates(wanted: tuple[Rule, ...], namespace: str, user: User, authorizers: Authorizers) -> str:
    owned, errors = authorizers.rbac.rules(user, namespace)
    who = f"user {goprint.quote(user.name)} (groups={quoted(user.groups)})"
    try:
        lacking = missing(owned, wanted)
    except TooManyParts:
        return (f"{who} is attempting to grant RBAC permissions of more than {MOST_PARTS} combinations that none of the held rules has as a "
                "whole: split the rules")
    if not lacking:
        return ""
    lines = "\n".join(sorted({str(rule) for rule in compact(lacking)}))
    text = f"{who} is attempting to grant RBAC permissions not currently held:\n{lines}"
    return f"{text}; resolution errors: [{', '.join(errors)}]" if errors else text


def _only_gc_fields(new: Any, old: Any) -> bool:
    """Whether only owner references and finalizers differ: the garbage collector may always do that."""
    return bool(_without_gc_fields(new) == _without_gc_fields(old))


def _without_gc_fields(obj: Any) -> Any:
    bare = codec.clone(obj)
    bare.metadata.ownerReferences = []
    bare.metadata.finalizers = []
    bare.metadata.managedFields = []
    bare.metadata.resourceVersion = ""
    return bare
