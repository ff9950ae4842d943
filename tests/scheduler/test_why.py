"""`sampan why`: every plugin about every node, and what would help."""

from __future__ import annotations

import asyncio

from tests.scheduler.one_cluster import one_cluster
from tests.scheduler.small import cluster, node, pod

from sampan.cluster.why import explain_pod
from sampan.scheduler.config import DEFAULT, SchedulerSettings
from sampan.scheduler.why import explain, render


def test_every_plugin_tells_of_every_node_that_it_refuses() -> None:
    snapshot = cluster(node("a", cpu="1"), node("b", cpu="3", taints=[{"key": "k", "effect": "NoSchedule"}]), node("c", cpu="1", unschedulable=True))
    why = explain(pod("p", "2"), snapshot, DEFAULT)
    by_plugin = {one.plugin: one for one in why.sayings}
    assert by_plugin["NodeResourcesFit"].nodes == ("a", "c")
    assert by_plugin["NodeResourcesFit"].alone == ("a",)
    assert by_plugin["TaintToleration"].alone == ("b",)
    assert by_plugin["NodeUnschedulable"].alone == ()
    assert by_plugin["NodeResourcesFit"].remedy == "nearest is a, which lacks 1000m cpu"
    text = render("pod default/p", why)
    assert text.startswith("pod default/p: 0 of 3 nodes fit\n")
    assert "what would help: add a toleration, or remove a taint" in text


def test_victims_are_named_and_a_node_that_fits_too() -> None:
    snapshot = cluster(node("a", cpu="1"), running=(pod("x", "1", on="a"),))
    assert explain(pod("p", "1", priority=5), snapshot, DEFAULT).preemption == "a would take it if these went: default/x"
    snapshot.remove_pod("x")
    assert explain(pod("p", "1"), snapshot, DEFAULT).would_take == "a"
    assert render("p", explain(pod("p"), cluster(), DEFAULT)) == "p: 0 of 0 nodes fit"


def test_it_reads_a_cluster() -> None:
    async def test() -> None:
        settings = SchedulerSettings({DEFAULT.name: DEFAULT})
        async with one_cluster(node("a", cpu="1"), pod("large", "2"), pod("small"), pod("gated", schedulingGates=[{"name": "g"}]),
                               pod("other", schedulerName="other")) as found:
            await found.bound("small")
            await found.refused("large")
            answers = {name: await explain_pod(found.server.client, settings, "default", name) for name in ("large", "small", "gated", "other", "none")}
        assert answers["large"][0] == 1
        assert "1 Insufficient cpu" in answers["large"][1]
        assert answers["small"] == (0, "pod default/small: is on a")
        assert answers["gated"] == (1, "pod default/gated: waits for its scheduling gates: g")
        assert answers["other"][1].startswith("pod default/other: waits for the scheduler other")
        assert answers["none"] == (3, "pod default/none: there is no such pod")

    asyncio.run(test())


def test_what_cannot_be_read_is_told_as_it_is() -> None:
    preference = {"matchExpressions": [{"key": "n", "operator": "Gt", "values": ["-1"]}]}
    wanted = pod("p", affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": preference}]}})
    why = explain(wanted, cluster(node("a"), node("b")), DEFAULT)
    assert why.preemption.startswith('running PreScore plugin "NodeAffinity": [0].matchExpressions[0].values[0][n]: Invalid value: "-1"')
    assert not why.fits
