from __future__ import annotations

from typing import Any

from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from sampan.apiserver.auth.policy import AUTOUPDATE, bootstrap_objects, reconcile


class Cluster:
    def __init__(self) -> None:
        self.readers = MemoryReaders()

    def find(self, resource: Resource[Any], namespace: str, name: str) -> Any:
        entry = self.readers.of(resource).get(namespace, name)
        return None if entry is None else entry.object

    def apply(self) -> list[tuple[str, str]]:
        steps = reconcile(self.find)
        for step in steps:
            self.readers.put(step.resource, step.object)
        return [(step.action, step.object.metadata.name) for step in steps]


def _changed(cluster: Cluster, resource: Resource[Any], name: str, **values: Any) -> Any:
    obj = codec.clone(cluster.find(resource, "", name))
    for key, value in values.items():
        setattr(obj, key, value)
    return cluster.readers.put(resource, obj)


def test_an_empty_cluster_gets_everything_once() -> None:
    cluster = Cluster()
    made = cluster.apply()
    assert len(made) == sum(1 for _ in bootstrap_objects()) > 100
    assert {action for action, _ in made} == {"create"}
    assert cluster.find(CLUSTER_ROLES, "", "cluster-admin").kind == "ClusterRole"
    assert cluster.apply() == []


def test_what_is_missing_is_added_and_what_was_added_stays() -> None:
    # given a default role with another rule in place of its own, and a binding without its subject
    cluster = Cluster()
    cluster.apply()
    own = codec.clone(cluster.find(CLUSTER_ROLES, "", "system:basic-user").rules[0])
    own.resources, own.verbs = ["things"], ["get"]
    _changed(cluster, CLUSTER_ROLES, "system:basic-user", rules=[own])
    _changed(cluster, CLUSTER_ROLE_BINDINGS, "system:basic-user", subjects=[])
    # when a server starts
    assert cluster.apply() == [("update", "system:basic-user"), ("update", "system:basic-user")]
    # then both are whole again
    role = cluster.find(CLUSTER_ROLES, "", "system:basic-user")
    assert role.rules[0].resources == ["things"]
    assert len(role.rules) == 3
    assert cluster.find(CLUSTER_ROLE_BINDINGS, "", "system:basic-user").subjects[0].name == "system:authenticated"


def test_autoupdate_false_is_left_alone() -> None:
    cluster = Cluster()
    cluster.apply()
    role = codec.clone(cluster.find(CLUSTER_ROLES, "", "system:basic-user"))
    role.metadata.annotations[AUTOUPDATE] = "false"
    role.rules = []
    cluster.readers.put(CLUSTER_ROLES, role)
    assert cluster.apply() == []


def test_a_binding_to_another_role_is_made_anew() -> None:
    cluster = Cluster()
    cluster.apply()
    binding = codec.clone(cluster.find(CLUSTER_ROLE_BINDINGS, "", "system:basic-user"))
    binding.roleRef.name = "cluster-admin"
    cluster.readers.put(CLUSTER_ROLE_BINDINGS, binding)
    assert cluster.apply() == [("replace", "system:basic-user")]
    assert cluster.find(CLUSTER_ROLE_BINDINGS, "", "system:basic-user").roleRef.name == "system:basic-user"


def test_rules_that_the_aggregator_filled_are_not_touched() -> None:
    cluster = Cluster()
    cluster.apply()
    basic = cluster.find(CLUSTER_ROLES, "", "system:basic-user").rules
    _changed(cluster, CLUSTER_ROLES, "view", rules=basic)
    assert cluster.apply() == []
