"""A part of another document in ours."""

from __future__ import annotations

from typing import Any

from sampan.apiserver.openapi import merge


def test_a_part_has_what_its_paths_need_and_no_more() -> None:
    document = {"paths": {"/apis/g/v1/": {}, "/apis/g/v1/a": {"schema": {"$ref": "#/definitions/A"}}, "/apis/g/v10/b": {"schema": {"$ref": "#/definitions/C"}}},
                "definitions": {"A": {"items": [{"$ref": "#/definitions/B"}]}, "B": {"$ref": "#/definitions/A"}, "C": {}}}
    paths, definitions = merge.part(document, ("/apis/g/v1",))
    assert sorted(paths) == ["/apis/g/v1/", "/apis/g/v1/a"]
    assert sorted(definitions) == ["A", "B"]
    assert merge.part({"paths": 3}, ("/apis/g/v1",)) == ({}, {})


def test_equal_definitions_are_shared_and_others_get_a_name_of_their_own() -> None:
    paths: dict[str, Any] = {"/x": {"our": 1}}
    definitions: dict[str, Any] = {"Same": {"type": "object"}, "Differs": {"type": "string"}, "Differs_v2": {}}
    merge.into(paths, definitions, (
        {"/x": {"their": 1}, "/y": {"schema": {"$ref": "#/definitions/Differs"}}},
        {"Same": {"type": "object"}, "Differs": {"items": {"$ref": "#/definitions/Differs"}}, "New": {"$ref": "#/definitions/Same"}}))
    assert paths == {"/x": {"our": 1}, "/y": {"schema": {"$ref": "#/definitions/Differs_v3"}}}
    assert definitions["Differs"] == {"type": "string"}
    assert definitions["Differs_v3"] == {"items": {"$ref": "#/definitions/Differs_v3"}}
    assert definitions["New"] == {"$ref": "#/definitions/Same"}
