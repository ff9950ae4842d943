"""Accept and Content-Type."""

from __future__ import annotations

import pytest

from sampan.api.errors import NotAcceptable, UnsupportedMediaType
from sampan.apiserver.negotiation import Where, accepted, body_kind


def test_json_is_what_everybody_gets_who_does_not_mind() -> None:
    for accept in ("", "*/*", "application/json", "text/html, application/json;q=0.5"):
        assert accepted(accept).plain


@pytest.mark.parametrize(("where", "told"), [
    ("route", "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf"),
    ("collection", "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
                   "application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"),
    ("page", "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"),
])
def test_a_refusal_names_what_the_place_can_give(where: Where, told: str) -> None:
    for accept in ("text/plain", "application/*"):
        with pytest.raises(NotAcceptable) as caught:
            accepted(accept, where=where)
        assert caught.value.message == told


def test_kubectl_gets_its_table() -> None:
    form = accepted("application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json")
    assert (form.shape, form.version) == ("Table", "v1")


def test_the_heavier_clause_wins() -> None:
    assert accepted("application/json;q=0.1, application/yaml;q=0.9").yaml


def test_what_is_not_served_is_refused_in_upstreams_words() -> None:
    with pytest.raises(NotAcceptable, match="406: Not Acceptable"):
        accepted("text/html")
    with pytest.raises(NotAcceptable, match="only the following media types"):
        accepted("application/json;as=Table;v=v9;g=meta.k8s.io")


def test_bodies_are_json_or_yaml() -> None:
    assert [body_kind(text) for text in ("", "application/json; charset=utf-8", "application/yaml")] == ["json", "json", "yaml"]
    with pytest.raises(UnsupportedMediaType):
        body_kind("text/plain")
