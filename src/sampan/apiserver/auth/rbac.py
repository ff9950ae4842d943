"""The RBAC authorizer: roles and bindings from the watch caches, compiled once per change.

Owns: the index from subjects to rules, of the whole cluster and of each namespace that is asked about, and the
verdicts memoised on it, so that a decision is two look-ups. An index is compared with the caches' `generation`s, and
when those moved with the revisions of its own objects: a change in one namespace leaves the others' verdicts alone.
Leaves: system:masters and the joining of authorizers (`authorizers`), escalation (`escalation`).
Source: kubernetes `plugin/pkg/auth/authorizer/rbac/rbac.go`, `pkg/registry/rbac/validation/rule.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sampan.api.rbac.v1 import RoleRef, Subject
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from sampan.apiserver.auth.base import Decision
from sampan.apiserver.auth.rules import Rule, rules_of
from sampan.apiserver.request import Attributes, User
from sampan.apiserver.watchcache import Reader, Readers

MOST_VERDICTS = 8192
MOST_NAMESPACES = 4096
_NO_OPINION = Decision(False)
SERVICE_ACCOUNT = "system:serviceaccount:"


class Grant(NamedTuple):
    """What one subject of one binding gets: the role's rules, or why it gets none."""

    rules: tuple[Rule, ...]
    reason: str
    missing: str = ""


class Verdict(NamedTuple):
    """The answer for any name, the answers for single names, and what is told when there is none."""

    any: Decision | None
    names: dict[str, Decision]
    missing: tuple[str, ...]


class Index:
    """The grants of one scope by subject, and the verdicts drawn from them."""

    def __init__(self, signature: object) -> None:
        self.signature = signature
        self.users: dict[str, list[Grant]] = {}
        self.groups: dict[str, list[Grant]] = {}
        self._verdicts: dict[tuple[Any, ...], Verdict] = {}

    def add(self, subject: Subject, namespace: str, grant: Grant) -> None:
        """`namespace` is the binding's, in which a service account without one is looked for."""
        if subject.kind == "Group":
            self.groups.setdefault(subject.name, []).append(grant)
        elif subject.kind == "User":
            self.users.setdefault(subject.name, []).append(grant)
        elif subject.kind == "ServiceAccount" and (home := subject.namespace or namespace):
            self.users.setdefault(f"{SERVICE_ACCOUNT}{home}:{subject.name}", []).append(grant)

    def grants(self, user: User) -> Iterator[Grant]:
        """All that the user and his groups are granted."""
        yield from self.users.get(user.name, ())
        for group in user.groups:
            yield from self.groups.get(group, ())

    def verdict(self, attributes: Attributes) -> Verdict:
        """The memoised answer to what is asked, names aside."""
        user = attributes.user
        what = (attributes.group, attributes.resource, attributes.subresource) if attributes.is_resource else attributes.path
        key = (user.name, user.groups, attributes.verb, what)
        found = self._verdicts.get(key)
        if found is None:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            found = self._verdicts[key] = self._judge(attributes)
        return found

    def _judge(self, attributes: Attributes) -> Verdict:
        anything: Decision | None = None
        names: dict[str, Decision] = {}
        missing: dict[str, None] = {}
        verb, group = attributes.verb, attributes.group
        for grant in self.grants(attributes.user):
            if grant.missing:
                missing[grant.missing] = None
            for rule in grant.rules:
                if not attributes.is_resource:
                    matches = rule.allows_url(verb, attributes.path)
                else:
                    matches = rule.allows_resource(verb, group, attributes.resource, attributes.subresource)
                if not matches:
                    continue
                if rule.names and attributes.is_resource:
                    for name in rule.names:
                        names.setdefault(name, Decision(True, grant.reason))
                elif anything is None:
                    anything = Decision(True, grant.reason)
        return Verdict(anything, names, tuple(missing))


class Rbac:
    """Authorizes by Roles, ClusterRoles and their bindings."""

    def __init__(self, readers: Readers) -> None:
        self._roles: Reader = readers.of(ROLES)
        self._bindings: Reader = readers.of(ROLE_BINDINGS)
        self._cluster_roles: Reader = readers.of(CLUSTER_ROLES)
        self._cluster_bindings: Reader = readers.of(CLUSTER_ROLE_BINDINGS)
        self._seen = (-1, -1)
        self._cluster = Index(None)
        self._cluster_roles_signature: object = None
        self._namespaces: dict[str, tuple[tuple[int, int, object], Index]] = {}

    def authorize(self, attributes: Attributes) -> Decision:
        """Allowed by some rule, in upstream's words, or not."""
        cluster = self._of_cluster().verdict(attributes)
        if cluster.any is not None:
            return cluster.any
        if cluster.names and (decision := cluster.names.get(attributes.name)) is not None:
            return decision
        if not attributes.namespace:
            return _denied(cluster.missing) if cluster.missing else _NO_OPINION
        local = self._of_namespace(attributes.namespace).verdict(attributes)
        if local.any is not None:
            return local.any
        if local.names and (decision := local.names.get(attributes.name)) is not None:
            return decision
        return _denied((*cluster.missing, *local.missing)) if cluster.missing or local.missing else _NO_OPINION

    def rules_for(self, user: User, namespace: str) -> tuple[list[dict[str, list[str]]], list[dict[str, list[str]]], bool]:
        """All that the user may do there, as SelfSubjectRulesReview lists it."""
        rules, errors = self.rules(user, namespace)
        resources = [rule.wire() for rule in rules if rule.resources]
        urls = [rule.wire() for rule in rules if rule.urls]
        return resources, urls, bool(errors)

    def rules(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """The user's rules in a namespace (in the cluster when it is empty), and what could not be resolved."""
        found = list(self._of_cluster().grants(user))
        if namespace:
            found += self._of_namespace(namespace).grants(user)
        errors = list(dict.fromkeys(grant.missing for grant in found if grant.missing))
        return [rule for grant in found for rule in grant.rules], errors

    def role_rules(self, ref: RoleRef, namespace: str) -> tuple[Rule, ...] | None:
        """The rules of the role that a binding names; None when it is not there."""
        if ref.kind == "ClusterRole":
            entry = self._cluster_roles.get("", ref.name)
        else:
            entry = self._roles.get(namespace, ref.name)
        return None if entry is None else rules_of(entry.object.rules)

    def _of_cluster(self) -> Index:
        seen = (self._cluster_roles.generation, self._cluster_bindings.generation)
        if seen != self._seen:
            roles = tuple((entry.name, entry.revision) for entry in self._cluster_roles.entries())
            bindings = tuple((entry.name, entry.revision) for entry in self._cluster_bindings.entries())
            if (roles, bindings) != self._cluster.signature:
                self._cluster = self._compiled((roles, bindings), "", self._cluster_bindings.entries())
                self._cluster_roles_signature = roles
            self._seen = seen
        return self._cluster

    def _of_namespace(self, namespace: str) -> Index:
        self._of_cluster()
        seen = (self._roles.generation, self._bindings.generation, self._cluster_roles_signature)
        known = self._namespaces.get(namespace)
        if known is not None and known[0] == seen:
            return known[1]
        signature = (
            tuple((entry.name, entry.revision) for entry in self._roles.entries(namespace)),
            tuple((entry.name, entry.revision) for entry in self._bindings.entries(namespace)),
            self._cluster_roles_signature,
        )
        if known is not None and known[1].signature == signature:
            index = known[1]
        else:
            index = self._compiled(signature, namespace, self._bindings.entries(namespace))
        if len(self._namespaces) >= MOST_NAMESPACES:
            self._namespaces.clear()
        self._namespaces[namespace] = (seen, index)
        return index

    def _compiled(self, signature: object, namespace: str, bindings: Iterable[Any]) -> Index:
        index = Index(signature)
        for entry in bindings:
            binding = entry.object
            ref: RoleRef = binding.roleRef
            rules = self.role_rules(ref, namespace)
            where = f'RoleBinding "{entry.name}/{namespace}"' if namespace else f'ClusterRoleBinding "{entry.name}"'
            missing = "" if rules is not None else f'{ref.kind.lower()}.rbac.authorization.k8s.io "{ref.name}" not found'
            for subject in binding.subjects:
                reason = f'RBAC: allowed by {where} of {ref.kind} "{ref.name}" to {_subject_text(subject)}'
                index.add(subject, namespace, Grant(rules or (), reason, missing))
        return index


def _subject_text(subject: Subject) -> str:
    name = f"{subject.name}/{subject.namespace}" if subject.kind == "ServiceAccount" else subject.name
    return f'{subject.kind} "{name}"'


def _denied(missing: Iterable[str]) -> Decision:
    found = list(dict.fromkeys(missing))
    return Decision(False, f"RBAC: {found[0] if len(found) == 1 else '[' + ', '.join(found) + ']'}")
