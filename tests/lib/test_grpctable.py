"""Messages and stubs made of tables: what goes over the wire is what protoc's classes would send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sampan.lib.grpctable import Table, closure

FACTS = Path(__file__).parents[2] / "tools/facts/grpc.json"
SMALL: dict[str, Any] = {
    "messages": {
        "a.Outer": {
            "name": {"number": 1, "type": "string"},
            "inner": {"number": 2, "type": "a.Outer.Inner", "repeated": True},
            "labels": {"number": 3, "type": "map<string,b.Value>"},
            "left": {"number": 4, "type": "int64", "oneof": "side"},
            "right": {"number": 5, "type": "string", "oneof": "side"},
            "maybe": {"number": 6, "type": "bool", "optional": True},
            "colour": {"number": 7, "type": "enum a.Colour"},
            "any": {"number": 8, "type": "google.protobuf.Any"},
        },
        "a.Outer.Inner": {"size": {"number": 1, "type": "uint64"}},
        "b.Value": {"raw": {"number": 1, "type": "bytes"}},
        "c.Unused": {},
    },
    "enums": {"a.Colour": {"RED": 0, "BLUE": 1, "AZURE": 1}},
    "services": {"a.Echo": {"Say": {"in": "a.Outer", "out": "a.Outer"},
                            "Watch": {"in": "a.Outer", "out": "b.Value", "streamOut": True}}},
}


def test_a_message_goes_over_the_wire_and_comes_back() -> None:
    # given
    outer = Table(SMALL).message("a.Outer")
    # when
    sent = outer(name="n", inner=[{"size": 7}], labels={"k": {"raw": b"v"}}, right="r", maybe=False, colour=1)
    got = outer.FromString(sent.SerializeToString())
    # then
    assert got == sent
    assert got.WhichOneof("side") == "right"
    assert got.HasField("maybe")
    assert not outer().HasField("maybe")
    assert got.labels["k"].raw == b"v"


def test_field_numbers_are_those_of_the_table() -> None:
    message = Table(SMALL).message("a.Outer")(name="n", colour=1)
    assert message.SerializeToString() == b"\x0a\x01n" + b"\x38\x01"


def test_an_unknown_message_or_method_is_named() -> None:
    table = Table(SMALL)
    with pytest.raises(KeyError, match=r"b\.Nope"):
        table.message("b.Nope")
    with pytest.raises(AttributeError, match="Shout"):
        table.service("a.Echo", channel=None).Shout  # noqa: B018


def test_a_stub_calls_the_channel_in_the_shape_of_the_method() -> None:
    # given a channel that records what is asked of it
    class Channel:
        def __init__(self) -> None:
            self.asked: list[tuple[str, str]] = []

        def __getattr__(self, shape: str) -> Any:
            def make(path: str, request_serializer: Any, response_deserializer: Any) -> Any:
                self.asked.append((shape, path))
                return lambda request: response_deserializer(request_serializer(request))
            return make

    channel, table = Channel(), Table(SMALL)
    service = table.service("a.Echo", channel)
    # when
    answer = service.Say(table.message("a.Outer")(name="n"))
    service.Say(table.message("a.Outer")())
    service.Watch  # noqa: B018
    # then each method was made once
    assert answer.name == "n"
    assert channel.asked == [("unary_unary", "/a.Echo/Say"), ("unary_stream", "/a.Echo/Watch")]


def test_the_closure_of_a_service_is_all_that_it_needs_and_no_more() -> None:
    part = closure(SMALL, ["a.Echo"])
    assert set(part["messages"]) == {"a.Outer", "a.Outer.Inner", "b.Value"}
    assert Table(part).message("a.Outer.Inner")(size=1).size == 1


def test_a_type_that_the_table_lacks_is_named() -> None:
    broken = {"messages": {"a.M": {"f": {"number": 1, "type": "x.Gone"}}}, "enums": {}, "services": {}}
    with pytest.raises(KeyError, match=r"x\.Gone"):
        Table(broken).message("a.M")


def test_every_service_in_the_facts_can_be_built() -> None:
    # given
    facts = json.loads(FACTS.read_bytes())
    for service in facts["services"]:
        # when
        part = closure(facts, [service])
        table = Table(part)
        # then
        for name in part["messages"]:
            assert table.message(name)().SerializeToString() == b""


def test_a_drivers_table_is_what_the_tool_writes() -> None:
    import runpy

    root = Path(__file__).parents[2]
    written = runpy.run_path(str(root / "tools/pick_messages.py"))["tables"]()
    assert written
    for path, text in written.items():
        assert (root / path).read_text() == text
