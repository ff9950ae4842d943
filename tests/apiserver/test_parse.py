"""Paths and queries to what a request is about."""

from __future__ import annotations

import pytest

from sampan.apiserver.parse import exact_name, parse, parse_headers, parse_query, truth
from sampan.apiserver.request import RequestInfo


def about(method: str, target: str) -> RequestInfo:
    path, _, query = target.partition("?")
    return parse(method, path, parse_query(query.encode()), {})


@pytest.mark.parametrize(("method", "target", "verb"), [
    ("GET", "/api/v1/pods", "list"),
    ("GET", "/api/v1/pods?watch=1", "watch"),
    ("GET", "/api/v1/pods?watch=false", "list"),
    ("GET", "/api/v1/pods?watch=maybe", "watch"),
    ("GET", "/api/v1/namespaces/a/pods/p", "get"),
    ("GET", "/api/v1/watch/namespaces/a/pods", "watch"),
    ("POST", "/api/v1/namespaces/a/pods", "create"),
    ("PUT", "/api/v1/namespaces/a/pods/p", "update"),
    ("PATCH", "/api/v1/namespaces/a/pods/p", "patch"),
    ("DELETE", "/api/v1/namespaces/a/pods/p", "delete"),
    ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection"),
])
def test_the_verb_is_told_from_method_path_and_query(method: str, target: str, verb: str) -> None:
    assert about(method, target).verb == verb


def test_a_subresource_and_what_follows_it_are_told_apart() -> None:
    info = about("GET", "/api/v1/namespaces/a/services/web:80/proxy/x/y")
    assert (info.namespace, info.resource, info.name, info.subresource, info.subpath) == ("a", "services", "web:80", "proxy", "x/y")


def test_a_namespace_is_an_object_in_itself() -> None:
    info = about("PUT", "/api/v1/namespaces/a/finalize")
    assert (info.resource, info.name, info.namespace, info.subresource) == ("namespaces", "a", "a", "finalize")


def test_an_empty_namespace_means_all_of_them() -> None:
    info = about("GET", "/api/v1/namespaces//configmaps")
    assert (info.resource, info.namespace, info.verb) == ("configmaps", "", "list")


def test_paths_without_a_resource_keep_the_method_as_verb() -> None:
    for path in ("/", "/version", "/api", "/api/v1", "/apis/apps/v1", "/healthz/etcd"):
        info = about("GET", path)
        assert (info.is_resource, info.verb) == (False, "get")


def test_a_list_by_one_name_is_judged_like_a_get_of_it() -> None:
    info = about("GET", "/api/v1/namespaces/a/secrets?fieldSelector=metadata.name%3Dx")
    assert (info.name, info.attributes().name) == ("", "x")
    assert exact_name("metadata.namespace=a,metadata.name==y") == "y"
    assert exact_name("metadata.name!=y") == ""


def test_queries_keep_repeated_and_empty_values() -> None:
    query = parse_query(b"a=1&a=2&b=&c&d=x%20y+z")
    assert query == {"a": ["1", "2"], "b": [""], "c": [""], "d": ["x y z"]}
    assert (truth(query, "b"), truth(query, "none")) == (True, False)


def test_repeated_headers_lose_nothing() -> None:
    assert parse_headers([(b"impersonate-group", b"a,b"), (b"impersonate-group", b"c"), (b"x", b"y")]) == {
        "impersonate-group": "a,b\nc", "x": "y"}
