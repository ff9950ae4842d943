"""What bodies become, and what is said about those that do not fit."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import codec, strict
from sampan.api.errors import BadRequest
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, DEPLOYMENTS, NODES, PODS, SECRETS

WIDGETS: Resource[Any] = Resource("example.com", "v1", "widgets", "Widget", "widget", True)
ODD = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","bogus":1},"data":{"a":"1","a":"2"},"extra":{}}'


def refused(resource: Resource[Any], body: bytes, validation: str = "") -> str:
    with pytest.raises(BadRequest) as caught:
        strict.decode(resource, body, validation=validation)
    return caught.value.message


def pod(spec: str) -> bytes:
    return b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":%s}' % spec.encode()


def test_a_good_body_takes_the_fast_path() -> None:
    obj, problems = strict.decode(CONFIG_MAPS, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"1"}}')
    assert obj.data == {"a": "1"}
    assert problems == []


def test_unknown_and_repeated_fields_are_ignored_told_of_or_refused() -> None:
    ignored = strict.decode(CONFIG_MAPS, ODD, validation="Ignore")
    assert (ignored.object.data, ignored.problems) == ({"a": "2"}, [])
    assert strict.decode(CONFIG_MAPS, ODD, validation="").problems == [
        'unknown field "metadata.bogus"', 'duplicate field "data.a"', 'unknown field "extra"']
    assert refused(CONFIG_MAPS, ODD, "Strict") == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.bogus", '
        'duplicate field "data.a", unknown field "extra"')


def test_a_repeated_field_is_found_even_where_everything_is_known() -> None:
    body = b'{"metadata":{"name":"x"},"data":{"a":"1", "a" :"2"}}'
    assert strict.decode(CONFIG_MAPS, body).problems == ['duplicate field "data.a"']


def test_a_repeated_object_is_merged_as_go_does_it() -> None:
    obj, problems = strict.decode(PODS, b'{"spec":{"nodeName":"a"},"spec":{"hostname":"b"}}')
    assert (obj.spec.nodeName, obj.spec.hostname, problems) == ("a", "b", ['duplicate field "spec"'])


def test_null_is_the_zero_value() -> None:
    obj, problems = strict.decode(PODS, pod('{"containers":null,"nodeName":null,"nodeSelector":{"a":null},"tolerations":[null]}'))
    assert problems == []
    assert not obj.spec.containers
    assert obj.spec.nodeName == ""
    assert obj.spec.nodeSelector == {"a": ""}
    assert len(obj.spec.tolerations) == 1


@pytest.mark.parametrize(("spec", "words"), [
    ('{"containers":"x"}', "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container"),
    ('{"containers":[{"name":1}]}', "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string"),
    ('{"priority":1.5}', "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32"),
    ('{"priority":3000000000}', "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32"),
    ('{"hostNetwork":"yes"}', "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"),
    ('{"nodeSelector":[]}', "json: cannot unmarshal array into Go struct field PodSpec.spec.nodeSelector of type map[string]string"),
    ('[]', "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
    ('{"overhead":{"cpu":"x"}}', "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ('{"bogus":1,"hostNetwork":1}', "json: cannot unmarshal number into Go struct field PodSpec.spec.hostNetwork of type bool"),
    ('{"volumes":[{"hostPath":1}]}',
     "json: cannot unmarshal number into Go struct field Volume.spec.volumes.VolumeSource.hostPath of type v1.HostPathVolumeSource"),
])
def test_wrong_types_are_told_in_go_s_words(spec: str, words: str) -> None:
    assert refused(PODS, pod(spec)) == f'Pod in version "v1" cannot be handled as a Pod: {words}'


def test_scalars_with_a_form_of_their_own() -> None:
    time = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","creationTimestamp":"yesterday"}}'
    assert refused(CONFIG_MAPS, time).endswith(
        ': parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"')
    assert refused(SECRETS, b'{"data":{"a":"***"}}').endswith(": illegal base64 data at input byte 0")
    port = '{"containers":[{"name":"c","livenessProbe":{"httpGet":{"port":1.5}}}]}'
    assert refused(PODS, pod(port)).endswith("json: cannot unmarshal number 1.5 into Go struct field "
                                             "HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32")


@pytest.mark.parametrize(("body", "words"), [
    (b"{", "couldn't get version/kind; json parse error: unexpected end of JSON input ({)"),
    (b"", "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"),
    (b"[]", "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "
            r'"json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)'),
    (b'{"apiVersion":"v1","kind":"ConfigMap"} trailing',
     "couldn't get version/kind; json parse error: invalid character 't' after top-level value ({\"apiVersion\":\"v1\",\"kind\":\"Con ...)"),
    (b'{"kind":1}', "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string"
                    ' ({"kind":1})'),
    (b'{"apiVersion":"a/b/c"}', 'unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c"})'),
])
def test_what_is_not_json_is_told_with_its_beginning(body: bytes, words: str) -> None:
    assert refused(CONFIG_MAPS, body) == f"the object provided is unrecognized (must be of type ConfigMap): {words}"


@pytest.mark.parametrize(("body", "words"), [
    (b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}',
     'Pod in version "v1" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion'),
    (b'{"apiVersion":"v2","kind":"ConfigMap"}', 'ConfigMap in version "v2" cannot be handled as a ConfigMap: '
     'no kind "ConfigMap" is registered for version "v2" in scheme "pkg/runtime/scheme.go:111"'),
])
def test_another_kind_is_refused(body: bytes, words: str) -> None:
    assert refused(CONFIG_MAPS, body) == words


def test_null_and_bodies_without_a_kind_are_taken() -> None:
    assert strict.decode(CONFIG_MAPS, b"null").object.metadata.name == ""
    assert strict.decode(CONFIG_MAPS, b'{"kind":"ConfigMap","metadata":{"name":"n"}}').object.metadata.name == "n"


def test_custom_objects_know_every_field_and_mind_repeated_ones() -> None:
    obj, problems = strict.decode(WIDGETS, b'{"apiVersion":"example.com/v1","kind":"Widget","spec":{"a":1,"b":[{"c":1,"c":2.5}]}}')
    assert obj["spec"] == {"a": 1, "b": [{"c": 2.5}]}
    assert problems == ['duplicate field "spec.b[0].c"']
    assert "Object 'Kind' is missing in '{}'" in refused(WIDGETS, b"{}")


@pytest.mark.parametrize("depth", [500, 5_000, 200_000])
@pytest.mark.parametrize("opener", [b"[", b'{"a":'])
def test_depth_is_bounded(depth: int, opener: bytes) -> None:
    body = b'{"metadata":{"name":"a"},"data":' + opener * depth
    assert "exceeded max depth" in refused(CONFIG_MAPS, body) or "unexpected end" in refused(CONFIG_MAPS, body)


def test_text_that_is_no_unicode_is_replaced_as_go_does_it() -> None:
    assert strict.decode(CONFIG_MAPS, b'{"data":{"a":"\xff"}}').object.data == {"a": "\ufffd"}
    assert strict.decode(CONFIG_MAPS, b'{"data":{"a":"\\ud800x"}}').object.data == {"a": "\ufffdx"}


def test_a_changed_tree_is_converted_with_the_same_rules() -> None:
    obj, problems = strict.convert(DEPLOYMENTS, {"spec": {"replicas": 2, "bogus": 1, "paused": None}})
    assert (obj.spec.replicas, problems) == (2, ['unknown field "spec.bogus"'])
    with pytest.raises(strict.Undecodable, match='strict decoding error: unknown field "bogus"'):
        strict.convert(NODES, {"bogus": 1}, validation="Strict")


values = st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.floats(allow_nan=False, width=16),
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                          ["spec", "metadata", "containers", "name", "labels", "image", "ports", "data", "kind", "resources"]), inner, max_size=3))


@given(values)
def test_any_json_is_taken_or_refused(tree: Any) -> None:
    body = json.dumps(tree).encode()
    try:
        obj = strict.decode(PODS, body).object
    except BadRequest:
        return
    assert codec.decode(PODS.wire, codec.encode(obj)) == obj


@given(st.lists(st.tuples(st.sampled_from('ab"\\'), st.integers(0, 3)), max_size=4))
def test_repeated_keys_are_seen(pairs: list[tuple[str, int]]) -> None:
    body = ("{" + ",".join(f"{json.dumps(key)}: {value}" for key, value in pairs) + "}").encode()
    assert strict.repeats(body) == (len({key for key, _ in pairs}) < len(pairs))
    assert msgspec.json.decode(body) == dict(pairs)


@given(st.lists(st.sampled_from(["a", "metadata", "managedFields", 'k:{"name":"a"}', "ü"]), min_size=1, max_size=9), st.integers(0, 9), st.booleans(), st.integers(0, 1200))
def test_a_key_that_stands_twice_is_seen_however_deep_and_large_the_rest_is(way: list[str], at: int, listed: bool, size: int) -> None:
    def nested(depth: int, doubled: int) -> str:
        if depth == len(way):
            return json.dumps("x" * size)
        key, below = json.dumps(way[depth], ensure_ascii=False), nested(depth + 1, doubled)
        text = f'{{{key}:{below},"other":{json.dumps(["y" * (size // 2), depth])}{f",{key}:{below}" if depth == doubled else ""}}}'
        return f"[{text}]" if listed and depth % 2 else text

    # quotes within keys stand as escapes, of which the reader knows the short ones
    assert strict.repeats(nested(0, at).encode()) == (at < len(way))
    assert not strict.repeats(nested(0, -1).encode())
    assert strict.repeats(b' {"a":{"b":"%b"},"a":1} ' % (b"x" * 600))
