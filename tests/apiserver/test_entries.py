"""Where the revision stands in an object's bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import codec
from sampan.api.resources import PODS
from sampan.apiserver.entries import Entry, respliced, splice, unsplice

UID = "00000000-0000-4000-8000-000000000001"
STORED = (b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"a","uid":"%b","generation":1,'
          b'"labels":{"app":"web"}},"spec":{"containers":null,"nodeName":"n1"},"status":{}}' % UID.encode())


def test_the_revision_stands_behind_the_uid() -> None:
    assert splice(STORED, 42).startswith(
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"a","uid":"' + UID.encode()
        + b'","resourceVersion":"42","generation":1')


@given(st.integers(1, 2**63), st.integers(1, 2**63), st.dictionaries(st.text(), st.text()))
def test_splicing_is_undone_whatever_the_object_holds(revision: int, another: int, annotations: dict[str, str]) -> None:
    # given an object whose content looks like a uid or a revision
    annotations |= {"trap": '"uid":"x","resourceVersion":"1"', "uid": "u", "resourceVersion": "3"}
    stored = json.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": {
        "name": "a", "generateName": "b", "namespace": "c", "uid": UID, "annotations": annotations}},
        separators=(",", ":")).encode()
    # then
    spliced = splice(stored, revision)
    assert unsplice(spliced, revision) == stored
    assert json.loads(spliced)["metadata"]["resourceVersion"] == str(revision)
    assert respliced(spliced, revision, another) == splice(stored, another)


def test_bytes_without_a_uid_are_refused() -> None:
    with pytest.raises(ValueError, match="not found"):
        splice(b'{"kind":"Pod","metadata":{}}', 1)


def test_an_entry_decodes_once_and_reads_labels_without_decoding() -> None:
    entry = Entry(PODS, "k", "a", "web", splice(STORED, 7), 7)
    assert entry.labels == {"app": "web"}
    assert entry._object is None
    assert entry.object is entry.object
    assert (entry.object.metadata.resourceVersion, entry.object.spec.nodeName) == ("7", "n1")
    assert codec.encode(entry.object) == entry.body
