"""More addresses than are mirrored, slices that are there already."""

from __future__ import annotations

from msgspec.structs import replace

from sampan.api.core.v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.scalars import Time
from sampan.controllers.endpointslicemirroring.decide import decide
from sampan.kinds.plan import Create, Delete, Plan, Update


def endpoints(*subsets: tuple[int, int]) -> Endpoints:
    """A subset for each (ready, not ready), its port the number of the subset."""
    found, last = [], 0
    for port, (ready, waiting) in enumerate(subsets):
        all_ = [EndpointAddress(ip=f"192.0.{number // 250}.{number % 250}") for number in range(last, last + ready + waiting)]
        last += ready + waiting
        found.append(EndpointSubset(addresses=all_[:ready], notReadyAddresses=all_[ready:], ports=[EndpointPort(port=port + 1, protocol="TCP")]))
    return Endpoints(metadata=ObjectMeta(name="db", namespace="default", uid="e"), subsets=found)


def sizes(plan: Plan) -> list[int]:
    return sorted(len(write.object.endpoints) for write in plan.writes if isinstance(write, Create | Update))


def test_of_each_subset_so_many_are_mirrored_and_the_rest_is_told() -> None:
    # given
    plan = decide(endpoints((8, 7), (3, 0), (10, 1)), (), 10)
    # then
    assert sizes(plan) == [3, 10, 10]
    assert [(one.reason, one.message) for one in plan.events] == [(
        "TooManyAddressesToMirror",
        "A max of 10 addresses can be mirrored to EndpointSlices per Endpoints subset. 6 addresses were skipped")]


def test_what_is_mirrored_is_not_written_again() -> None:
    # given
    wanted = endpoints((2, 1))
    (write,) = decide(wanted, ()).writes
    assert isinstance(write, Create)
    there = replace(write.object, metadata=replace(write.object.metadata, name="db-1", uid="s"))
    # when, then
    assert decide(wanted, [there]).writes == ()
    # when it is of Endpoints that had the name before
    stale = replace(there, metadata=replace(there.metadata, ownerReferences=[OwnerReference(apiVersion="v1", kind="Endpoints", name="db", uid="old")]))
    (again,) = decide(wanted, [stale]).writes
    # then
    assert isinstance(again, Update)
    assert [ref.uid for ref in again.object.metadata.ownerReferences] == ["e"]


def test_of_several_slices_of_the_same_ports_one_is_kept() -> None:
    # given
    wanted = endpoints((2, 1))
    (write,) = decide(wanted, ()).writes
    assert isinstance(write, Create)
    both = [replace(write.object, metadata=replace(write.object.metadata, name=name)) for name in ("a", "b")]
    # when
    plan = decide(wanted, both)
    # then
    assert [(type(one), one.name) for one in plan.writes if isinstance(one, Delete)] == [(Delete, "b")]
    assert len(plan.writes) == 1


def test_endpoints_that_are_being_deleted_get_no_new_slice() -> None:
    # given
    wanted = endpoints((2, 1))
    wanted.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
    # when, then
    assert decide(wanted, ()).writes == ()
