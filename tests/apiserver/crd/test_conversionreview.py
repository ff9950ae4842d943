"""What of a conversion webhook's answer is believed, in upstream's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.apiserver.crd import conversionreview
from sampan.apiserver.crd.conversionreview import Unconvertible

GEAR: dict[str, Any] = {"kind": "Gear", "apiVersion": "example.com/v1", "metadata": {
    "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "labels": {"x": "1"}, "finalizers": ["f"]}, "size": 1}
V2 = "example.com/v2"


def review(**response: Any) -> bytes:
    return json.dumps({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response}).encode()


def test_only_labels_and_annotations_of_the_metadata_change() -> None:
    new = {"spec": {"size": 1}, "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"y": "2"}, "annotations": {"z": "3"},
                                             "finalizers": ["other"], "resourceVersion": "9"}, "apiVersion": V2, "kind": "Gear"}
    found = conversionreview.checked(GEAR, new, V2)
    assert found == {"kind": "Gear", "apiVersion": V2, "spec": {"size": 1}, "metadata": {
        "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "labels": {"y": "2"}, "annotations": {"z": "3"}, "finalizers": ["f"]}}
    assert list(found)[:3] == ["kind", "apiVersion", "metadata"]
    # labels that are left out are gone, and the original is as it was
    bare = conversionreview.checked(GEAR, new | {"metadata": {"name": "a", "namespace": "n", "uid": "u"}}, V2)
    assert "labels" not in bare["metadata"]
    assert GEAR["metadata"]["labels"] == {"x": "1"}


@pytest.mark.parametrize(("change", "why"), [
    ({"apiVersion": "example.com/v3"}, "invalid groupVersion (expected example.com/v2, received example.com/v3)"),
    ({"kind": "Wheel"}, "invalid kind (expected Gear, received Wheel)"),
    ({"metadata": None}, "missing metadata in converted object"),
    ({"metadata": 3}, "invalid metadata in converted object: it is no JSON object"),
    ({"metadata": {"name": "b", "namespace": "n", "uid": "u"}}, "must have the same name: a != b"),
    ({"metadata": {"name": "a", "uid": "u"}}, "must have the same namespace: n != "),
    ({"metadata": {"name": "a", "namespace": "n", "uid": "v"}}, "must have the same UID: u != v"),
    ({"metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": 3}}, "invalid metadata.labels in converted object: it is no JSON object"),
    ({"metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"a": 1}}}, "metadata.labels[a] must be a string in converted object"),
])
def test_another_object_is_refused(change: dict[str, Any], why: str) -> None:
    good = {"kind": "Gear", "apiVersion": V2, "metadata": {"name": "a", "namespace": "n", "uid": "u"}}
    with pytest.raises(Unconvertible) as caught:
        conversionreview.checked(GEAR, good | change, V2)
    assert str(caught.value) == why


def test_labels_that_can_t_be_are_refused_only_if_they_are_new() -> None:
    old = GEAR | {"metadata": GEAR["metadata"] | {"labels": {"not a label": "x"}}}
    same = {"kind": "Gear", "apiVersion": V2, "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"not a label": "x"}}}
    assert conversionreview.checked(old, same, V2)["metadata"]["labels"] == {"not a label": "x"}
    with pytest.raises(Unconvertible, match=r"metadata\.labels: Invalid value"):
        conversionreview.checked(GEAR, same, V2)


@pytest.mark.parametrize(("body", "why"), [
    (b"no", "the answer is no JSON"), (b"[]", "the answer is no object"),
    (b'{"kind":"Other","apiVersion":"v1"}', "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got v1, Kind=Other"),
    (b'{"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1"}', "no response provided"),
    (review(uid="w"), 'expected response.uid="u", got "w"'),
    (review(uid="u", result={"status": "Failure", "message": "no"}), "no"),
    (review(uid="u", result={"status": "Failure"}), "response.result.status was 'Failure', not 'Success'"),
    (review(uid="u"), "response.result.status was '', not 'Success'"),
])
def test_an_answer_that_is_none_says_why(body: bytes, why: str) -> None:
    with pytest.raises(Unconvertible) as caught:
        conversionreview.read("v1", "u", body)
    assert str(caught.value).startswith(why)


def test_the_first_version_that_both_sides_know_is_spoken() -> None:
    assert conversionreview.version_of(["v2", "v1beta1", "v1"]) == "v1beta1"
    with pytest.raises(Unconvertible, match="no supported conversion review versions"):
        conversionreview.version_of(["v9"])
    request = json.loads(conversionreview.render("v1", "u", V2, [GEAR]))
    assert request == {"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
                       "request": {"uid": "u", "desiredAPIVersion": V2, "objects": [GEAR]}}
    # the older form says neither its kind nor whose it is
    assert conversionreview.read("v1beta1", "u", json.dumps({"response": {"result": {"status": "Success"}, "convertedObjects": [1]}}).encode()) == [1]
