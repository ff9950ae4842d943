"""Metadata on its way into the store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sampan.aio.clock import VirtualClock
from sampan.api import codec
from sampan.api.core.v1 import ConfigMap
from sampan.api.meta.v1 import ManagedFieldsEntry, ObjectMeta, OwnerReference
from sampan.api.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS
from sampan.api.scalars import Time
from sampan.apiserver import metadata
from sampan.testing.server import running_server


def found(**fields: Any) -> list[tuple[str, str]]:
    meta = ObjectMeta(**{"name": "a", "namespace": "n", **fields})
    return [(one.field, one.reason) for one in metadata.validate_meta(meta, namespaced=True, name_check=None)]


def test_good_metadata_has_no_findings() -> None:
    assert found(labels={"a/b": "c"}, annotations={"A.b/C": "anything"}, finalizers=["x.y/z"]) == []


def test_every_part_is_judged() -> None:
    assert found(name="") == [("metadata.name", "FieldValueRequired")]
    assert found(name="No") == [("metadata.name", "FieldValueInvalid")]
    assert found(namespace="") == [("metadata.namespace", "FieldValueRequired")]
    assert found(labels={"": "x"})[0] == ("metadata.labels", "FieldValueInvalid")
    assert found(annotations={"a": "x" * 300_000}) == [("metadata.annotations", "FieldValueTooLong")]
    assert found(finalizers=["orphan", "foregroundDeletion"]) == [("metadata.finalizers", "FieldValueInvalid")]
    assert found(generation=-1) == [("metadata.generation", "FieldValueInvalid")]


def test_one_owner_at_most_is_the_controller() -> None:
    owners = [OwnerReference(apiVersion="v1", kind="Pod", name=name, uid=name, controller=True) for name in "ab"]
    meta = ObjectMeta(name="a", namespace="n", ownerReferences=owners)
    assert [str(one) for one in metadata.validate_meta(meta, namespaced=True, name_check=None)] == [
        'metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"Pod","name":"a","uid":"a","controller":true},'
        '{"apiVersion":"v1","kind":"Pod","name":"b","uid":"b","controller":true}]: Only one reference can have Controller set to '
        'true. Found "true" in references for Pod/a and Pod/b']


def test_findings_that_show_all_owners_are_bounded() -> None:
    # given owners of whom each says that it is the controller: each finding shows all of them
    owners = [OwnerReference(apiVersion="v1", kind="Pod", name=f"a{number}", uid=f"u{number}", controller=True) for number in range(20_000)]
    # then there are some, and not the square of them
    assert found(ownerReferences=owners) == [("metadata.ownerReferences", "FieldValueInvalid")]


def test_events_own_nothing_and_groups_without_a_version_are_none() -> None:
    def words(**owner: str) -> list[str]:
        meta = ObjectMeta(name="a", namespace="n", ownerReferences=[OwnerReference(**{"name": "o", "uid": "u"} | owner)])
        return [str(one) for one in metadata.validate_meta(meta, namespaced=True, name_check=None)]

    assert words(apiVersion="v1", kind="Event") == [
        'metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"o","uid":"u"}: /v1, Kind=Event is '
        "disallowed from being an owner"]
    assert words(apiVersion="apps/", kind="X") == [
        'metadata.ownerReferences.apiVersion: Invalid value: "apps/": version must not be empty']


def test_what_a_generated_name_starts_with_may_end_with_a_dash() -> None:
    assert found(generateName="web-") == []
    assert found(generateName="-") == [("metadata.generateName", "FieldValueInvalid")]
    assert found(generateName="a" * 253 + "-") == []  # judged without its last character, as upstream does


def test_managers_are_printable_and_short() -> None:
    def words(**entry: str) -> list[str]:
        meta = ObjectMeta(name="a", namespace="n", managedFields=[ManagedFieldsEntry(**{"operation": "Update"} | entry)])
        return [str(one) for one in metadata.validate_meta(meta, namespaced=True, name_check=None)]

    assert words(manager="é\ab") == [
        'metadata.managedFields[0].manager: Invalid value: "é\\ab": invalid character U+0007 (at position 2)']
    assert words(manager="m" * 129, subresource="s" * 257) == [
        "metadata.managedFields[0].manager: Too long: may not be more than 128 bytes",
        "metadata.managedFields[0].subresource: Too long: may not be more than 256 bytes"]


def test_what_an_update_makes_wrong_is_said_as_often_as_upstream_looks_at_it() -> None:
    old = ObjectMeta(name="a", namespace="n")
    new = ObjectMeta(name="a", namespace="n", labels={"a": "-"}, finalizers=["plain"])
    found = [one.field for one in metadata.validate_change(new, old, CONFIG_MAPS, built_in=True)]
    more = metadata.validate_change(new, old, CONFIG_MAPS, built_in=True, again="both")
    assert found == ["metadata.labels"] * 3 + ["metadata.finalizers[0]"]
    assert [one.field for one in more] == ["metadata.labels"] * 4 + ["metadata.finalizers[0]"] * 2
    assert metadata.validate_change(new, new, CONFIG_MAPS, built_in=False) == []


def test_an_update_keeps_what_the_server_owns() -> None:
    old = ObjectMeta(name="a", uid="u", generation=3, creationTimestamp=Time("2026-01-01T00:00:00Z"))
    new = ObjectMeta(name="a", generation=9, selfLink="/x")
    metadata.keep_system_fields(new, old)
    assert (new.uid, new.generation, new.creationTimestamp, new.selfLink) == ("u", 3, old.creationTimestamp, "")
    assert metadata.validate_meta_update(new, old) == []


def test_names_and_uids_never_change() -> None:
    fields = [one.field for one in metadata.validate_meta_update(ObjectMeta(name="b", uid="v"), ObjectMeta(name="a", uid="u"))]
    assert fields == ["metadata.name", "metadata.uid"]


def test_nothing_new_holds_an_object_that_is_leaving() -> None:
    old = ObjectMeta(deletionTimestamp=Time("2026-01-01T00:00:00Z"), finalizers=["a/b"])
    new = ObjectMeta(deletionTimestamp=old.deletionTimestamp, finalizers=["a/b", "c/d"])
    assert [one.reason for one in metadata.validate_meta_update(new, old)] == ["FieldValueForbidden"]


def test_dicts_and_structs_are_changed_alike() -> None:
    custom: dict[str, Any] = {"spec": {"x": 1}, "kind": "K", "metadata": {"name": "a"}, "apiVersion": "g/v1"}
    meta = metadata.meta_of(custom)
    meta.labels = {"l": "v"}
    metadata.put_meta(custom, meta)
    assert list(custom) == ["kind", "apiVersion", "metadata", "spec"]  # the order that stored bytes have
    assert custom["metadata"] == {"name": "a", "labels": {"l": "v"}}
    struct = ConfigMap(metadata=ObjectMeta(name="a"))
    assert metadata.meta_of(struct) is struct.metadata


@pytest.mark.parametrize("body", [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": None}}, "data": {"k": "v", "n": None}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80, "name": None}], "selector": None}},
])
def test_applying_the_same_later_on_writes_nothing(body: dict[str, Any]) -> None:
    async def test() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server:
            async def applied() -> bytes:
                path = f"/api/v1/namespaces/default/{body['kind'].lower()}s/a?fieldManager=one&force=true"
                return bytes((await server.client.raw("PATCH", path, body=codec.encode(body), headers={"content-type": "application/apply-patch+yaml"})).body)

            first = await applied()
            await clock.advance(60)
            assert await applied() == first

    asyncio.run(test())


@pytest.mark.parametrize("change", [{}, {"spec": {"a": 2}}, {"metadata": {"managedFields": [{"manager": "n", "time": "2026-01-02T00:00:00Z"}]}}])
def test_only_a_change_of_nothing_but_times_is_none(change: dict[str, Any]) -> None:
    def entry(time: str) -> dict[str, Any]:
        return {"kind": "W", "apiVersion": "x/v1", "metadata": {"name": "a", "managedFields": [{"manager": "m", "time": time}]}, "spec": {"a": 1}}

    old, new = entry("2026-01-01T00:00:00Z"), entry("2026-01-02T00:00:00Z") | change
    metadata.keep_times(new, old)
    assert (new == old) == (not change)
    if change:
        assert new["metadata"]["managedFields"][0]["time"] == "2026-01-02T00:00:00Z"


def test_finalizers_of_built_in_kinds_have_a_domain_or_are_standard() -> None:
    meta = ObjectMeta(finalizers=["x", "kubernetes", "orphan", "a.b/c"])
    assert [str(error) for error in metadata.unqualified_finalizers(meta, CONFIG_MAPS)] == [
        'metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified']
    assert metadata.unqualified_finalizers(meta, CUSTOM_RESOURCE_DEFINITIONS) == []
