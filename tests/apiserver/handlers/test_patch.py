"""PATCH: what server-side apply makes of the place, the uid and the text of a configuration."""

from __future__ import annotations

from typing import Any

import pytest

from api_asking import MAPS, PODS, Asker, with_server
from apiserver.crd.definitions import define, definition, gear, gears
from sampan.aio.clock import VirtualClock
from sampan.api import codec

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


HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
COULD_NOT = "couldn't get version/kind; json parse error: json: cannot unmarshal"
UNNAMED = "was undeterminable: name must be provided"


@pytest.mark.parametrize(("value", "code", "words"), [
    ([], 422, f'Invalid value: "[]": {COULD_NOT} array into Go value of type {HEAD}'),
    ({}, 422, "Object 'Kind' is missing in '{}'"),
    ({"metadata": []}, 422, """Object 'Kind' is missing in '{"metadata":[]}'"""),
    ({"kind": 7}, 422, f"{COULD_NOT} number into Go struct field .kind of type string"),
    ({"kind": "Gear"}, 400, UNNAMED),
    ({"apiVersion": "example.com/v1", "kind": "Gear", "metadata": None}, 400, UNNAMED),
    ({"apiVersion": "v2", "kind": "Gear"}, 422, 'no kind "Gear" is registered for version "v2" in scheme'),
])
def test_a_patch_may_make_anything_of_a_custom_object(value: Any, code: int, words: str) -> None:
    async def test(asker: Asker) -> None:
        await define(asker, definition())
        await asker.must("POST", gears(), gear("a"))
        patch = [{"op": "replace", "path": "", "value": value}]
        answer = await asker.ask("PATCH", gears(name="a"), patch, content_type="application/json-patch+json")
        assert answer[0] == code, answer
        assert words in answer[1]["message"]

    with_server(test)


def test_a_patch_may_make_a_list_of_an_object() -> None:
    async def test(asker: Asker) -> None:
        patch = [{"op": "replace", "path": "", "value": []}]
        code, value = await asker.ask("PATCH", "/api/v1/namespaces/default", patch, content_type="application/json-patch+json")
        assert (code, value["details"]["causes"]) == (422, [{"reason": "FieldValueInvalid", "field": "patch", "message":
                                                             f'Invalid value: "[]": {COULD_NOT} array into Go value of type {HEAD}'}])

    with_server(test)


READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
STATUSES: list[Any] = [
    {"status": {"conditions": [READY], "phase": "Running", "podIP": "10.0.0.1"}},
    {"status": {"conditions": [{"type": "DisruptionTarget", "status": "True"}], "$setElementOrder/conditions": [{"type": "DisruptionTarget"}, {"type": "Ready"}]}},
    {"status": {"conditions": [{"type": "PodScheduled", "$patch": "delete"}], "phase": None}},
    {"status": {"$patch": "replace", "phase": "Failed"}},
    {"status": {}}, {"status": None}, {"status": "x"}, {"status": {"phase": 5}}, {"status": {"unknown": 1}}, {"status": {"qosClass": "Guaranteed"}},
    {"status": {"conditions": [{"status": "True"}]}}, {"status": {"containerStatuses": [{"name": "c", "ready": False, "restartCount": -1}]}},
    {"metadata": {"uid": "UID"}, "status": {"conditions": [READY | {"status": "False"}]}},
    {"metadata": {"uid": "another"}, "status": {"phase": "Running"}},
    {"metadata": {"uid": "UID", "labels": {"a": "b"}}, "status": {"phase": "Running"}},
    {"status": {"phase": "Running"}, "spec": {"nodeName": "n"}},
    {"status": {"podIPs": [{"ip": "10.0.0.2"}], "hostIP": "nonsense", "hostIPs": [{"ip": "nonsense"}]}},
]


@pytest.mark.parametrize("kind", ["strategic-merge", "merge"])
@pytest.mark.parametrize("body", STATUSES, ids=[str(number) for number in range(len(STATUSES))])
def test_a_status_patched_alone_becomes_what_it_does_with_all_the_rest(body: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, Any]] = []

    async def check(it: Asker) -> None:
        # given a pod of which a node has told something
        made = await it.must("POST", PODS, {
            "metadata": {"name": "p", "labels": {"x": "y"}, "finalizers": ["a/b"]}, "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "n"}})
        path = f"{PODS}/p/status"
        await it.merge(path, {"status": {"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}], "hostIP": "192.0.2.1"}})
        # when
        text = codec.encode(body).replace(b'"UID"', codec.encode(made["metadata"]["uid"]))
        told.append(await it.ask("PATCH", path, text, content_type=f"application/{kind}-patch+json", user_agent="another/1"))
        told.append(await it.ask("GET", f"{PODS}/p"))

    for alone in (True, False):
        if not alone:
            monkeypatch.setattr("sampan.apiserver.handlers.patch._status_alone", lambda *_: None)
        with_server(check, clock=VirtualClock())
    # then
    assert told[:2] == told[2:]
