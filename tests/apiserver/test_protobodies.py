"""Protobuf in and out of a running API server, as Go clients send and ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sampan.api import codec, protobuf
from sampan.api.core.v1 import ConfigMap, Event, Pod
from sampan.api.errors import Gone, NotAcceptable
from sampan.api.meta.v1 import DeleteOptions, ObjectMeta
from sampan.api.resources import CONFIG_MAPS
from sampan.apiserver import protobodies
from sampan.apiserver.negotiation import accepted
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

MAPS = "/api/v1/namespaces/default/configmaps"
PROTO = "application/vnd.kubernetes.protobuf"
ASKS = {"Accept": f"{PROTO},application/json"}
SENDS = {"Content-Type": PROTO, **ASKS}


def asked(check: Callable[[RunningServer], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with running_server() as server:
            return await asyncio.wait_for(check(server), PATIENCE_SECONDS)

    return asyncio.run(run())


def config(name: str = "a", **data: str) -> ConfigMap:
    return ConfigMap(kind="ConfigMap", apiVersion="v1", metadata=ObjectMeta(name=name), data=data, binaryData={"b": b"\x00\xff"})


def decoded(answer: Any) -> Any:
    assert answer.headers["content-type"] == PROTO
    return protobuf.decode_body(answer.body)


def test_an_object_is_made_read_changed_and_deleted_in_protobuf() -> None:
    async def check(server: RunningServer) -> None:
        client = server.client
        # when it is made
        made = decoded(await client.raw("POST", MAPS, body=protobuf.encode(config(k="ü")), headers=SENDS))
        assert (made.data, made.binaryData, made.metadata.namespace) == ({"k": "ü"}, {"b": b"\x00\xff"}, "default")
        # then it reads as the same in both forms
        read = decoded(await client.raw("GET", f"{MAPS}/a", headers=ASKS))
        json = codec.decode(ConfigMap, (await client.raw("GET", f"{MAPS}/a")).body)
        assert codec.encode(read) == codec.encode(json) == codec.encode(made)
        # when it is changed
        made.data["k"] = "w"
        changed = decoded(await client.raw("PUT", f"{MAPS}/a", body=protobuf.encode(made), headers=SENDS))
        assert changed.data == {"k": "w"}
        assert changed.metadata.resourceVersion > made.metadata.resourceVersion
        # when it is deleted
        options = DeleteOptions(kind="DeleteOptions", apiVersion="v1", propagationPolicy="Background")
        status = decoded(await client.raw("DELETE", f"{MAPS}/a", body=protobuf.encode(options), headers=SENDS))
        assert (status.kind, status.status, status.details.name) == ("Status", "Success", "a")

    asked(check)


def test_a_list_has_its_items_and_its_revision() -> None:
    async def check(server: RunningServer) -> None:
        for name in ("a", "b", "c"):
            await server.client.create(CONFIG_MAPS, config(name), "default")
        listing = decoded(await server.client.raw("GET", f"{MAPS}?limit=2", headers=ASKS))
        assert [item.metadata.name for item in listing.items] == ["a", "b"]
        assert (listing.kind, listing.metadata.remainingItemCount) == ("ConfigMapList", 1)
        assert listing.metadata.continue_
        # asked again the kept messages say the same
        again = [await server.client.raw("GET", MAPS, headers=ASKS) for _ in range(3)]
        assert again[0].body == again[1].body == again[2].body

    asked(check)


def test_metadata_alone_comes_in_protobuf_too() -> None:
    async def check(server: RunningServer) -> None:
        await server.client.create(CONFIG_MAPS, config(k="v"), "default")
        one = await server.client.raw("GET", f"{MAPS}/a", headers={"Accept": f"{PROTO};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"})
        assert (decoded(one).kind, decoded(one).metadata.name) == ("PartialObjectMetadata", "a")
        many = await server.client.raw("GET", MAPS, headers={"Accept": f"{PROTO};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"})
        assert [item.metadata.name for item in decoded(many).items] == ["a"]

    asked(check)


def test_a_watch_is_frames_of_a_length_and_an_event() -> None:
    async def check(server: RunningServer) -> list[tuple[str, Any]]:
        await server.client.create(CONFIG_MAPS, config(k="v"), "default")
        stream = await server.client._ask("GET", f"{MAPS}?watch=1", headers=ASKS)
        assert stream.content_type == f"{PROTO};stream=watch".encode()
        found = frames(await anext(stream.chunks))
        await server.client.delete(CONFIG_MAPS, "a", "default")
        found += frames(await anext(stream.chunks))
        await stream.chunks.aclose()
        return found

    events = asked(check)
    assert [(kind, obj.metadata.name, obj.data) for kind, obj in events] == [("ADDED", "a", {"k": "v"}), ("DELETED", "a", {"k": "v"})]


def test_what_ends_a_watch_is_a_status_in_protobuf_too() -> None:
    async def check(server: RunningServer) -> Any:
        rendering = protobodies.rendering(server.server.catalog.of(CONFIG_MAPS), accepted(PROTO))
        assert rendering.frame is not None
        return frames(rendering.frame("ERROR", codec.encode(Gone("too old").status())))

    ((kind, status),) = asked(check)
    assert (kind, status.code, status.reason, status.message) == ("ERROR", 410, "Expired", "too old")


def frames(data: bytes) -> list[tuple[str, Any]]:
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        event, data = data[4:4 + size], data[4 + size:]
        kind = event[2:2 + event[1]].decode()
        found.append((kind, protobuf.decode_body(event[event.index(protobuf.PREFIX):])))
    return found


def test_an_error_is_a_status_in_protobuf() -> None:
    async def check(server: RunningServer) -> Any:
        return await server.client.raw("GET", f"{MAPS}/none", headers=ASKS)

    answer = asked(check)
    assert answer.code == 404
    assert decoded(answer).message == 'configmaps "none" not found'


def test_tables_and_what_has_no_message_come_as_json() -> None:
    async def check(server: RunningServer) -> tuple[str, str]:
        table = f"{PROTO};as=Table;g=meta.k8s.io;v=v1,application/json;as=Table;g=meta.k8s.io;v=v1"
        listed = await server.client.raw("GET", MAPS, headers={"Accept": table})
        return listed.headers["content-type"], codec.loads(listed.body)["kind"]

    assert asked(check) == ("application/json", "Table")


@pytest.mark.parametrize(("body", "message"), [
    (b"{}", "the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a protobuf message, "
            "expected prefix [107 56 115 0] ({})"),
    (b"k8s\0", "the object provided is unrecognized (must be of type ConfigMap): empty body (6b387300)"),
    (protobuf.envelope("v1", "ConfigMap", b"\x0a\x05"), 'ConfigMap in version "v1" cannot be handled as a ConfigMap: unexpected EOF'),
    (protobuf.envelope("v1", "Nothing", b""), 'Nothing in version "v1" cannot be handled as a ConfigMap: no kind "Nothing" is registered '
                                              'for version "v1" in scheme "pkg/runtime/scheme.go:111"'),
])
def test_a_broken_body_is_a_400_in_upstreams_words(body: bytes, message: str) -> None:
    async def check(server: RunningServer) -> Any:
        return await server.client.raw("POST", MAPS, body=body, headers={"Content-Type": PROTO})

    answer = asked(check)
    assert (answer.code, codec.loads(answer.body)["message"]) == (400, message)


def test_an_object_of_another_kind_is_refused() -> None:
    async def check(server: RunningServer) -> Any:
        pod = protobuf.encode(Pod(kind="Pod", apiVersion="v1", metadata=ObjectMeta(name="a")))
        return await server.client.raw("POST", MAPS, body=pod, headers={"Content-Type": PROTO})

    answer = asked(check)
    assert answer.code == 400
    assert "cannot be handled as a ConfigMap" in codec.loads(answer.body)["message"]


def test_a_kind_in_another_version_is_converted_first() -> None:
    async def check(server: RunningServer) -> Any:
        event = Event(kind="Event", apiVersion="v1", metadata=ObjectMeta(name="e", namespace="default"), message="hello", reason="R")
        event.involvedObject.namespace = "default"
        sent = await server.client.raw("POST", "/api/v1/namespaces/default/events", body=protobuf.encode(event), headers=SENDS)
        assert sent.code == 201, sent.body
        return decoded(await server.client.raw("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e", headers=ASKS))

    found = asked(check)
    assert (found.apiVersion, found.note) == ("events.k8s.io/v1", "hello")


def test_custom_resources_have_no_protobuf_but_for_their_metadata() -> None:
    partial = f"{PROTO};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    assert accepted(f"{PROTO},application/json").protobuf
    assert not accepted(f"{PROTO},application/json", custom=True).protobuf
    assert accepted(partial, custom=True).protobuf
    with pytest.raises(NotAcceptable):
        accepted(PROTO, custom=True)
