"""Protobuf against what Go's encoders wrote, against itself, and against broken bytes."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import pytest

from sampan.api import codec, protobuf, schema
from sampan.api.meta.v1 import ListMeta, ObjectMeta
from sampan.api.protofields import class_of
from sampan.api.protowire import Malformed, varint
from sampan.api.resources import ALL, PODS

GOLDEN = Path(__file__).parent / "testdata" / "protobuf.golden"


def golden() -> list[tuple[str, bytes, bytes]]:
    lines = GOLDEN.read_text().splitlines()[1:]
    return [(lines[at], base64.b64decode(lines[at + 1]), lines[at + 2].encode()) for at in range(0, len(lines) - 2, 3)]


def wire_of(name: str) -> Any:
    found = protobuf.type_of(*name.split(" "))
    assert found is not None
    return class_of(found)


@pytest.mark.parametrize(("name", "body", "json"), golden(), ids=[name for name, _, _ in golden()])
def test_messages_are_byte_for_byte_what_go_writes(name: str, body: bytes, json: bytes) -> None:
    # given
    obj = codec.decode(wire_of(name), json)
    # then
    assert protobuf.encode(obj) == body
    assert codec.encode(protobuf.decode_body(body)) == codec.encode(obj)


def test_a_handful_of_kinds_is_golden() -> None:
    assert len(golden()) >= 20


class Filler:
    """Makes objects of any shape."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def value(self, shape: schema.Shape, depth: int) -> Any:
        match shape.form:
            case "object":
                return self.object(shape, depth)
            case "list":
                assert shape.items
                return [self.value(shape.items, depth + 1) for _ in range(self.rng.randint(1, 2))]
            case "map":
                assert shape.items
                return {key: self.value(shape.items, depth + 1) for key in ("b", "a/ü")[:self.rng.randint(1, 2)]}
        return self.scalar(shape)

    def scalar(self, shape: schema.Shape) -> Any:
        name = shape.type.rpartition(".")[2]
        if name in ("JSONSchemaPropsOrArray", "JSONSchemaPropsOrStringArray"):
            return self.rng.choice([{"type": "string"}, ["x"] if "String" in name else [{"type": "object"}]])
        if name == "JSONSchemaPropsOrBool":
            return self.rng.choice([True, False, {"type": "integer"}])
        choices: dict[str, list[Any]] = {
            "string": ["", "x", "wörld", "y" * 200], "int32": [0, 1, -1, 2**31 - 1, -(2**31)], "int64": [0, 300, -1, 2**63 - 1, -(2**63)],
            "float64": [0.0, 1.5, -2.0], "bool": [True, False], "bytes": ["AAEC"], "any": [{"a": [1, None]}, {"f:x": {}}],
            "quantity": ["0", "100m", "1Gi"], "time": ["2026-01-02T03:04:05Z", "1969-12-31T23:59:59Z"],
            "microtime": ["2026-01-02T03:04:05.000006Z"], "intstr": [0, -1, "25%"],
        }
        return self.rng.choice(choices[shape.form])

    def object(self, shape: schema.Shape, depth: int) -> dict[str, Any]:
        found = {}
        for name, field in shape.fields.items():
            # TypeMeta is in no message, only in the envelope
            if "TypeMeta" not in field.embedded and depth < 7 and self.rng.random() < 0.5:
                found[name] = self.value(field.shape, depth + 1)
        return found


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_survives_the_way_through_protobuf(seed: int) -> None:
    filler = Filler(seed)
    for resource in ALL:
        shape = schema.of_resource(resource)
        assert shape is not None
        # given an object of the kind with anything in it
        tree = {"kind": resource.kind, "apiVersion": resource.group_version} | filler.object(shape, 0)
        obj = codec.convert(resource.wire, tree)
        # when
        back = protobuf.decode_body(protobuf.encode(obj))
        # then
        assert codec.to_builtins(back) == codec.to_builtins(obj), resource.kind


@pytest.mark.parametrize("seed", range(4))
def test_broken_bytes_are_refused_and_nothing_else_happens(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for _, body, _ in golden():
        for _ in range(20):
            broken = bytearray(body)
            for _ in range(rng.randint(1, 4)):
                broken[rng.randrange(4, len(broken))] = rng.randrange(256)
            cut = bytes(broken[:rng.randrange(5, len(broken) + 1)])
            try:
                protobuf.decode_body(cut)
            except (Malformed, KeyError):
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(("body", "why"), [
    (b"", "empty data"),
    (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
    (b"k8s\0", "empty body"),
    (b"k8s\0\x0a\x05", "unexpected EOF"),
    (b"k8s\0\x0c", "proto: Unknown: wiretype end group for non-group"),
    (b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: negative length found during unmarshaling"),
    (b"k8s\0\x0a" + b"\xff" * 11, "proto: integer overflow"),
])
def test_an_envelope_that_is_none_is_refused_in_gos_words(body: bytes, why: str) -> None:
    with pytest.raises(Malformed) as refused:
        protobuf.open_envelope(body)
    assert str(refused.value) == why


@pytest.mark.parametrize(("raw", "why"), [
    (b"\x08\x01", "proto: wrong wireType = 0 for field ObjectMeta"),
    (b"\x0c", "proto: Pod: wiretype end group for non-group"),
    (b"\x00\x01", "proto: Pod: illegal tag 0 (wire type 0)"),
    (b"\x0a\x05", "unexpected EOF"),
    (b"\xfe\x07\x00", "proto: illegal wireType 6"),
])
def test_a_broken_message_is_refused_in_gos_words(raw: bytes, why: str) -> None:
    with pytest.raises(Malformed) as refused:
        protobuf.decode_body(protobuf.envelope("v1", "Pod", raw))
    assert str(refused.value) == why


def test_unknown_fields_and_groups_are_skipped() -> None:
    strange = b"\xfa\x07\x03abc" + b"\xf8\x07\x05" + b"\xf9\x07" + bytes(8) + b"\xfb\x07\xf8\x07\x01\xfc\x07" + b"\xfd\x07" + bytes(4)
    pod = protobuf.decode_body(protobuf.envelope("v1", "Pod", strange))
    assert pod.metadata == ObjectMeta()


def test_a_message_that_nests_without_end_is_refused() -> None:
    # given schemas in schemas: `not` is the field 28 of a schema
    raw = b""
    for _ in range(200):
        raw = b"\xe2\x01" + _sized(raw)
    version = b"\x22" + _sized(b"\x0a" + _sized(raw))
    body = protobuf.envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", b"\x12" + _sized(b"\x3a" + _sized(version)))
    with pytest.raises(Malformed, match="max depth"):
        protobuf.decode_body(body)


def _sized(data: bytes) -> bytes:
    return varint(len(data)) + data


def test_a_list_is_its_items_messages() -> None:
    # given
    pod = PODS.wire(metadata=ObjectMeta(name="web"))
    # when
    body = b"".join(protobuf.encode_list("v1", "PodList", ListMeta(resourceVersion="7"), [protobuf.message("v1", "Pod", pod)] * 2))
    found = protobuf.decode_body(body)
    # then
    assert found.metadata.resourceVersion == "7"
    assert [item.metadata.name for item in found.items] == ["web", "web"]


def test_an_event_says_its_length_and_has_no_envelope_of_its_own() -> None:
    # given
    body = protobuf.encode(PODS.wire(kind="Pod", apiVersion="v1"))
    # when
    frame = protobuf.watch_event("ADDED", body)
    # then
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert frame[4:11] == b"\x0a\x05ADDED"
    assert frame.endswith(body)


def test_a_status_dict_has_a_message_and_a_table_has_none() -> None:
    body = protobuf.encode_value({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404})
    assert body is not None
    assert protobuf.decode_body(body).code == 404
    assert protobuf.encode_value({"kind": "Table", "apiVersion": "meta.k8s.io/v1"}) is None
    assert protobuf.encode_value({"kind": "Gadget", "apiVersion": "example.com/v1"}) is None
