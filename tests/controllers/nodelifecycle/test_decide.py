"""What a node's conditions and silence mean, as transcripts.

    taints EXECUTE         the taints that follow, from conditions and taints one a line: `condition TYPE STATUS`, `taint KEY EFFECT`, `unschedulable`;
                           EXECUTE is the key of the NoExecute taint to have now, `none`, or `keep`
    silence                the conditions after silence, from `condition TYPE STATUS`
    zone                   how bad it is, by `ready=`, `not-ready=`, `threshold=`
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sampan.api.core.v1 import Node, NodeCondition, Pod, PodCondition, Taint
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.controllers.nodelifecycle.decide import (
    execute_key,
    readiness,
    retainted,
    silenced,
    unready,
    zone_of,
    zone_state,
)
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PREFIX = "node.kubernetes.io/"


def a_node(block: Block) -> Node:
    node = Node(metadata=ObjectMeta(name="n", resourceVersion="7", creationTimestamp=Time("2026-01-01T11:00:00Z")))
    for line in block.input.splitlines():
        what, *rest = line.split()
        if what == "condition":
            node.status.conditions.append(NodeCondition(type=rest[0], status=rest[1], reason="Kubelet", lastTransitionTime=Time("2026-01-01T11:30:00Z")))
        elif what == "taint":
            node.spec.taints.append(Taint(key=full(rest[0]), effect=rest[1]))
        else:
            node.spec.unschedulable = True
    return node


def full(key: str) -> str:
    return key if key.startswith("my") or not key else PREFIX + key


def taints(block: Block) -> str:
    word = block.words[0]
    patch = retainted(a_node(block), {"none": "", "keep": None}.get(word, full(word)), NOW)
    if patch is None:
        return "nothing"
    assert patch.patch["metadata"] == {"resourceVersion": "7"}
    found = patch.patch["spec"]["taints"] or []
    return "\n".join(f"{one['key'].removeprefix(PREFIX)} {one['effect']}{' since now' if one.get('timeAdded') else ''}" for one in found) or "none"


def silence(block: Block) -> str:
    write = silenced(a_node(block), NOW)
    if write is None:
        return "nothing"
    return "\n".join(f"{one.type} {one.status} {one.reason} {one.lastTransitionTime}" for one in write.object.status.conditions)


def play(block: Block) -> str:
    if block.name == "zone":
        return zone_state(block.number("ready"), block.number("not-ready"), float(block.get("threshold", "0.55")))
    return taints(block) if block.name == "taints" else silence(block)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)


@pytest.mark.parametrize(("status", "key"), [("True", ""), ("False", PREFIX + "not-ready"), ("Unknown", PREFIX + "unreachable")])
def test_readiness_says_which_taint_drives_pods_away(status: str, key: str) -> None:
    node = Node()
    assert (readiness(node), execute_key(node)) == ("", "")
    node.status.conditions = [NodeCondition(type="Ready", status=status)]
    assert (readiness(node), execute_key(node)) == (status, key)


def test_only_pods_that_serve_are_taken_out_of_service() -> None:
    # given a ready pod, one that is not, and one that nobody has said anything of
    pods = [Pod(metadata=ObjectMeta(name=name)) for name in "abc"]
    pods[0].status.conditions = [PodCondition(type="Initialized", status="True"), PodCondition(type="Ready", status="True")]
    pods[1].status.conditions = [PodCondition(type="Ready", status="False")]
    # when
    [write] = unready(pods, NOW)
    # then
    assert [(one.type, one.status, one.lastTransitionTime) for one in write.object.status.conditions] == [
        ("Initialized", "True", None), ("Ready", "False", "2026-01-01T12:00:00Z")]
    assert pods[0].status.conditions[1].status == "True"


def test_nodes_without_labels_are_one_zone_and_others_are_told_apart_by_region_too() -> None:
    def zone(**labels: str) -> str:
        return zone_of(Node(metadata=ObjectMeta(labels={f"topology.kubernetes.io/{key}": value for key, value in labels.items()})))

    assert zone() == ""
    assert len({zone(), zone(zone="a"), zone(region="a"), zone(zone="a", region="r"), zone(zone="a", region="s")}) == 5
