"""Requests as values."""

from __future__ import annotations

from sampan.api.core.v1 import ConfigMap
from sampan.api.errors import NotFound, OtherStatus, TooManyRequests
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CLUSTER_ROLES, CONFIG_MAPS
from sampan.client.base import DeleteOptions
from sampan.client.requests import delete_body, encoded, error_of, path, query, where


def test_parts_of_paths_are_quoted() -> None:
    assert path(CLUSTER_ROLES, "", "system:a/b") == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb"
    assert path(CONFIG_MAPS, "ns", "a", "status") == "/api/v1/namespaces/ns/configmaps/a/status"


def test_only_what_is_said_is_in_the_query() -> None:
    assert query(labelSelector="a=b", limit=0, watch=True) == "?labelSelector=a%3Db&watch=true"
    assert query() == ""


def test_kind_and_version_are_filled_in() -> None:
    body = encoded(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name="a")))
    assert body == b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}'
    assert encoded(CONFIG_MAPS, {}) == b'{"kind":"ConfigMap","apiVersion":"v1"}'


def test_deletions_say_only_what_was_asked() -> None:
    assert delete_body(DeleteOptions()) == b""
    assert b'"preconditions":{"uid":"u"}' in delete_body(DeleteOptions(uid="u"))


def test_where_an_object_is() -> None:
    assert where({"metadata": {"name": "a"}}) == ("", "a")
    assert where(ConfigMap(metadata=ObjectMeta(name="a", namespace="n"))) == ("n", "a")


def test_errors_are_told_with_or_without_a_status() -> None:
    assert isinstance(error_of(429, b"Too many requests, please try again later.\n"), TooManyRequests)
    not_found = error_of(404, b'{"kind":"Status","code":404,"reason":"NotFound","message":"no"}')
    assert (type(not_found), not_found.message) == (NotFound, "no")
    page = error_of(404, b"404 page not found\n")
    assert (type(page), page.message, page.code) == (OtherStatus, "404 page not found", 404)
    assert error_of(502, b"").message == "the server answered 502"
