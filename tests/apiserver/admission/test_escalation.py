from __future__ import annotations

import pytest

from apiserver.admitting import admit, ask, refusal
from apiserver.readers import MemoryReaders
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, ROLES
from sampan.apiserver.admission.escalation import RbacEscalation
from sampan.apiserver.auth.authorizers import default_authorizers
from sampan.apiserver.request import User

ALICE = User("alice")


@pytest.fixture
def plugin() -> RbacEscalation:
    return RbacEscalation(default_authorizers(MemoryReaders()))


def test_writes_of_roles_and_bindings_are_judged(plugin: RbacEscalation) -> None:
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    assert "is attempting to grant RBAC permissions not currently held" in refusal(plugin, ask("CREATE", ROLES, role, user=ALICE))
    admit(plugin, ask("CREATE", ROLES, role))
    admit(plugin, ask("CREATE", ROLES, {"metadata": {"name": "empty"}, "rules": []}, user=ALICE))
    admit(plugin, ask("DELETE", CLUSTER_ROLE_BINDINGS, old={"metadata": {"name": "b"}}, user=ALICE))
