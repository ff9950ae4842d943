"""A list says the same in every form, however many turns of the event loop it takes."""

from __future__ import annotations

from typing import Any

import yaml
from tests.api_asking import MAPS, Asker, config_map, with_server

from sampan.api import codec
from sampan.apiserver.handlers.list import AT_ONCE

PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def filled(it: Asker, count: int) -> dict[str, Any]:
    for number in range(count):
        await it.must("POST", MAPS, config_map(f"m{number:04}", text="two words: # and 'quotes'"))
    found: dict[str, Any] = await it.must("GET", MAPS)
    return found


async def raw(it: Asker, accept: str) -> bytes:
    answer = await it.server.client.raw("GET", MAPS, headers={"accept": accept})
    assert answer.code == 200, answer.body
    return answer.body


def test_every_form_of_a_long_list_has_every_object() -> None:
    async def check(it: Asker) -> None:
        # given more objects than are rendered in one turn
        whole = await filled(it, AT_ONCE * 2 + 3)
        names = [item["metadata"]["name"] for item in whole["items"]]
        # when
        table, partial = codec.loads(await raw(it, TABLE)), codec.loads(await raw(it, PARTIAL))
        # then
        assert [row["object"]["metadata"]["name"] for row in table["rows"]] == names
        assert table["metadata"] == partial["metadata"] == whole["metadata"]
        assert partial["items"] == [{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]} for item in whole["items"]]
        text = await raw(it, "application/yaml")
        # strings as they stand in JSON: timestamps are strings there
        assert yaml.load(text, Loader=yaml.BaseLoader) == yaml.load(codec.encode(whole), Loader=yaml.BaseLoader)
        assert text == yaml.safe_dump(whole, sort_keys=True, allow_unicode=True).encode()

    with_server(check)


def test_an_empty_list_has_every_form() -> None:
    async def check(it: Asker) -> None:
        whole = await it.must("GET", MAPS)
        assert whole["items"] == []
        assert yaml.safe_load(await raw(it, "application/yaml")) == whole
        assert codec.loads(await raw(it, PARTIAL))["items"] is None
        assert codec.loads(await raw(it, TABLE))["rows"] == []

    with_server(check)
