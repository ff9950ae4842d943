"""Where documents are, and what is said of custom kinds."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from api_asking import Asker, with_server
from apiserver.crd.definitions import CRDS, define, definition, until, version
from sampan.api import codec
from sampan.apiserver import kindtable
from sampan.apiserver.openapi import schemas
from sampan.apiserver.openapi.documents import Documents
from sampan.apiserver.parse import parse

SIZED = {"type": "object", "description": "A gear turns.", "properties": {"size": {"type": "integer", "description": "How big."}}}


def test_the_whole_of_v2_is_no_document_of_v3() -> None:
    async def check(asker: Asker) -> None:
        assert (await asker.ask("GET", "/openapi/v3/v2"))[0] == 404
        assert (await asker.ask("GET", "/openapi/v3/nothing"))[0] == 404
        assert "v2" not in (await asker.must("GET", "/openapi/v3"))["paths"]

    with_server(check)


def test_custom_kinds_are_there_at_once_and_gone_with_their_definition() -> None:
    async def check(asker: Asker) -> None:
        # given both documents made before
        assert "com.example.v1.Gear" not in (await asker.must("GET", "/openapi/v2"))["definitions"]
        # when a kind is defined
        await define(asker, definition(version(schema=SIZED)))
        # then both have it
        index = (await asker.must("GET", "/openapi/v3"))["paths"]
        schema = (await asker.must("GET", index["apis/example.com/v1"]["serverRelativeURL"]))["components"]["schemas"]["com.example.v1.Gear"]
        assert (schema["description"], schema["properties"]["size"]) == ("A gear turns.", {"type": "integer", "description": "How big."})
        whole = await asker.must("GET", "/openapi/v2")
        assert whole["definitions"]["com.example.v1.Gear"]["properties"]["size"]["description"] == "How big."
        assert "/apis/example.com/v1/namespaces/{namespace}/gears/{name}" in whole["paths"]
        # and lose it with the definition
        await asker.ask("DELETE", f"{CRDS}/gears.example.com")
        await until(asker, "/apis/example.com/v1/gears", lambda code, _: code == 404)
        assert "apis/example.com/v1" not in (await asker.must("GET", "/openapi/v3"))["paths"]

    with_server(check)


def test_what_every_object_has_is_said_of_custom_kinds_as_of_built_in_ones() -> None:
    texts = {"io.k8s.api.core.v1.ConfigMap": {"kind": "What it is.", "metadata": "Who it is."}, "io.k8s.api.core.v1.ConfigMapList": {"kind": "A list."}}
    found = schemas.of_custom("example.com", "v1", "Gear", SIZED, texts)["properties"]
    assert found["kind"] == {"type": "string", "description": "What it is."}
    assert found["metadata"]["description"] == "Who it is."
    assert found["apiVersion"] == {"type": "string"}
    assert schemas.list_of_custom("example.com", "v1", "Gear", "GearList", texts)["properties"]["kind"]["description"] == "A list."


class Others:
    """One other server, whose document can't be had at first."""

    generation = 1

    def __init__(self) -> None:
        self.body = b""

    def openapi(self) -> dict[str, tuple[Any, Any]]:
        return {"apis/g/v1": (SimpleNamespace(target="t", path="/apis/g/v1"), SimpleNamespace(openapi="/openapi/v3/apis/g/v1?hash=7"))}

    async def document(self, remote: Any, location: str) -> bytes:
        return self.body


def test_a_document_of_another_server_that_can_t_be_had_is_not_remembered() -> None:
    async def check() -> None:
        others = Others()
        documents = Documents(kindtable.catalog(), "v1", others=others)

        async def ask(path: str) -> tuple[int, Any]:
            answer = await documents.answer(parse("GET", path, {}, {}))
            return answer.code, codec.loads(answer.joined()) if answer.joined() else None

        assert (await ask("/openapi/v3"))[1]["paths"]["apis/g/v1"] == {"serverRelativeURL": "/openapi/v3/apis/g/v1?hash=7"}
        assert await ask("/openapi/v3/apis/g/v1") == (503, None)
        others.body = b'{"openapi":"3.0.0"}'
        assert await ask("/openapi/v3/apis/g/v1") == (200, {"openapi": "3.0.0"})

    asyncio.run(check())
