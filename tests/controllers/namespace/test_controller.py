"""Namespaces that go, and what every namespace is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS
from sampan.controllers.namespace.controller import NamespaceController
from sampan.controllers.rootca.controller import RootCaPublisher
from sampan.controllers.serviceaccount.controller import ServiceAccountController
from sampan.testing.datadriven import transcripts


def build(world: World) -> list[Any]:
    return [NamespaceController(world.context), ServiceAccountController(world.context), RootCaPublisher(world.context, "a CA")]


def test_every_namespace_gets_its_account_and_ca_and_keeps_them() -> None:
    async def scenario(world: World) -> None:
        await world.make(NAMESPACES, {"metadata": {"name": "shop"}})
        await world.settle()
        assert (await world.get(CONFIG_MAPS, "kube-root-ca.crt", "shop")).data == {"ca.crt": "a CA"}
        await world.delete(SERVICE_ACCOUNTS, "default", "shop")
        await world.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "x", "more": "y"}}, "shop")
        await world.settle()
        assert await world.get(SERVICE_ACCOUNTS, "default", "shop") is not None
        assert (await world.get(CONFIG_MAPS, "kube-root-ca.crt", "shop")).data == {"ca.crt": "a CA"}

    run(build, scenario)


def test_a_namespace_goes_with_all_it_holds() -> None:
    async def scenario(world: World) -> None:
        await world.make(NAMESPACES, {"metadata": {"name": "shop"}})
        await world.make(SECRETS, {"metadata": {"name": "s"}}, "shop")
        await world.settle()
        await world.delete(NAMESPACES, "shop")
        await world.settle()
        assert await world.get(NAMESPACES, "shop") is None
        assert [one for one in await world.all(SECRETS) if one.metadata.namespace == "shop"] == []

    run(build, scenario)


def test_what_holds_a_namespace_stands_in_its_conditions() -> None:
    async def scenario(world: World) -> None:
        await world.make(NAMESPACES, {"metadata": {"name": "shop"}})
        await world.make(CONFIG_MAPS, {"metadata": {"name": "x", "finalizers": ["example.com/hold"]}}, "shop")
        await world.settle()
        await world.delete(NAMESPACES, "shop")
        await world.settle()
        found = {one.type: one.message for one in (await world.get(NAMESPACES, "shop")).status.conditions if one.status == "True"}
        assert found == {
            "NamespaceContentRemaining": "Some resources are remaining: configmaps. has 1 resource instances",
            "NamespaceFinalizersRemaining": "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"}
        await world.patch(CONFIG_MAPS, "x", {"metadata": {"finalizers": None}}, "shop")
        await world.clock.advance(20)
        await world.settle()
        assert await world.get(NAMESPACES, "shop") is None

    run(build, scenario)


def test_pods_go_before_everything_else() -> None:
    async def scenario(world: World) -> None:
        await world.make(NAMESPACES, {"metadata": {"name": "shop"}})
        await world.make(PODS, {"metadata": {"name": "p", "finalizers": ["example.com/hold"]}, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "shop")
        await world.make(SECRETS, {"metadata": {"name": "s"}}, "shop")
        await world.settle()
        await world.delete(NAMESPACES, "shop")
        await world.settle()
        assert await world.get(SECRETS, "s", "shop") is not None
        await world.patch(PODS, "p", {"metadata": {"finalizers": None}}, "shop")
        await world.settle()
        assert await world.get(NAMESPACES, "shop") is None

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [NamespaceController(world.context)])
