"""PATCH: what server-side apply makes of the place, the uid and the text of a configuration."""

from __future__ import annotations

from typing import Any

from api_asking import MAPS, Asker, with_server

APPLY = {"content_type": "application/apply-patch+yaml"}
URL = "/api/v1/namespaces/default/configmaps/a?fieldManager=me"


def config(metadata: Any, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **rest}


def test_what_is_applied_is_the_object_of_the_path() -> None:
    async def test(asker: Asker) -> None:
        undeterminable = "the name of the object (a based on URL) was undeterminable: name must be provided"
        for metadata, code, words in [
            ({}, 400, undeterminable), (None, 400, undeterminable), ({"generateName": "a"}, 400, undeterminable),
            ({"name": "b"}, 400, "the name of the object (b) does not match the name on the URL (a)"),
            ({"name": "a", "namespace": "other"}, 400, "the namespace of the provided object does not match the namespace sent on the request"),
            ({"name": "a", "uid": "u"}, 409, 'Operation cannot be fulfilled on configmaps "a": uid mismatch: the provided object specified '
                                             "uid u, and no existing object was found"),
        ]:
            answer = await asker.ask("PATCH", URL, config(metadata), **APPLY)
            assert (answer[0], answer[1]["message"]) == (code, words)
        assert (await asker.ask("GET", f"{MAPS}/a"))[0] == 404
        assert (await asker.ask("PATCH", URL, config({"name": "a"}), **APPLY))[0] == 201
        # an object that is there lends its name
        assert (await asker.ask("PATCH", URL, config({}), **APPLY))[0] == 200

    with_server(test)


def test_repeated_keys_are_told_of_when_the_configuration_could_be_applied() -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: '1'\n  a: '2'\n"

    async def test(asker: Asker) -> None:
        answer = await asker.server.client.raw("PATCH", URL, body=text, headers={"content-type": APPLY["content_type"]})
        assert answer.code == 201
        assert [value for name, value in answer.headers.items() if name.lower() == "warning"] == ['299 - "line 6: key \\"a\\" already set in map"']
        code, value = await asker.ask("PATCH", f"{URL}&fieldValidation=Strict", text, **APPLY)
        assert (code, value["message"]) == (400, "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
                                                 '  line 6: key "a" already set in map')
        assert (await asker.ask("PATCH", f"{URL}&force=true".replace("=me", "=you"), text.replace(b"'2'", b"'3'"), **APPLY))[0] == 200
        code, value = await asker.ask("PATCH", f"{URL}&fieldValidation=Strict", text, **APPLY)
        assert (code, value["reason"]) == (409, "Conflict")

    with_server(test)
