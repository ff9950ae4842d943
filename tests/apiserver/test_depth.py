"""Objects have so many levels and no more; brackets in texts are none."""

from __future__ import annotations

import pytest

from sampan.api import codec, schema
from sampan.api.errors import BadRequest
from sampan.api.resources import ALL, PODS
from sampan.apiserver import depth


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1)


def test_the_deepest_that_may_be_kept_is_kept_and_one_more_is_refused() -> None:
    depth.check(nested(depth.MOST))
    with pytest.raises(BadRequest, match="no more than 200 levels"):
        depth.check(nested(depth.MOST + 1))
    with pytest.raises(BadRequest):
        depth.check(b"[" + b"{}," * 5000 + nested(900) + b"]")


def test_wide_objects_and_texts_full_of_brackets_are_not_deep() -> None:
    depth.check(b"[" + b"{}," * 5000 + b"[]]")
    depth.check(b'{"a":"' + b"{[" * 5000 + b'"}')


def test_the_quick_bound_is_never_below_the_levels() -> None:
    for value in ({}, [], {"a": {}}, [[]], [{"a": []}, {"b": {"c": [1, {}]}}], {"text": "{}[]{{[["}, {"f:a": {}, "f:b": {}, "f:c": {"f:d": {}}}):
        body = codec.encode(value)
        assert depth._at_most(body) >= depth._levels(body), value
    # and owners of many fields do not count one by one
    assert depth._at_most(codec.encode({f"f:{number}": {} for number in range(1000)})) == 2


def test_sets_of_fields_are_judged_by_themselves() -> None:
    def body(owned: bytes, spec: bytes) -> bytes:
        return b'{"metadata":{"managedFields":[{"fieldsV1":%b}]},"spec":%b}' % (owned, spec)

    many = codec.encode({f"f:{number}": {"f:x": {"f:}{": {}}} for number in range(300)})
    depth.check(body(many, nested(depth.MOST - 1)), [many])
    for owned, spec in ((many, nested(depth.MOST)), (nested(depth.MOST - 3), b"{}"), (nested(depth.MOST - 3), nested(100))):
        with pytest.raises(BadRequest):
            depth.check(body(owned, spec), [owned])
    depth.check(body(nested(depth.MOST - 4), nested(100)), [nested(depth.MOST - 4)])


def test_of_most_kinds_the_shape_says_how_deep_they_can_be() -> None:
    bounded = {resource.group_resource for resource in ALL if (shape := schema.of_resource(resource)) is not None and depth._of_shape(shape) <= depth.MOST}
    assert {"pods", "leases.coordination.k8s.io", "deployments.apps", "events", "nodes"} <= bounded
    # but not of those that hold any JSON, or themselves
    assert not {"controllerrevisions.apps", "customresourcedefinitions.apiextensions.k8s.io", "resourceclaims.resource.k8s.io"} & bounded


def test_an_object_of_a_shape_is_judged_by_its_sets_of_fields_alone() -> None:
    shape = schema.of_resource(PODS)
    depth.check(b"{" * 300, [nested(depth.MOST - 4)], shape)
    with pytest.raises(BadRequest):
        depth.check(b'{"metadata":{"managedFields":[{"fieldsV1":%b}]}}' % nested(depth.MOST - 3), [nested(depth.MOST - 3)], shape)
