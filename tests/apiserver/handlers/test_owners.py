"""Owner references that are there twice, through the real pipeline."""

from __future__ import annotations

from typing import Any

from api_asking import Asker, with_server
from sampan.api import codec

MAPS = "/api/v1/namespaces/default/configmaps"
ONE: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": True}
OTHER: dict[str, Any] = {**ONE, "name": "m", "controller": False}
WORDS = ("; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; "
         "duplicate UID(s) observed: u")


def a_map(*owners: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "ownerReferences": list(owners)}}


async def told(asker: Asker, method: str, path: str, body: Any, kind: str = "application/json") -> tuple[list[str], list[str]]:
    """The names of the owners afterwards, and what the client was warned of."""
    answer = await asker.server.client.raw(method, path, body=codec.encode(body), headers={"content-type": kind})
    names = [one["name"] for one in codec.loads(answer.body)["metadata"]["ownerReferences"]]
    return names, [value for name, value in answer.headers.items() if name.lower() == "warning"]


def test_equal_references_are_kept_once_and_told() -> None:
    async def test(asker: Asker) -> None:
        twice, after = f'299 - ".metadata.ownerReferences contains duplicate entries{WORDS}"', " after mutating admission happens"
        assert await told(asker, "POST", MAPS, a_map(ONE, OTHER, ONE)) == (["n", "m"], [twice])
        assert await told(asker, "PUT", f"{MAPS}/m", a_map(ONE, ONE)) == (["n"], [twice])
        assert await told(asker, "PATCH", f"{MAPS}/m", {"metadata": {"ownerReferences": [ONE, ONE]}}, "application/merge-patch+json") == (
            ["n"], [twice.replace(WORDS, after + WORDS)])
        assert await told(asker, "PUT", f"{MAPS}/m", a_map(ONE, OTHER)) == (["n", "m"], [])

    with_server(test)
