from __future__ import annotations

from apiserver.readers import MemoryReaders
from sampan.api.resources import CLUSTER_ROLE_BINDINGS
from sampan.apiserver.auth.authorizers import Always, Authorizers, default_authorizers
from sampan.apiserver.auth.base import Decision
from sampan.apiserver.auth.rbac import Rbac
from sampan.apiserver.request import ADMIN, Attributes, User

SECRET = {"verb": "get", "path": "", "is_resource": True, "resource": "secrets", "namespace": "a", "name": "s"}


def _ask(user: User, readers: MemoryReaders | None = None) -> Decision:
    return default_authorizers(readers or MemoryReaders()).authorize(Attributes(user=user, **SECRET))  # type: ignore[arg-type]


def test_masters_may_everything_without_a_reason() -> None:
    assert _ask(ADMIN) == Decision(allowed=True, reason="")


def test_all_reasons_are_told_a_line_each() -> None:
    readers = MemoryReaders()
    readers.put(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "b"}, "subjects": [{"kind": "Group", "name": "system:nodes"}],
                                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gone"}})
    assert _ask(User("system:node:n", groups=("system:nodes",)), readers) == Decision(allowed=False, reason="no relationship found between node 'n' and this object\nRBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found")


def test_rules_are_joined_and_nodes_are_incomplete() -> None:
    authorizers = default_authorizers(MemoryReaders())
    assert authorizers.rules_for(User("alice"), "a") == ([], [], False)
    assert authorizers.rules_for(User("system:node:n", groups=("system:nodes",)), "a") == ([], [], True)


def test_always_is_always() -> None:
    assert Always(allowed=True).authorize(Attributes(User("a"), "get", "/")).allowed
    assert Always(allowed=False).authorize(Attributes(User("a"), "get", "/")).reason == "Everything is forbidden."
    assert Always(allowed=False).rules_for(User("a"), "x") == ([], [], False)


def test_a_denial_ends_the_question() -> None:
    class Denies(Always):
        def authorize(self, attributes: Attributes) -> Decision:
            return Decision(allowed=False, reason="no", denied=True)

    chain = Authorizers(Rbac(MemoryReaders()), [Denies(allowed=False), Always(allowed=True)])
    assert chain.authorize(Attributes(User("a"), "get", "/")) == Decision(allowed=False, reason="no", denied=True)
