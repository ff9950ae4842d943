"""Selectors of lists: who looks at many objects once leaves none of them decoded."""

from __future__ import annotations

import pytest
from tests.api_asking import Asker, with_server

from sampan.api.resources import PODS

PATH = "/api/v1/namespaces/default/pods"


def pod(name: str, node: str = "") -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}}


@pytest.mark.parametrize(("fields", "found"), [
    ("spec.nodeName=a", ["on-a"]), ("spec.nodeName=", ["free"]), ("spec.nodeName!=", ["on-a", "on-b"]), ("spec.nodeName!=a", ["free", "on-b"]),
    ("spec.nodeName=a,status.phase=Pending", ["on-a"]), ("spec.nodeName!=a,status.phase!=Pending", []), ("metadata.name!=free", ["on-a", "on-b"]),
    ("metadata.name=on-a,spec.nodeName=b", []), ("status.phase=Pending", ["free", "on-a", "on-b"]),
])
def test_pods_are_found_by_fields_and_none_stays_decoded(fields: str, found: list[str]) -> None:
    async def check(it: Asker) -> None:
        # given
        for made in (pod("free"), pod("on-a", "a"), pod("on-b", "b")):
            await it.must("POST", PATH, made)
        entries = list(it.server.server.caches.of(PODS).entries())
        for entry in entries:  # who wrote them left them decoded for a while
            entry.lighten()
        # when
        listed = await it.must("GET", f"{PATH}?fieldSelector={fields.replace('=', '%3D').replace(',', '%2C')}")
        # then
        assert [one["metadata"]["name"] for one in listed["items"]] == found
        assert [entry.name for entry in entries if entry._object is not None] == []

    with_server(check)
