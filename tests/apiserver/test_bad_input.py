"""Bad input gets upstream's Status, changes nothing and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sampan.api import codec
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}


def asked(check: Callable[[RunningServer], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with running_server() as server:
            return await asyncio.wait_for(check(server), PATIENCE_SECONDS)

    return asyncio.run(run())


def post(path: str, body: bytes, headers: dict[str, str] = JSON) -> tuple[int, dict[str, Any], int]:
    """(code, Status, how many config maps there are afterwards)."""

    async def check(server: RunningServer) -> tuple[int, dict[str, Any], int]:
        answer = await server.client.raw("POST", path, body=body, headers=headers)
        listed = await server.client.raw("GET", MAPS)
        return answer.code, codec.loads(answer.body), len(codec.loads(listed.body)["items"])

    return asked(check)  # type: ignore[no-any-return]


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'"text"', b"\xff\xfe\x00", b'{"kind":', b'{"metadata":{"name":"a"}}}', b"{" * 50, b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
])
def test_malformed_json_is_a_400(body: bytes) -> None:
    code, status, left = post(MAPS, body)
    assert (code, status["kind"], status["reason"], left) == (400, "Status", "BadRequest", 0)


@pytest.mark.parametrize("body", [b"a: [", b"\t- x", b"a: &x [*x]", b"- 1", b"!!python/object:os.system {}", b"metadata: {name: yes}"])
def test_malformed_yaml_is_a_400(body: bytes) -> None:
    code, status, left = post(MAPS, body, YAML)
    assert (code, status["kind"], left) == (400, "Status", 0)


def test_a_yaml_bomb_is_bounded() -> None:
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9))
    assert post(MAPS, bomb, YAML)[0] in (400, 413)


@pytest.mark.parametrize(("body", "words"), [
    (b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":1}}', "cannot unmarshal number"),
    (b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":1}}', "cannot unmarshal number"),
    (b'{"kind":"ConfigMap","apiVersion":"v1","metadata":"a"}', "cannot unmarshal string"),
])
def test_wrong_types_are_named(body: bytes, words: str) -> None:
    code, status, left = post(MAPS, body)
    assert (code, left) == (400, 0)
    assert words in status["message"]


@pytest.mark.parametrize("body", [
    b'{"kind":"Nothing","apiVersion":"v1","metadata":{"name":"a"}}',
    b'{"kind":"ConfigMap","apiVersion":"v9","metadata":{"name":"a"}}',
    b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}}',
])
def test_unknown_and_other_kinds_are_refused(body: bytes) -> None:
    code, status, left = post(MAPS, body)
    assert (code, status["reason"], left) == (400, "BadRequest", 0)


def test_a_body_over_three_mebibytes_is_a_413() -> None:
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"' + b"x" * (3 << 20) + b'"}}'
    code, status, left = post(MAPS, body)
    assert (code, status["reason"], left) == (413, "RequestEntityTooLarge", 0)


def test_null_is_an_object_without_a_name() -> None:
    code, status, left = post(MAPS, b"null")
    assert (code, status["reason"], left) == (422, "Invalid", 0)


@pytest.mark.parametrize("kind", ["text/html", "application/xml", "x"])
def test_unknown_media_types_are_a_415(kind: str) -> None:
    code, status, left = post(MAPS, b"{}", {"Content-Type": kind})
    assert (code, status["reason"], left) == (415, "UnsupportedMediaType", 0)


@pytest.mark.parametrize("path", ["/api/v1/nothings", "/apis/none/v1/things", "/apis/apps/v9/deployments", "/api/v1/namespaces/default/pods/x/nothing"])
def test_unknown_paths_are_404s(path: str) -> None:
    async def check(server: RunningServer) -> int:
        return (await server.client.raw("GET", path)).code

    assert asked(check) == 404


@pytest.mark.parametrize("query", ["limit=x", "continue=%00", "labelSelector=a%3D%3D%3Db", "fieldSelector=spec.nothing%3D1", "resourceVersion=abc",
                                   "timeoutSeconds=x&watch=1", "resourceVersionMatch=Never&resourceVersion=1"])
def test_bad_list_options_are_client_errors(query: str) -> None:
    async def check(server: RunningServer) -> int:
        return (await server.client.raw("GET", f"/api/v1/pods?{query}")).code

    assert 400 <= asked(check) < 500


@pytest.mark.parametrize(("kind", "body"), [
    ("application/json-patch+json", b'[{"op":"test","path":"/data/a","value":"b"}]'), ("application/json-patch+json", b"{}"),
    ("application/json-patch+json", b'[{"op":"remove","path":"/nothing"}]'), ("application/merge-patch+json", b"["),
    ("application/strategic-merge-patch+json", b'{"metadata":5}'), ("application/apply-patch+yaml", b"{}"), ("text/plain", b"{}"),
])
def test_patches_that_cannot_be_leave_the_object_as_it_was(kind: str, body: bytes) -> None:
    async def check(server: RunningServer) -> tuple[int, bool]:
        made = await server.client.raw("POST", MAPS, body=b'{"metadata":{"name":"a"},"data":{"k":"v"}}', headers=JSON)
        answer = await server.client.raw("PATCH", f"{MAPS}/a?fieldManager=x", body=body, headers={"Content-Type": kind})
        now = await server.client.raw("GET", f"{MAPS}/a")
        return answer.code, codec.loads(made.body) == codec.loads(now.body)

    code, same = asked(check)
    assert same
    # upstream answers some of these with a 500 of its own; none is an unexpected failure
    assert 400 <= code < 500 or kind == "application/strategic-merge-patch+json"
