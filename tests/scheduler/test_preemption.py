"""Who has to go: upstream's order of preference, budgets, and what is no resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.scheduler.small import HOST, cluster, node, place, pod, refusal

from sampan.api import codec
from sampan.api.policy.v1 import PodDisruptionBudget
from sampan.api.resources import POD_DISRUPTION_BUDGETS
from sampan.scheduler.config import DEFAULT
from sampan.scheduler.cycle import Refused, schedule
from sampan.scheduler.preemption import NoCandidate, preempt

HIGH = {"priority": 100}


def victims(answer: str) -> str:
    return answer.partition(" -> ")[2]


def test_only_as_many_go_as_must_the_least_important_first() -> None:
    running = (pod("x", "1", on="a", priority=5), pod("y", "1", on="a", priority=1), pod("z", "1", on="a", priority=3))
    assert victims(place(cluster(node("a", cpu="3"), running=running), pod("p", "1", **HIGH))) == "a: y"


def test_of_equals_the_one_that_started_last_goes() -> None:
    old, new = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    running = (pod("x", "1", on="a", start=new), pod("y", "1", on="a", start=old))
    assert victims(place(cluster(node("a", cpu="2"), running=running), pod("p", "1", **HIGH))) == "a: x"


def test_nodes_are_compared_by_priority_then_by_number_then_by_start() -> None:
    lower = cluster(node("a", cpu="1"), node("b", cpu="1"), running=(pod("x", "1", on="a", priority=2), pod("y", "1", on="b", priority=1)))
    assert victims(place(lower, pod("p", "1", **HIGH))) == "b: y"
    fewer = cluster(node("a", cpu="2"), node("b", cpu="2"), running=(pod("x", "1", on="a"), pod("y", "1", on="a"), pod("z", "2", on="b")))
    assert victims(place(fewer, pod("p", "2", **HIGH))) == "b: z"
    start = {"x": "2026-01-01T00:00:00Z", "y": "2026-01-02T00:00:00Z"}
    later = cluster(node("a", cpu="1"), node("b", cpu="1"), running=tuple(pod(n, "1", on=o, start=start[n]) for n, o in (("x", "a"), ("y", "b"))))
    assert victims(place(later, pod("p", "1", **HIGH))) == "b: y"


def test_equals_are_no_victims_and_never_means_never() -> None:
    snapshot = cluster(node("a", cpu="1"), running=(pod("x", "1", on="a", priority=100),))
    assert refusal(snapshot, pod("p", "1", **HIGH)) == NoCandidate("0/1 nodes are available: 1 No preemption victims found for incoming pod.")
    said = refusal(snapshot, pod("p", "1", priority=200, preemptionPolicy="Never"))
    assert said == NoCandidate("not eligible due to preemptionPolicy=Never.", keeps=True)


def budget(app: str, allowed: int) -> PodDisruptionBudget:
    return codec.convert(PodDisruptionBudget, {"metadata": {"name": app, "namespace": "default"}, "spec": {"selector": {"matchLabels": {"app": app}}},
                                               "status": {"disruptionsAllowed": allowed}})


def test_a_budget_is_kept_where_there_is_another_way_and_broken_where_there_is_none() -> None:
    x, y = pod("x", "1", on="a", labels={"app": "kept"}), pod("y", "1", on="b", priority=50)
    both = cluster(node("a", cpu="1"), node("b", cpu="1"), running=(x, y))
    both.world.put(POD_DISRUPTION_BUDGETS, budget("kept", 0))
    assert victims(place(both, pod("p", "1", **HIGH))) == "b: y"
    alone = cluster(node("a", cpu="1"), running=(x,))
    alone.world.put(POD_DISRUPTION_BUDGETS, budget("kept", 0))
    assert victims(place(alone, pod("p", "1", **HIGH))) == "a: x"


def anti(app: str) -> dict[str, Any]:
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": app}}}]}}


def test_ports_and_anti_affinity_have_victims_too() -> None:
    running = (pod("x", on="a", port=80), pod("y", on="a", labels={"app": "web"}), pod("z", on="a"))
    snapshot = cluster(node("a"), running=running)
    assert victims(place(snapshot, pod("p", port=80, **HIGH))) == "a: x"
    assert victims(place(snapshot, pod("q", affinity=anti("web"), **HIGH))) == "a: y"
    assert {one.pod.metadata.name for one in snapshot.assigned.values()} == {"x", "y", "z"}  # they are all still there
    assert snapshot.requested[3].sum() == 3


def test_room_that_is_kept_for_another_is_not_counted_twice() -> None:
    snapshot = cluster(node("a", cpu="1"), node("b", cpu="1"), running=(pod("x", "1", on="a"), pod("y", "1", on="b")))
    first = pod("first", "1", **HIGH)
    snapshot.nominate(first, snapshot.shape(first), snapshot.rows["a"])
    assert victims(place(snapshot, pod("second", "1", **HIGH))) == "b: y"


def test_a_pod_whose_victims_are_leaving_does_not_look_for_others() -> None:
    leaving = pod("x", "1", on="a")
    leaving.metadata.deletionTimestamp = "2026-01-01T00:00:00Z"  # type: ignore[assignment]
    leaving.status.conditions = codec.convert(type(leaving.status), {"conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]}).conditions
    snapshot = cluster(node("a", cpu="1"), node("b", cpu="1"), running=(leaving, pod("y", "1", on="b")))
    wanted = pod("p", "1", **HIGH)
    shape = snapshot.shape(wanted)
    outcome = schedule(shape, snapshot, DEFAULT)
    assert isinstance(outcome, Refused)
    said = preempt(wanted, shape, outcome, snapshot, DEFAULT, nominated=snapshot.rows["a"])
    assert said == NoCandidate("not eligible due to a terminating pod on the nominated node.", keeps=True)


def test_what_was_remembered_of_a_row_is_forgotten_when_the_row_changes() -> None:
    snapshot = cluster(node("a", cpu="1"), running=(pod("x", "1", on="a"),))
    assert victims(place(snapshot, pod("p", "1", **HIGH))) == "a: x"
    snapshot.remove_pod("x")
    snapshot.put_pod(pod("z", "1", on="a", priority=1))
    assert victims(place(snapshot, pod("p", "1", **HIGH))) == "a: z"


def test_pods_that_ask_for_as_much_share_what_was_found_and_those_that_do_not_do_not() -> None:
    snapshot = cluster(node("a", cpu="2"), running=(pod("x", "1", on="a", priority=1), pod("y", "1", on="a", priority=2)))
    for labels in ({"app": "one"}, {"app": "two"}):
        assert victims(place(snapshot, pod("p", "1", labels=labels, **HIGH))) == "a: x"
    assert victims(place(snapshot, pod("q", "2", **HIGH))) == "a: x, y"
    # one is important enough to keep both
    assert refusal(snapshot, pod("r", "1", priority=1)) == NoCandidate("0/1 nodes are available: 1 No preemption victims found for incoming pod.")


def test_the_search_goes_on_past_many_nodes_until_one_breaks_no_budget() -> None:
    # given two hundred nodes of which only the last but one has a pod that may go
    running = [pod(f"x{number}", "1", on=f"n{number}", labels={"app": "free" if number == 198 else "kept"}) for number in range(200)]
    snapshot = cluster(*(node(f"n{number}", cpu="1") for number in range(200)), running=tuple(running))
    snapshot.world.put(POD_DISRUPTION_BUDGETS, budget("kept", 0))
    profile = replace(DEFAULT, candidates=(1, 1))
    # when the first, and one alike, look for room; then
    for name in ("p", "q"):
        assert victims(place(snapshot, pod(name, "1", **HIGH), profile)) == "n198: x198"
    # and with one that may go in front, no more are looked at than are wanted
    snapshot.remove_pod("x3")
    snapshot.put_pod(pod("y", "1", on="n3", labels={"app": "other"}, priority=50))
    assert victims(place(snapshot, pod("r", "1", **HIGH), profile)) == "n3: y"
