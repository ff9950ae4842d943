"""What a fresh server holds, and that a second start changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from api_asking import Asker, with_server
from sampan.apiserver.bootstrap import Addresses
from sampan.apiserver.server import Settings
from sampan.testing.server import LEAN, running_server


def test_a_fresh_server_has_what_upstreams_has() -> None:
    async def test(asker: Asker) -> None:
        names = {item["metadata"]["name"] for item in (await asker.must("GET", "/api/v1/namespaces"))["items"]}
        assert names == {"default", "kube-system", "kube-public", "kube-node-lease"}
        service = await asker.must("GET", "/api/v1/namespaces/default/services/kubernetes")
        assert (service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]) == ("10.96.0.1", 443)
        slice_ = await asker.must("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
        assert slice_["endpoints"][0]["addresses"] == ["192.0.2.1"]
        for path in ("scheduling.k8s.io/v1/priorityclasses/system-node-critical", "networking.k8s.io/v1/servicecidrs/kubernetes",
                     "flowcontrol.apiserver.k8s.io/v1/flowschemas/exempt", "apiregistration.k8s.io/v1/apiservices/v1.apps"):
            await asker.must("GET", f"/apis/{path}")

    with_server(test, settings=Settings())


def test_starting_again_writes_nothing() -> None:
    async def test() -> None:
        async with running_server(settings=Settings()) as first:
            before = first.store.revision
            await first.server.stop()
            async with running_server(store=first.store, settings=Settings(), seed=2) as second:
                assert second.store.revision == before

    asyncio.run(test())


def test_a_server_that_has_moved_says_where_it_is() -> None:
    async def test() -> None:
        async with running_server() as first:
            await first.server.stop()
            moved = replace(LEAN, addresses=Addresses("192.0.2.9", 7443))
            async with running_server(store=first.store, settings=moved, seed=2) as second:
                asker = Asker(second)
                endpoints = await asker.must("GET", "/api/v1/namespaces/default/endpoints/kubernetes")
                assert endpoints["subsets"][0]["addresses"] == [{"ip": "192.0.2.9"}]
                assert endpoints["subsets"][0]["ports"][0]["port"] == 7443

    asyncio.run(test())
