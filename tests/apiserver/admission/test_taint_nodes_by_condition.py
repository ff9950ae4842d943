from __future__ import annotations

from apiserver.admitting import admit, ask
from sampan.api import codec
from sampan.api.resources import NODES
from sampan.apiserver.admission.taint_nodes_by_condition import KEY, TaintNodesByCondition


def test_a_new_node_is_not_ready_once() -> None:
    taint = {"key": KEY, "effect": "NoSchedule"}
    for own in ([], [taint]):
        request = admit(TaintNodesByCondition(), ask("CREATE", NODES, {"metadata": {"name": "n"}, "spec": {"taints": own}}))
        assert codec.to_builtins(request.object.spec.taints) == [taint]


def test_an_old_node_is_left_alone() -> None:
    node = {"metadata": {"name": "n"}}
    assert admit(TaintNodesByCondition(), ask("UPDATE", NODES, node, node)).object.spec.taints == []
