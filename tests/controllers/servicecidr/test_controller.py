"""ServiceCIDRs and the addresses that need them. Source of the cases: KEP-1880."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import IP_ADDRESSES, SERVICE_CIDRS
from sampan.controllers.servicecidr.controller import ServiceCidrController
from sampan.testing.datadriven import transcripts

ALLOCATED = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io", "ipaddress.kubernetes.io/ip-family": "IPv4"}


def build(w: World) -> list[Any]:
    return [ServiceCidrController(w.context)]


async def cidr(w: World, name: str, *ranges: str) -> None:
    await w.make(SERVICE_CIDRS, {"metadata": {"name": name}, "spec": {"cidrs": list(ranges)}})
    await w.settle()


async def address(w: World, ip: str, labels: dict[str, str] | None = None) -> None:
    await w.make(IP_ADDRESSES, {"metadata": {"name": ip, "labels": ALLOCATED if labels is None else labels}, "spec": {
        "parentRef": {"resource": "services", "namespace": "default", "name": "web"}}})
    await w.settle()


async def ready(w: World, name: str) -> tuple[str, str, str]:
    (one,) = (await w.get(SERVICE_CIDRS, name)).status.conditions
    return one.status, one.reason, one.message


async def wait(w: World, seconds: float = 11.0) -> None:
    await w.settle()
    await w.clock.advance(seconds)
    await w.settle()


def test_a_new_one_is_protected_and_ready() -> None:
    async def scenario(w: World) -> None:
        await cidr(w, "more", "10.110.1.0/24")
        assert (await w.get(SERVICE_CIDRS, "more")).metadata.finalizers == ["networking.k8s.io/service-cidr-finalizer"]
        assert await ready(w, "more") == ("True", "", "Kubernetes Service CIDR is ready")

    run(build, scenario)


def test_one_that_nobody_needs_goes_after_its_grace() -> None:
    async def scenario(w: World) -> None:
        await cidr(w, "more", "10.110.1.0/24")
        await address(w, "10.110.1.9", labels={})  # somebody else's
        await w.delete(SERVICE_CIDRS, "more")
        await w.settle()
        assert await w.get(SERVICE_CIDRS, "more") is not None
        await wait(w)
        assert await w.get(SERVICE_CIDRS, "more") is None

    run(build, scenario)


def test_one_that_an_address_needs_waits_for_it() -> None:
    async def scenario(w: World) -> None:
        await cidr(w, "more", "10.110.1.0/24")
        await address(w, "10.110.1.9")
        await w.delete(SERVICE_CIDRS, "more")
        await wait(w)
        assert (await ready(w, "more"))[:2] == ("False", "Terminating")
        await w.delete(IP_ADDRESSES, "10.110.1.9")
        await wait(w)
        assert await w.get(SERVICE_CIDRS, "more") is None

    run(build, scenario)


def test_a_larger_one_frees_it() -> None:
    async def scenario(w: World) -> None:
        await cidr(w, "more", "10.110.1.0/24")
        await address(w, "10.110.1.9")
        await w.delete(SERVICE_CIDRS, "more")
        await wait(w)
        assert (await ready(w, "more"))[0] == "False"
        await cidr(w, "larger", "10.110.0.0/16")
        await wait(w)
        assert await w.get(SERVICE_CIDRS, "more") is None
        assert (await ready(w, "larger"))[0] == "True"

    run(build, scenario)


def test_it_goes_on_after_a_crash_between_protection_and_status() -> None:
    async def scenario(w: World) -> None:
        await w.make(SERVICE_CIDRS, {"metadata": {"name": "half", "finalizers": ["networking.k8s.io/service-cidr-finalizer"]},
                                     "spec": {"cidrs": ["10.111.0.0/24"]}})
        await w.settle()
        assert (await ready(w, "half"))[0] == "True"

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [ServiceCidrController(world.context)])
