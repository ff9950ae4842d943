"""Continue tokens, resource versions as text, the JSON of lists."""

from __future__ import annotations

import base64
import json

import pytest

from apiserver.cacheworld import WIDGETS, World
from sampan.api.errors import BadRequest
from sampan.api.resources import CONFIG_MAPS
from sampan.apiserver.entries import Entry, splice
from sampan.apiserver.listing import PIECE_BYTES, ContinueExpired, ContinueToken, Listing, parse_resource_version


def encoded(text: str | bytes) -> str:
    return base64.urlsafe_b64encode(text if isinstance(text, bytes) else text.encode()).rstrip(b"=").decode()


def test_a_token_is_what_upstream_writes() -> None:
    token = ContinueToken("c2\0", 1234)
    assert token.encode() == encoded('{"v":"meta.k8s.io/v1","rv":1234,"start":"c2\\u0000"}')
    assert ContinueToken.decode(token.encode()) == token


@pytest.mark.parametrize(("text", "why"), [
    ("nonsense", "invalid character '\\u009e' looking for beginning of value"),
    ("a+b", "illegal base64 data at input byte 1"),
    ("abcde", "illegal base64 data at input byte 4"),
    (encoded('{"v":"meta.k8s.io/v2","rv":1,"start":"a"}'), "server does not recognize this encoded version meta.k8s.io/v2"),
    (encoded('{"v":"meta.k8s.io/v1","start":"a"}'), "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
    (encoded('{"v":"meta.k8s.io/v1","rv":1}'), "encoded start key empty (version meta.k8s.io/v1)"),
    (encoded('{"v":"meta.k8s.io/v1","rv":1,"start":"../../secrets/a"}'), "../../secrets/a"),
    (encoded("xyz"), "invalid character 'x' looking for beginning of value"),
    (encoded("[" * 5000), "invalid character in the token"),
])
def test_a_token_that_is_none_is_refused_in_upstreams_words(text: str, why: str) -> None:
    with pytest.raises(BadRequest) as refused:
        ContinueToken.decode(text)
    assert refused.value.message == f"invalid continue token: continue key is not valid: {why}"


def test_an_expired_token_comes_back_for_an_inconsistent_rest() -> None:
    status = ContinueExpired(ContinueToken("c2\0", 7)).status()
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert ContinueToken.decode(status["metadata"]["continue"]) == ("c2\0", -1)


@pytest.mark.parametrize(("text", "why"), [("abc", "invalid syntax"), ("-1", "invalid syntax"), ("1.0", "invalid syntax"),
                                           ("٣", "invalid syntax"), ("9" * 30, "value out of range")])
def test_a_resource_version_is_a_number(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        parse_resource_version(text)
    assert str(refused.value) == f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": {why}'


def test_resource_versions_are_read() -> None:
    assert [parse_resource_version(text) for text in ("", "0", "42")] == [0, 0, 42]


def test_items_of_built_in_kinds_come_without_kind_and_api_version_custom_ones_with() -> None:
    world = World()
    built_in = Entry(CONFIG_MAPS, "k", "a", "x", splice(world.body(CONFIG_MAPS, "a", "x"), 5), 5)
    custom = Entry(WIDGETS, "k", "a", "x", splice(world.body(WIDGETS, "a", "x"), 6), 6)
    lists = [json.loads(b"".join(Listing([entry, entry], 9, "more", 3).chunks(entry.resource))) for entry in (built_in, custom)]
    assert [[sorted(item) for item in one["items"]] for one in lists] == [[["metadata"]] * 2, [["apiVersion", "kind", "metadata"]] * 2]
    assert [(one["kind"], one["apiVersion"]) for one in lists] == [("ConfigMapList", "v1"), ("WidgetList", "example.com/v1")]
    assert lists[0]["metadata"] == {"resourceVersion": "9", "continue": "more", "remainingItemCount": 3}
    assert lists[0]["items"][0]["metadata"]["resourceVersion"] == "5"


def test_an_empty_list_has_no_items() -> None:
    assert json.loads(b"".join(Listing([], 9).chunks(CONFIG_MAPS))) == {
        "kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": []}


def test_large_lists_come_in_pieces() -> None:
    world = World()
    body = splice(world.body(CONFIG_MAPS, "a", "x", data={"k": "v" * 3000}), 5)
    entries = [Entry(CONFIG_MAPS, "k", "a", "x", body, 5)] * 1000
    pieces = list(Listing(entries, 9).chunks(CONFIG_MAPS))
    assert max(map(len, pieces)) < PIECE_BYTES + 5000
    assert len(json.loads(b"".join(pieces))["items"]) == 1000
