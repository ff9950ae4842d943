"""What is too much gets its answer: docs/limits.md lists them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from fuzz.world import CUSTOM, DEFINITIONS, MAPS, PODS, WIDGETS, World, world
from sampan.api import codec

pytestmark = pytest.mark.slow
server = pytest.fixture(world, scope="module")
YAML: dict[str, str | bytes] = {"content-type": "application/yaml"}
DEEP = 10_000
DRY = "?dryRun=All"


def nested(depth: int, around: str = '{"a":%s}') -> bytes:
    left, right = around.split("%s")
    return (left * depth + "1" + right * depth).encode()


def said(body: bytes, place: str) -> bytes:
    """An object with `body` at a place where any JSON may be."""
    return b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"deep"},"spec":{"%b":%b}}' % (place.encode(), body)


@pytest.mark.parametrize("around", ['{"a":%s}', "[%s]"])
@pytest.mark.parametrize("path", [MAPS, PODS, CUSTOM, DEFINITIONS])
def test_a_body_ten_thousand_deep_is_a_400(server: World, path: str, around: str) -> None:
    for body in (nested(DEEP, around), said(nested(DEEP, around), "any"), nested(100_000, around)):
        assert server.ask("POST", path + DRY, body).code == 400
        assert server.ask("POST", path + DRY, body, YAML).code == 400
        assert server.ask("PUT", f"{path}/deep", body).code in (400, 404)


@pytest.mark.parametrize("depth", [50, 150, 192, 195, 200, 250, 400, 700, 990, 1100, 3000])
def test_any_depth_has_an_answer_in_any_form(server: World, depth: int) -> None:
    for around in ('{"a":%s}', "[%s]"):
        body = said(b'{"b":%b}' % nested(depth, around), "any")
        made = server.ask("POST", CUSTOM, body)
        assert made.code in (201, 400, 422), made.body[:300]
        if made.code == 201:
            for accept in ("application/json", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io"):
                assert server.ask("GET", f"{CUSTOM}/deep", headers={"accept": accept}).code == 200
            server.ask("PUT", f"{CUSTOM}/deep", made.body)
            server.ask("PATCH", f"{CUSTOM}/deep?fieldManager=x&force=1", body, {"content-type": "application/apply-patch+yaml"})
            assert server.ask("DELETE", f"{CUSTOM}/deep").code == 200
        for kind in ("application/merge-patch+json", "application/apply-patch+yaml", "application/strategic-merge-patch+json"):
            server.ask("PATCH", f"{MAPS}/deep?fieldManager=x", body, {"content-type": kind})
        server.ask("PATCH", f"{MAPS}/deep", b'[{"op":"test","path":"/a","value":%b}]' % nested(depth, around),
                   {"content-type": "application/json-patch+json"})


@pytest.mark.parametrize("depth", [100, 300, 600, 2000, DEEP])
@pytest.mark.parametrize("key", ["properties", "items", "additionalProperties", "allOf", "not"])
def test_a_schema_of_any_depth_has_an_answer(server: World, depth: int, key: str) -> None:
    around = {"properties": '{"type":"object","properties":{"a":%s}}', "allOf": '{"allOf":[%s]}'}.get(key, '{"type":"object","' + key + '":%s}')
    left, right = around.split("%s")
    schema = left * depth + '{"type":"string"}' + right * depth
    definition = codec.encode(WIDGETS).replace(b"widgets", b"deeps").replace(b"Widget", b"Deep").decode()
    whole: dict[str, Any] = codec.loads(definition)
    whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {"type": "object", "properties": {"spec": "SCHEMA"}}
    made = server.ask("POST", DEFINITIONS + DRY, codec.encode(whole).replace(b'"SCHEMA"', schema.encode()))
    assert made.code in (201, 400, 422), made.body[:300]


@pytest.mark.parametrize("rule", [
    "(" * DEEP + "true" + ")" * DEEP, "!" * DEEP + "true", "[" * DEEP + "]" * DEEP, "self" + ".a" * DEEP, "true" + " && true" * 5000, "1" + "+1" * DEEP + " > 0",
    "'" + "x" * 2_000_000 + "' == ''", "self.name.matches('" + "(a+)+" * 2000 + "$')", "self.name.matches('((a{100}){100}){100}')",
    "cel.bind(a, 'x', " * 100 + "a" + ")" * 100 + " == ''"])
def test_a_rule_of_any_size_has_an_answer(server: World, rule: str) -> None:
    whole: dict[str, Any] = codec.loads(codec.encode(WIDGETS).replace(b"widgets", b"ruled").replace(b"Widget", b"Ruled"))
    whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": rule}]
    assert server.ask("POST", DEFINITIONS + DRY, codec.encode(whole)).code in (201, 422)


def test_a_pattern_that_would_take_exponential_time_is_judged_at_once(server: World) -> None:
    body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "bomb"}, "spec": {"name": "a" * 500_000 + "!"}}
    answer = server.ask("POST", CUSTOM + DRY, codec.encode(body))
    assert answer.code == 422
    assert len(answer.body) < 100_000, "the value is not told in full"


STRINGS = """cel.bind(a, %s, cel.bind(b, a + a + a + a + a + a + a + a + a + a, cel.bind(c, b + b + b + b + b + b + b + b + b + b, cel.bind(d, c + c + c + c + c,
    cel.bind(e, d + d + d + d + d + d + d, cel.bind(f, e + e + e + e + e + e + e, cel.bind(g, f + f + f + f + f + f, g.size() > 1)))))))"""


def test_an_expression_for_a_gigabyte_is_stopped(server: World) -> None:
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    policy = {"metadata": {"name": "giant"}, "spec": {
        "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]},
        "validations": [{"expression": STRINGS % "object.data.k"}]}}
    assert server.ask("POST", policies, codec.encode(policy)).code == 201
    binding = {"metadata": {"name": "giant"}, "spec": {"policyName": "giant", "validationActions": ["Deny"]}}
    assert server.ask("POST", f"{policies.removesuffix('ies')}ybindings", codec.encode(binding)).code == 201
    answer = server.ask("POST", MAPS + DRY, codec.encode({"metadata": {"name": "g"}, "data": {"k": "x" * 200_000}}))
    assert (answer.code, "cost limit exceeded" in answer.value["message"]) == (422, True), answer.body[:300]
    assert server.ask("DELETE", f"{policies}/giant").code == 200


def test_a_body_over_three_mebibytes_is_a_413_whether_or_not_it_is_packed(server: World) -> None:
    large = codec.encode({"metadata": {"name": "large"}, "data": {"k": "x" * (3 << 20)}})
    assert server.ask("POST", MAPS, large).code == 413
    assert server.ask("POST", MAPS, gzip.compress(large), {"content-encoding": "gzip"}).code == 413
    assert server.ask("POST", MAPS, gzip.compress(b"\0" * (1 << 27), 1), {"content-encoding": "gzip"}).code == 413
    assert server.ask("POST", MAPS, gzip.compress(gzip.compress(b"{}")), {"content-encoding": "gzip"}).code == 400
    assert server.ask("POST", MAPS, b"\x1f\x8b nothing", {"content-encoding": "gzip"}).code == 400
    assert server.ask("POST", MAPS, gzip.compress(b'{"metadata":{"name":"ok"}}')[:-5], {"content-encoding": "gzip"}).code in (201, 400)


def bombs() -> Iterator[bytes]:
    yield b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9))
    yield b"a: &a {x: y}\n" + b"".join(b"b%d: {<<: [%b]}\n" % (i, b",".join([b"*a"] * 1000)) for i in range(100))
    yield b"".join(b"a%d: &a%d [%b]\n" % (i, i, b"*a%d" % (i - 1) if i else b"1") for i in range(20_000))
    yield b"&a [*a]"
    yield b"x: !!int 0b" + b"1" * 100_000
    yield b"x: 1e" + b"9" * 100_000
    yield b"? " * 5000
    yield b"- " * 50_000
    yield b"a: |\n" + b" x\n" * 100_000


@pytest.mark.parametrize("index", range(9))
def test_a_yaml_bomb_has_an_answer(server: World, index: int) -> None:
    body = list(bombs())[index]
    assert server.ask("POST", MAPS + DRY, body, YAML).code in (400, 413, 422)
    assert server.ask("PATCH", f"{MAPS}/b?fieldManager=x", body, {"content-type": "application/apply-patch+yaml"}).code in (400, 413, 422, 500)


def test_a_json_patch_has_so_many_operations_and_copies_so_much(server: World) -> None:
    kind: dict[str, str | bytes] = {"content-type": "application/json-patch+json"}
    assert server.ask("POST", MAPS, codec.encode({"metadata": {"name": "patched"}, "data": {"k": "x" * 100_000}})).code == 201
    many = codec.encode([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001)
    assert server.ask("PATCH", f"{MAPS}/patched", many, kind).code == 413
    copies = codec.encode([{"op": "copy", "from": "/data", "path": f"/data/a{number}"} for number in range(40)])
    assert server.ask("PATCH", f"{MAPS}/patched", copies, kind).code in (413, 422)
    assert server.ask("DELETE", f"{MAPS}/patched").code == 200


def test_an_object_that_is_too_large_once_patched_is_refused(server: World) -> None:
    assert server.ask("POST", MAPS, codec.encode({"metadata": {"name": "grows"}, "data": {"k": "x" * 1_000_000}})).code == 201
    more = server.ask("PATCH", f"{MAPS}/grows", codec.encode({"data": {"l": "x" * 1_000_000}}), {"content-type": "application/merge-patch+json"})
    assert more.code == 422
    assert server.ask("DELETE", f"{MAPS}/grows").code == 200


def test_warnings_are_bounded(server: World) -> None:
    body = codec.encode({"metadata": {"name": "w"}, **{f"unknown{number}": 1 for number in range(100_000)}})
    answer = server.ask("POST", MAPS + DRY, body)
    assert answer.code == 201
    assert len(answer.headers["warning"]) < 8192


def test_a_selector_of_any_length_has_an_answer(server: World) -> None:
    for text in ("a%20in%20(" + ",".join(f"v{number}" for number in range(100_000)) + ")", ",".join(f"k{number}" for number in range(100_000)), "(" * 100_000):
        assert server.ask("GET", f"{MAPS}?labelSelector={text}").code in (200, 400)
        assert server.ask("GET", f"{MAPS}?fieldSelector={text}").code in (200, 400)
