"""What makes one node better than another, where upstream's rule is not the obvious one."""

from __future__ import annotations

import math
from statistics import pstdev
from typing import Any

import numpy as np
import pytest
from tests.scheduler.small import cluster, node, place, pod

from sampan.scheduler.plugins.balanced_allocation import balance
from sampan.scheduler.plugins.base import Plugin, PluginError
from sampan.scheduler.plugins.image_locality import ImageLocality
from sampan.scheduler.plugins.node_affinity import NodeAffinity
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit
from sampan.scheduler.snapshot import Snapshot

MEGABYTE = 1024 * 1024


def scores(plugin: Plugin, snapshot: Snapshot, wanted: Any) -> dict[str, float]:
    found = plugin.score(snapshot.shape(wanted), snapshot, snapshot.alive)
    assert found is not None
    return {name: float(found[row]) for name, row in snapshot.rows.items()}


def image(megabytes: int) -> list[dict[str, Any]]:
    return [{"names": ["app:1"], "sizeBytes": megabytes * MEGABYTE}]


def test_an_image_is_as_large_as_the_first_node_that_has_it_said() -> None:
    # given two nodes that do not agree about the size of an image
    snapshot = cluster(node("a", images=image(50)), node("b", images=image(20_000)), node("c"))
    wanted = pod("p", image="app:1")
    # then what the second one says does not count
    assert scores(ImageLocality(), snapshot, wanted) == {"a": 1.0, "b": 1.0, "c": 0.0}
    # not even when the first has lost it
    snapshot.put_node(node("a"))
    assert ImageLocality().score(snapshot.shape(wanted), snapshot, snapshot.alive)[snapshot.rows["b"]] == 0.0  # type: ignore[index]
    # until nobody has it any more
    snapshot.put_node(node("b"))
    snapshot.put_node(node("b", images=image(20_000)))
    assert scores(ImageLocality(), snapshot, wanted)["b"] == 100.0


def test_volumes_of_images_do_not_raise_the_bar() -> None:
    snapshot = cluster(node("a", images=image(511)))
    wanted = pod("p", image="other", volumes=[{"name": "v", "image": {"reference": "app:1"}}])
    assert scores(ImageLocality(), snapshot, wanted) == {"a": 49.0}


def test_what_a_pod_asks_for_as_a_whole_counts_once_it_is_there() -> None:
    # given a pod whose containers ask for a tenth of a CPU, and which asks for three as a whole
    snapshot = cluster(node("a", cpu="4", memory="8000Mi"))
    wanted = pod("p", "100m", "200Mi", resources={"requests": {"cpu": "3", "memory": "4000Mi"}})
    # then its containers count as long as it looks for a place
    assert scores(NodeResourcesFit(), snapshot, wanted) == {"a": (97 + 97) // 2}
    # and the whole pod once it has one
    snapshot.assume(wanted, snapshot.shape(wanted), 0)
    assert snapshot.scoring[:, 0].tolist() == [3000, 4000 * MEGABYTE]


def test_of_three_resources_the_spread_of_those_that_a_node_has_counts() -> None:
    # given nodes with three, two and one of three resources, used in some shares, one of them more than there is
    used = np.array([[1, 2, 3], [4, 9, 0], [9, 0, 0]])
    capacity = np.array([[4, 4, 4], [4, 8, 0], [4, 0, 0]])
    shares = [(0.25, 1.0, 1.0), (0.5, 1.0), (0.75,)]
    # then
    assert balance(used, capacity).tolist() == [math.floor((1 - pstdev(one)) * 100) for one in shares]
    # and several states of the same nodes are judged at once
    assert balance(np.stack([used, 0 * used]), capacity).tolist() == [balance(used, capacity).tolist(), [100.0, 100.0, 100.0]]


@pytest.mark.parametrize("fits", [1, 2])
def test_a_preference_that_cannot_be_read_is_an_error_where_nodes_are_compared(fits: int) -> None:
    # given a preference for a number that no label can have
    preference = {"matchExpressions": [{"key": "n", "operator": "Gt", "values": ["-1"]}]}
    terms = [{"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}, {"weight": 1, "preference": preference}]
    wanted = pod("p", affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}})
    snapshot = cluster(*(node(name) for name in "ab"[:fits]))
    # then one node that fits needs no comparison
    if fits == 1:
        assert place(snapshot, wanted) == "a"
        return
    with pytest.raises(PluginError) as said:
        NodeAffinity().score(snapshot.shape(wanted), snapshot, np.ones(len(snapshot.alive), np.bool_))
    assert str(said.value).startswith('running PreScore plugin "NodeAffinity": [1].matchExpressions[0].values[0][n]: Invalid value: "-1": a valid label must be')
