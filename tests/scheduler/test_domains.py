"""Pods in the domains of a spread constraint: what counts, and what is looked at again. `test_kept` holds it against counting anew."""

from __future__ import annotations

from tests.scheduler.small import HOST, ZONE, cluster, node, pod

from sampan.scheduler.domains import Domains, Hosts, spreading
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot


def three() -> Snapshot:
    return cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "1"}), node("c", labels={ZONE: "2"}), node("nowhere"),
                   running=(pod("x", on="a", labels={"app": "web"}), pod("y", on="nowhere", labels={"app": "web"})))


def spread(snapshot: Snapshot, *keys: str, when: str = "ScheduleAnyway") -> Shape:
    constraints = [{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": {"matchLabels": {"app": "web"}}} for key in keys]
    return snapshot.shape(pod("p", labels={"app": "web"}, topologySpreadConstraints=constraints))


def sums(found: Domains, snapshot: Snapshot) -> dict[str, float]:
    return {name: float(found.sums[found.ids[row]]) for name, row in snapshot.rows.items()}


def test_a_pod_that_comes_or_goes_moves_its_own_domain_alone() -> None:
    # given a pod in one of two zones, and one where there is no zone
    snapshot = three()
    wanted = spread(snapshot, ZONE)
    first = spreading(wanted, snapshot, wanted.soft_spread, hard=False)
    part = first.parts[0]
    assert isinstance(part, Domains)
    assert sums(part, snapshot) == {"a": 1, "b": 1, "c": 0, "nowhere": 0}
    # when
    snapshot.put_pod(pod("z", on="c", labels={"app": "web"}))
    snapshot.put_pod(pod("other", on="c"))
    snapshot.remove_pod("x")
    # then it is the same count, gone on with
    assert spreading(wanted, snapshot, wanted.soft_spread, hard=False) is first
    assert sums(part, snapshot) == {"a": 0, "b": 0, "c": 1, "nowhere": 0}


def test_another_label_of_a_node_has_all_counted_anew() -> None:
    snapshot = three()
    wanted = spread(snapshot, ZONE)
    first = spreading(wanted, snapshot, wanted.soft_spread, hard=False)
    snapshot.put_node(node("a", labels={ZONE: "2"}))
    found = spreading(wanted, snapshot, wanted.soft_spread, hard=False)
    assert found is not first
    assert isinstance(found.parts[0], Domains)
    assert sums(found.parts[0], snapshot) == {"a": 1, "b": 0, "c": 1, "nowhere": 0}


def test_hosts_are_looked_at_by_themselves_only_where_nodes_are_compared() -> None:
    snapshot = three()
    soft, hard = spread(snapshot, HOST, ZONE), spread(snapshot, HOST, ZONE, when="DoNotSchedule")
    assert [type(one) for one in spreading(soft, snapshot, soft.soft_spread, hard=False).parts] == [Hosts, Domains]
    assert [type(one) for one in spreading(hard, snapshot, hard.hard_spread, hard=True).parts] == [Domains, Domains]


def test_rows_without_a_label_count_only_if_that_does_not_matter() -> None:
    snapshot = three()
    wanted = spread(snapshot, ZONE)
    for strict in (True, False):
        snapshot.memory.clear()
        found = spreading(wanted, snapshot, wanted.soft_spread, hard=False, strict=strict)
        assert bool(found.complete[snapshot.rows["nowhere"]]) is not strict
        assert isinstance(found.parts[0], Domains)
        assert sums(found.parts[0], snapshot)["nowhere"] == (0 if strict else 1)
