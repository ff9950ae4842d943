"""Which FlowSchema a request belongs to.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/rule.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.api.flowcontrol.v1 import (
    FlowSchema,
    FlowSchemaSpec,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    ResourcePolicyRule,
    Subject,
)
from sampan.apiserver.request import RequestInfo, User

ALL = "*"


def matches(info: RequestInfo, schema: FlowSchema) -> bool:
    """Whether one of the schema's rules is about the request and its user."""
    return any(_rule(info, rule) for rule in schema.spec.rules)


def distinguisher(info: RequestInfo, spec: FlowSchemaSpec) -> str:
    """What tells the flow from others of its schema."""
    method = spec.distinguisherMethod
    if method is None:
        return ""
    return info.user.name if method.type == "ByUser" else info.namespace


def _rule(info: RequestInfo, rule: PolicyRulesWithSubjects) -> bool:
    if not any(_subject(info.user, subject) for subject in rule.subjects or ()):
        return False
    if info.is_resource:
        return any(_resource(info, one) for one in rule.resourceRules)
    return any(_path(info, one) for one in rule.nonResourceRules)


def _subject(user: User, subject: Subject) -> bool:
    if subject.kind == "User":
        return subject.user is not None and subject.user.name in (ALL, user.name)
    if subject.kind == "Group":
        return subject.group is not None and (subject.group.name == ALL or subject.group.name in user.groups)
    account = subject.serviceAccount
    if subject.kind != "ServiceAccount" or account is None:
        return False
    prefix = f"system:serviceaccount:{account.namespace}:"
    return user.name.startswith(prefix) if account.name == ALL else user.name == prefix + account.name


def _resource(info: RequestInfo, rule: ResourcePolicyRule) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    if not (_has(rule.verbs, info.verb) and _has(rule.resources, resource) and _has(rule.apiGroups, info.group)):
        return False
    return _has(rule.namespaces, info.namespace) if info.namespace else rule.clusterScope


def _path(info: RequestInfo, rule: NonResourcePolicyRule) -> bool:
    return _has(rule.verbs, info.verb) and any(
        path in (ALL, info.path) or info.path.startswith(path.removesuffix("*").rstrip("/") + "/") for path in rule.nonResourceURLs or ())


def _has(known: Sequence[str] | None, value: str) -> bool:
    return known is not None and (value in known or list(known) == [ALL])
