"""Resource claims on the in-process API server."""

from __future__ import annotations

from typing import Any

from controllers.harness import World, run
from sampan.api.errors import InternalError
from sampan.api.resources import EVENTS, PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from sampan.controllers.resourceclaim.controller import ResourceClaimController
from sampan.controllers.resourceclaim.decide import FINALIZER

REQUESTS = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}


def build(world: World) -> list[Any]:
    return [ResourceClaimController(world.context)]


async def a_template(world: World) -> None:
    await world.make(RESOURCE_CLAIM_TEMPLATES, {"metadata": {"name": "gpus"}, "spec": {"spec": REQUESTS}})


async def a_pod(world: World, name: str, *entries: str, node: str = "", **source: str) -> Any:
    source = source or {"resourceClaimTemplateName": "gpus"}
    claims = [{"name": one, **source} for one in entries]
    spec = {"nodeName": node, "resourceClaims": claims,
            "containers": [{"name": "c", "image": "i", "resources": {"claims": [{"name": one} for one in entries]}}]}
    return await world.make(PODS, {"metadata": {"name": name}, "spec": spec})


async def allocate(world: World, claim: str, *pods: Any) -> None:
    """What the scheduler does."""
    await world.patch(RESOURCE_CLAIMS, claim, {"metadata": {"finalizers": [FINALIZER]}})
    result = {"request": "gpu", "driver": "d.example.com", "pool": "p", "device": "d0"}
    reserved = [{"resource": "pods", "name": pod.metadata.name, "uid": pod.metadata.uid} for pod in pods]
    await world.patch(RESOURCE_CLAIMS, claim, {"status": {"allocation": {"devices": {"results": [result]}}, "reservedFor": reserved}}, subresource="status")
    await world.settle()


async def told(world: World, pod: str) -> dict[str, str]:
    return {one.name: one.resourceClaimName for one in (await world.get(PODS, pod)).status.resourceClaimStatuses}


def test_claims_are_made_told_and_made_again() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_template(world)
        await a_pod(world, "web", "one", "two")
        await world.settle()
        # then
        names = await told(world, "web")
        assert sorted(names) == ["one", "two"]
        assert {claim.metadata.name for claim in await world.all(RESOURCE_CLAIMS)} == set(names.values())
        # when one is deleted by mistake
        await world.delete(RESOURCE_CLAIMS, names["one"])
        await world.settle()
        # then only that one is another
        again = await told(world, "web")
        assert again["two"] == names["two"]
        assert again["one"] != names["one"]
        assert {claim.metadata.name for claim in await world.all(RESOURCE_CLAIMS)} == set(again.values())

    run(build, scenario)


def test_a_claim_that_could_not_be_told_is_not_made_twice() -> None:
    async def scenario(world: World) -> None:
        # given
        world.client.fail = lambda verb, resource, _: InternalError("no luck") if (verb, resource) == ("patch", PODS) else None
        await a_template(world)
        await a_pod(world, "web", "one")
        await world.settle()
        await world.clock.advance(1)
        await world.settle()
        assert await told(world, "web") == {}
        # when
        world.client.fail = lambda verb, resource, _: None
        await world.clock.advance(60)
        await world.settle()
        # then
        [claim] = await world.all(RESOURCE_CLAIMS)
        assert await told(world, "web") == {"one": claim.metadata.name}

    run(build, scenario)


def test_a_missing_template_is_told_until_it_comes() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_pod(world, "web", "one")
        await world.settle()
        # then
        [event] = await world.all(EVENTS)
        assert event.reason == "FailedResourceClaimCreation"
        assert event.message == 'PodResourceClaim one: resource claim template "gpus": resourceclaimtemplate.resource.k8s.io "gpus" not found'
        # when
        await a_template(world)
        await world.clock.advance(60)
        await world.settle()
        # then
        assert sorted(await told(world, "web")) == ["one"]

    run(build, scenario)


def test_a_claim_of_a_user_is_freed_by_its_last_pod_and_stays() -> None:
    async def scenario(world: World) -> None:
        # given two pods that share a claim
        await world.make(RESOURCE_CLAIMS, {"metadata": {"name": "shared"}, "spec": REQUESTS})
        pods = [await a_pod(world, name, "one", node="n", resourceClaimName="shared") for name in ("a", "b")]
        await allocate(world, "shared", *pods)
        # when one is gone
        await world.delete(PODS, "a", grace_period_seconds=0)
        await world.settle()
        # then
        claim = await world.get(RESOURCE_CLAIMS, "shared")
        assert [one.name for one in claim.status.reservedFor] == ["b"]
        assert claim.status.allocation is not None
        # when the other is over
        await world.patch(PODS, "b", {"status": {"phase": "Succeeded"}}, subresource="status")
        await world.settle()
        # then
        claim = await world.get(RESOURCE_CLAIMS, "shared")
        assert claim.status.reservedFor == []
        assert claim.status.allocation is None
        assert FINALIZER not in claim.metadata.finalizers

    run(build, scenario)


def test_a_claim_made_for_a_pod_goes_when_the_pod_is_over() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_template(world)
        pod = await a_pod(world, "web", "one", node="n")
        await world.settle()
        name = (await told(world, "web"))["one"]
        await allocate(world, name, pod)
        # when
        await world.patch(PODS, "web", {"status": {"phase": "Failed"}}, subresource="status")
        await world.settle()
        # then
        assert await world.all(RESOURCE_CLAIMS) == []

    run(build, scenario)


def test_a_pod_put_on_a_node_by_hand_has_its_claim_reserved() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(RESOURCE_CLAIMS, {"metadata": {"name": "shared"}, "spec": REQUESTS})
        await allocate(world, "shared")
        # when
        await a_pod(world, "web", "one", node="n", resourceClaimName="shared")
        await world.settle()
        # then
        assert [one.name for one in (await world.get(RESOURCE_CLAIMS, "shared")).status.reservedFor] == ["web"]

    run(build, scenario)


def test_a_reservation_for_a_pod_of_before_is_cleaned_up_at_the_start() -> None:
    async def scenario(world: World) -> None:
        # given a claim reserved for a pod that nobody here has ever seen
        await world.make(RESOURCE_CLAIMS, {"metadata": {"name": "shared"}, "spec": REQUESTS})
        ghost = await a_pod(world, "ghost", "one", node="n", resourceClaimName="shared")
        await world.delete(PODS, "ghost", grace_period_seconds=0)
        await world.settle()
        world.controllers[0]._gone.clear()
        # when
        await allocate(world, "shared", ghost)
        # then the server was asked, and the claim is free
        assert (await world.get(RESOURCE_CLAIMS, "shared")).status.reservedFor == []

    run(build, scenario)


def test_a_holder_of_an_unknown_kind_keeps_the_claim_and_pods_that_are_gone_do_not() -> None:
    async def scenario(world: World) -> None:
        # given a claim that is reserved for a pod that there is not, and for something else
        await world.make(RESOURCE_CLAIMS, {"metadata": {"name": "gpu", "finalizers": [FINALIZER]}, "spec": REQUESTS})
        result = {"request": "gpu", "driver": "d.example.com", "pool": "p", "device": "d0"}
        gone = {"resource": "pods", "name": "gone", "uid": "11111111-1111-1111-1111-111111111111"}
        other = {"apiGroup": "example.com", "resource": "things", "name": "thing", "uid": "22222222-2222-2222-2222-222222222222"}
        # when
        await world.patch(RESOURCE_CLAIMS, "gpu", {"status": {"allocation": {"devices": {"results": [result]}}, "reservedFor": [gone, other]}},
                          subresource="status")
        await world.settle()
        # then
        claim = await world.get(RESOURCE_CLAIMS, "gpu")
        assert [one.name for one in claim.status.reservedFor] == ["thing"]
        assert claim.status.allocation is not None
        # when
        await world.delete(RESOURCE_CLAIMS, "gpu")
        await world.settle()
        # then
        assert (await world.get(RESOURCE_CLAIMS, "gpu")).metadata.finalizers == [FINALIZER]

    run(build, scenario)


def test_a_claim_from_a_template_does_not_block_the_deletion_of_its_pod() -> None:
    async def scenario(world: World) -> None:
        await a_template(world)
        pod = await a_pod(world, "web", "one")
        await world.settle()
        [claim] = await world.all(RESOURCE_CLAIMS)
        [owner] = claim.metadata.ownerReferences
        assert (owner.uid, owner.controller, owner.blockOwnerDeletion) == (pod.metadata.uid, True, None)

    run(build, scenario)
