"""What a write changed, told from texts that are split and from Structs, is what walking the whole trees tells."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from sampan.api import apply, codec, fieldset, managedfields, schema, typed
from sampan.api.apply import Manager
from sampan.api.meta.v1 import ManagedFieldsEntry
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, EVENTS, LEASES, NODES, PERSISTENT_VOLUMES, PODS
from sampan.api.scalars import Time
from sampan.api.typed import Difference

TIME = "2026-01-02T03:04:05Z"
BASE: dict[str, Any] = {
    "metadata": {"name": "a", "labels": {"x": "y"}},
    "spec": {"containers": [{"name": "a", "image": "i", "env": [{"name": f"E{number}", "value": "v" * 40} for number in range(8)]}],
             "tolerations": [{"key": "k"}], "nodeName": "n", "securityContext": {}},
    "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}], "podIPs": [{"ip": "10.0.0.1"}]}}
parts: dict[tuple[str, str], list[Any]] = {
    ("metadata", "labels"): [None, {}, {"x": "z"}, {"n": "m"}],
    ("metadata", "finalizers"): [None, ["a/b"]],
    ("metadata", "deletionGracePeriodSeconds"): [None, 0, 30],
    ("metadata", "generateName"): [None, "a-"],
    ("metadata", "deletionTimestamp"): [None, TIME],
    ("metadata", "generation"): [None, 5],
    ("spec", "containers"): [[{"name": "b", "image": "i"}], [{"name": "a", "image": "new"}], [{"name": "a", "image": "i", "env": [{"name": "E9" * 150}]}]],
    ("spec", "tolerations"): [None, [{"key": "k"}, {"key": "l"}]],
    ("spec", "securityContext"): [None, {"runAsUser": 5}],
    ("spec", "nodeName"): [None, "m"],
    ("spec", "affinity"): [{"nodeAffinity": {}}],
    ("status", "conditions"): [None, [{"type": "Ready", "status": "True", "lastTransitionTime": TIME}, {"type": "Other", "status": "True"}]],
    ("status", "podIPs"): [None, [{"ip": "10.0.0.2"}]],
    ("status", "containerStatuses"): [None, [{"name": "a", "image": "i", "imageID": "x" * 300}]],
    ("status", "startTime"): [None, TIME],
}
changes = st.dictionaries(st.sampled_from(sorted(parts)), st.integers(0, 3), max_size=6)


def changed(change: dict[tuple[str, str], int]) -> Any:
    tree: dict[str, Any] = codec.to_builtins(BASE)
    for (top, name), number in change.items():
        value = parts[top, name][number % len(parts[top, name])]
        if value is None:
            tree[top].pop(name, None)
        else:
            tree[top][name] = value
    return codec.convert(PODS.wire, tree)


def whole(old: Any, new: Any) -> Difference:
    """The difference by walking all of both; what nobody owns of the metadata left out."""
    def tree(pod: Any) -> Any:
        found = codec.to_builtins(pod)
        return found | {"metadata": {key: value for key, value in found["metadata"].items() if key in managedfields._Meta.__struct_fields__}}

    shape = schema.of_resource(PODS)
    assert shape is not None
    return typed.compare(shape, tree(old), tree(new))


@given(changes, changes)
def test_splitting_and_comparing_structs_tell_what_walking_the_whole_tells(one: dict[tuple[str, str], int], other: dict[tuple[str, str], int]) -> None:
    old, new, shape = changed(one), changed(other), schema.of_resource(PODS)
    assert shape is not None
    expected = whole(old, new)
    assert managedfields.difference(shape, codec.encode(old), codec.encode(new)) == expected
    assert managedfields.change(shape, old, new) == expected


@given(changes)
def test_what_is_made_differs_from_nothing_as_its_whole_does(one: dict[tuple[str, str], int]) -> None:
    new, shape = changed(one), schema.of_resource(PODS)
    assert shape is not None
    assert managedfields.creation(shape, new) == managedfields.change(shape, PODS.wire(), new) == whole(PODS.wire(), new)


@pytest.mark.parametrize(("resource", "tree"), [
    (EVENTS, {"involvedObject": {"kind": "Pod", "name": "a"}, "reason": "R", "count": 0, "firstTimestamp": TIME, "source": {}, "type": "Normal"}),
    (EVENTS, {"involvedObject": {}, "series": {"count": 2}, "related": {"name": "b"}, "eventTime": None, "reportingComponent": "", "action": "A"}),
    (LEASES, {"spec": {"holderIdentity": "h", "leaseDurationSeconds": 0}}), (LEASES, {}),
    (CONFIG_MAPS, {"data": {"a": "b"}, "immutable": False}),
    (NODES, {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}, "status": {"nodeInfo": {"machineID": "m"}, "conditions": [{"type": "Ready", "status": "True"}]}}),
])
def test_what_is_made_owns_what_its_json_says(resource: Resource[Any], tree: dict[str, Any]) -> None:
    shape, new = schema.of_resource(resource), codec.convert(resource.wire, tree)
    assert shape is not None
    fresh, made = ({key: value for key, value in codec.to_builtins(one).items() if key != "metadata"} for one in (resource.wire(), new))
    assert managedfields.creation(shape, new) == typed.compare(shape, fresh, made)


def test_a_large_member_that_goes_or_comes_is_itself_gone_or_new() -> None:
    shape = schema.of_resource(PODS)
    assert shape is not None
    spec = b'"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[%b]}}}' % b",".join([b"{}"] * 90)
    with_it, without = b'{"spec":{"nodeName":"n",%b}}' % spec, b'{"spec":{"nodeName":"n"}}'
    gone, come = managedfields.difference(shape, with_it, without), managedfields.difference(shape, without, with_it)
    assert gone.removed == come.added
    assert gone.removed["f:spec"]["f:affinity"]["."] == {}
    assert gone.removed == typed.compare(shape, codec.loads(with_it), codec.loads(without)).removed


@pytest.mark.parametrize(("one", "other"), [({}, {"data": {"a": "b"}}), ({"data": {"a": "b", "c": "d"}}, {"data": {"a": "x"}}),
                                            ({"immutable": False}, {}), ({"immutable": False}, {"immutable": True, "binaryData": {"x": ""}})])
def test_fields_that_are_no_objects_are_told_like_others(one: dict[str, Any], other: dict[str, Any]) -> None:
    shape = schema.of_resource(CONFIG_MAPS)
    assert shape is not None
    old, new = (codec.convert(CONFIG_MAPS.wire, tree) for tree in (one, other))
    assert managedfields.change(shape, old, new) == typed.compare(shape, one, other)


def test_what_differs_and_is_not_written_has_not_changed() -> None:
    shape, old, new = schema.of_resource(PODS), changed({}), changed({})
    assert shape is not None
    old.metadata.labels, new.metadata.labels = {}, None
    assert old != new
    assert not managedfields.change(shape, old, new).changed


@pytest.mark.parametrize("field", ["operation", "apiVersion", "fieldsType"])
def test_an_entry_that_can_be_none_is_refused(field: str) -> None:
    entry = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}} | {field: ""}
    with pytest.raises(managedfields.BadEntry):
        managedfields.decode([codec.convert(ManagedFieldsEntry, entry)])


def test_a_claim_of_a_volume_has_fields_and_a_nameless_secret_a_key() -> None:
    volume, pods = schema.of_resource(PERSISTENT_VOLUMES), schema.of_resource(PODS)
    assert volume is not None
    assert pods is not None
    spec = volume.fields["spec"].shape
    assert not spec.fields["claimRef"].shape.atomic
    assert pods.fields["spec"].shape.fields["imagePullSecrets"].shape.items.key_defaults == {"name": ""}  # type: ignore[union-attr]


owns = st.frozensets(st.sampled_from([("metadata", "labels", "x"), ("spec",), ("spec", "a"), ("spec", "b"), ("status",), ("status", "a")]), max_size=4)


@given(st.lists(owns, max_size=12), st.integers(0, 12), owns, owns, st.booleans())
def test_entries_become_what_their_owners_do(owners: list[Any], number: int, changed: Any, removed: Any, escaped: bool) -> None:
    # given entries, some of them empty, applied or as another server writes them
    def text(paths: Any) -> bytes:
        raw = fieldset.encode(fieldset.of_paths(*paths))
        return raw.replace(b"f:spec", b"f:\\u0073pec") if escaped else raw

    entries = [ManagedFieldsEntry(manager=f"m{index}", operation="Apply" if index % 3 == 2 else "Update", apiVersion="v1", fieldsType="FieldsV1",
                                  time=Time(f"2026-01-02T03:04:{index:02}Z"), fieldsV1=Raw(text(paths))) for index, paths in enumerate(owners)]
    by, now = Manager(f"m{number}", "Update", "v1"), Time("2026-01-02T03:05:00Z")
    difference = Difference(fieldset.of_paths(*changed), {}, fieldset.of_paths(*(removed - changed)))
    # when
    found = managedfields.updated(entries, by, difference, lambda fields: fields, now)
    # then
    assert found == managedfields.encode(managedfields.cap(apply.update(managedfields.decode(entries), by, "v1", difference, now)))


def test_an_entry_that_nothing_happens_to_is_shared_and_the_order_is_that_of_times() -> None:
    # given who owns a label and who owns the node, the first earlier
    label, node = (codec.convert(ManagedFieldsEntry, {"manager": name, "operation": "Update", "apiVersion": "v1", "time": f"2026-01-02T03:04:0{number}Z",
                                                      "fieldsType": "FieldsV1", "fieldsV1": tree})
                   for number, (name, tree) in enumerate([("a", {"f:metadata": {"f:labels": {"f:x": {}}}}), ("b", {"f:spec": {"f:nodeName": {}}})]))
    by, difference = Manager("a", "Update", "v1"), Difference({}, fieldset.of_paths(("metadata", "labels", "x")), {})
    # when the first writes its own again
    found = managedfields.updated([label, node], by, difference, lambda fields: fields, Time("2026-01-02T03:04:09Z"))
    # then
    assert found[0] is node
    assert found[1] == replace(label, time=Time("2026-01-02T03:04:09Z"))
