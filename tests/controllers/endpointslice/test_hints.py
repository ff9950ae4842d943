"""Hints by the zones' CPUs; how they come and go is in the transcript `hints.txt` of `test_decide`."""

from __future__ import annotations

from collections import Counter

from sampan.api.core.v1 import Node, NodeCondition
from sampan.api.discovery.v1 import Endpoint, EndpointConditions
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Quantity
from sampan.control.key import Key
from sampan.controllers.endpointslice.drafts import Draft, Drafts
from sampan.controllers.endpointslice.hints import ENABLED, Topology

WEB = Key("default", "web")


def nodes(**cpus: int) -> list[Node]:
    """One ready node a zone."""
    found = []
    for zone, cpu in cpus.items():
        one = Node(metadata=ObjectMeta(name=zone, labels={"topology.kubernetes.io/zone": zone}))
        one.status.allocatable, one.status.conditions = {"cpu": Quantity(str(cpu))}, [NodeCondition(type="Ready", status="True")]
        found.append(one)
    return found


def topology(**cpus: int) -> Topology:
    known = Topology()
    known.learn(nodes(**cpus))
    return known


def drafts(**numbers: int) -> Drafts:
    """A new slice with so many endpoints in each zone."""
    return Drafts(create=[Draft((), [Endpoint(addresses=["10.1.0.1"], zone=zone, conditions=EndpointConditions(ready=True))
                                     for zone, number in numbers.items() for _ in range(number)])])


def meant(found: Drafts) -> dict[str, int]:
    return dict(Counter(zone.name for draft in found.create for one in draft.endpoints if one.hints is not None for zone in one.hints.forZones))


def test_a_zone_without_endpoints_gets_those_of_others() -> None:
    # given two zones of one size, all endpoints in one of them
    found = drafts(a=6)
    # when
    told = topology(a=4, b=4).give(WEB, "IPv4", found)
    # then
    assert told is not None
    assert told.reason == ENABLED
    assert meant(found) == {"a": 3, "b": 3}


def test_endpoints_are_meant_for_zones_by_their_cpus() -> None:
    # given a zone twice as large as the other two, and as many endpoints in each
    found = drafts(a=4, b=4, c=4)
    # when
    topology(a=8, b=4, c=4).give(WEB, "IPv4", found)
    # then
    assert meant(found) == {"a": 6, "b": 3, "c": 3}


def test_small_imbalance_changes_no_hint() -> None:
    # given what is within the threshold of a fair share
    found = drafts(a=6, b=5)
    # when
    topology(a=4, b=4).give(WEB, "IPv4", found)
    # then
    assert meant(found) == {"a": 6, "b": 5}


def test_a_service_is_overloaded_once_a_zone_has_far_more_cpus_than_endpoints() -> None:
    # given
    known = topology(a=4, b=4)
    known.give(WEB, "IPv4", drafts(a=2, b=2))
    assert known.overloaded() == []
    # when a zone grows
    known.learn(nodes(a=40, b=4))
    # then
    assert known.overloaded() == [WEB]
    # and when more endpoints are meant for it
    known.give(WEB, "IPv4", drafts(a=2, b=2))
    # then
    assert known.overloaded() == []


def test_who_gives_hints_up_is_told_once() -> None:
    # given
    known = topology(a=4, b=4)
    known.give(WEB, "IPv4", drafts(a=2, b=2))
    # when
    told = [known.give_up(WEB, "IPv4", wanted=False) for _ in range(2)]
    # then
    assert [one.message if one else None for one in told] == ["Topology Aware Hints has been disabled, addressType: IPv4", None]
    assert not known
