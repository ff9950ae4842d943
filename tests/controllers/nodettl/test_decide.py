"""How long node agents may trust what they have, by the size of the cluster."""

from __future__ import annotations

import pytest

from sampan.controllers.nodettl.decide import Boundary


@pytest.mark.parametrize(("nodes", "seconds"), [(1, 0), (100, 0), (101, 15), (500, 15), (501, 30), (1000, 30), (1001, 60), (2001, 300), (50_000, 300)])
def test_the_larger_the_cluster_the_longer(nodes: int, seconds: int) -> None:
    boundary = Boundary()
    boundary.move(nodes)
    assert boundary.ttl_seconds == seconds


def test_going_down_a_step_takes_fewer_nodes_than_going_up() -> None:
    # given
    boundary = Boundary()
    boundary.move(101)
    # when, then
    assert not boundary.move(90)
    assert boundary.ttl_seconds == 15
    assert boundary.move(89)
    assert boundary.ttl_seconds == 0
