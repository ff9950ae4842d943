"""What of a request goes on, and in which form."""

from __future__ import annotations

import pytest

from sampan.apiserver.aggregation import proxy, trust
from sampan.apiserver.aggregation.connections import identity_headers
from sampan.apiserver.aggregation.table import Remote, Target, table_of
from sampan.apiserver.parse import parse, parse_query
from sampan.apiserver.request import User

REMOTE = Remote("v1.g", "g", "v1", Target("default", "s", 443))


@pytest.mark.parametrize(("path", "query", "expected"), [
    ("/apis/g/v1/things/a b", b"", "/apis/g/v1/things/a%20b"),
    ("/apis/g/v1/things", b"labelSelector=a%3Db%2Cc&limit=5&limit=6", "/apis/g/v1/things?labelSelector=a%3Db%2Cc&limit=5&limit=6"),
    ("/apis/g/v1/things/system:node:x", b"watch", "/apis/g/v1/things/system:node:x?watch="),
    ("/apis/g/v1/things/a%", b"", "/apis/g/v1/things/a%25"),
])
def test_paths_and_queries_are_encoded_again(path: str, query: bytes, expected: str) -> None:
    assert proxy.location(parse("GET", path, parse_query(query), {})) == expected


def test_headers_of_one_connection_and_claims_about_who_asks_end_here() -> None:
    info = parse("GET", "/apis/g/v1/things", {}, {
        "host": "us", "connection": "upgrade", "authorization": "Bearer x", "impersonate-user": "y", "x-remote-extra-a": "b",
        "accept": "application/json", "x-two": "1\n2", "x-forwarded-for": "1.1.1.1", "content-length": "3"})
    info.user, info.remote_address = User("ann"), "2.2.2.2"
    assert proxy.forwarded(info) == [("accept", "application/json"), ("x-two", "1"), ("x-two", "2"), ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
                                     ("X-Remote-User", "ann")]


def test_keys_of_extra_fields_are_lower_case_and_escaped() -> None:
    user = User("a", "u", ("g",), {"Example.com/Team": ("x", "y"), "100%": ("z",)})
    assert identity_headers(user) == [
        ("X-Remote-User", "a"), ("X-Remote-Uid", "u"), ("X-Remote-Group", "g"), ("X-Remote-Extra-example.com%2Fteam", "x"),
        ("X-Remote-Extra-example.com%2Fteam", "y"), ("X-Remote-Extra-100%25", "z")]


def test_one_that_is_not_there_is_told_as_upstream_tells_it() -> None:
    answer = proxy.unavailable("service unavailable")
    assert (answer.code, answer.body, answer.content_type) == (503, b"service unavailable\n", b"text/plain; charset=utf-8")


def test_nothing_is_published_without_an_authority() -> None:
    assert trust.published(b"") == {}


def test_only_what_has_a_service_is_somebody_elses() -> None:
    from sampan.api import codec
    from sampan.api.apiregistration.v1 import APIService

    services = [codec.convert(APIService, {"metadata": {"name": name}, "spec": {
        "group": name.partition(".")[2], "version": "v1", "groupPriorityMinimum": 5, "versionPriority": 6} | spec})
        for name, spec in (("v1.a", {}), ("v1.b", {"service": {"name": "s", "namespace": "n"}}), ("v1.", {"service": {"name": "s"}}))]
    table = table_of(services)
    assert list(table.remotes) == [("b", "v1")]
    assert table.remotes["b", "v1"].target == Target("n", "s", 443)
    assert not table.remotes["b", "v1"].available
    assert table.priorities["a", "v1"] == (5, 6)
