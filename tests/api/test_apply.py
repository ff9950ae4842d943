"""Server-side apply on trees: merging, owners, conflicts, and what is taken away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import apply, fieldset, managedfields, schema, typed
from sampan.api.apply import Conflicts, Managed, Manager, Owned
from sampan.api.resources import CONFIG_MAPS, DEPLOYMENTS, PODS

POD = schema.of_resource(PODS) or schema.ANY
MAP = schema.of_resource(CONFIG_MAPS) or schema.ANY
ONE, TWO = Manager("one", "Apply"), Manager("two", "Apply")


def keep(fields: fieldset.FieldSet) -> fieldset.FieldSet:
    return fields


class Live:
    """An object and its owners, applied to again and again."""

    def __init__(self, shape: schema.Shape, tree: dict[str, Any] | None = None) -> None:
        self.shape, self.tree, self.managed = shape, tree or {}, Managed()

    def apply(self, by: Manager, applied: dict[str, Any], *, force: bool = False) -> bool:
        tree, self.managed = apply.apply(self.shape, self.tree, applied, self.managed, by, "v1", force=force, keep=keep)
        if tree is not None:
            self.tree = tree
        return tree is not None

    def update(self, name: str, tree: dict[str, Any]) -> None:
        difference = typed.compare(self.shape, self.tree, tree)
        self.managed = apply.update(self.managed, Manager(name, "Update", "v1"), "v1", difference, "2026-01-01T00:00:00Z")
        self.tree = tree

    def owned(self, by: Manager) -> Any:
        return json.loads(fieldset.encode(self.managed[by].fields)) if by in self.managed else None


def containers(*items: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(items)}}


def test_what_is_no_longer_applied_is_taken_away() -> None:
    live = Live(MAP)
    live.apply(ONE, {"data": {"a": "1", "b": "2"}})
    live.apply(ONE, {"data": {"a": "1"}})
    assert live.tree == {"data": {"a": "1"}}
    assert live.owned(ONE) == {"f:data": {"f:a": {}}}


def test_what_another_owns_too_stays() -> None:
    live = Live(MAP)
    live.apply(ONE, {"data": {"a": "1", "b": "2"}})
    live.apply(TWO, {"data": {"b": "2"}})
    live.apply(ONE, {"data": {"a": "1"}})
    assert live.tree["data"] == {"a": "1", "b": "2"}


def test_a_change_of_what_another_owns_is_a_conflict_unless_forced() -> None:
    live = Live(MAP)
    live.apply(ONE, {"data": {"a": "1", "b": "1"}})
    with pytest.raises(Conflicts) as caught:
        live.apply(TWO, {"data": {"a": "2", "b": "2"}})
    assert caught.value.message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\n- .data.b'
    assert caught.value.status()["details"]["causes"][0] == {
        "reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}
    live.apply(TWO, {"data": {"a": "2"}}, force=True)
    assert live.tree["data"] == {"a": "2", "b": "1"}
    assert live.owned(ONE) == {"f:data": {"f:b": {}}}


def test_a_conflict_with_an_updater_names_its_version() -> None:
    live = Live(MAP)
    live.update("ctl", {"data": {"a": "1"}})
    with pytest.raises(Conflicts, match=r'Apply failed with 1 conflict: conflict with "ctl" using v1: \.data\.a'):
        live.apply(ONE, {"data": {"a": "2"}})


def test_items_of_keyed_lists_are_owned_one_by_one() -> None:
    live = Live(POD)
    live.apply(ONE, containers({"name": "a", "image": "1", "ports": [{"containerPort": 80}]}, {"name": "b"}))
    live.apply(TWO, containers({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]}))
    assert [item["name"] for item in live.tree["spec"]["containers"]] == ["a", "b"]
    # the protocol that one left out is TCP, so both mean the same port
    assert live.tree["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP", "name": "http"}]
    live.apply(ONE, containers({"name": "a", "image": "1"}))
    assert [item["name"] for item in live.tree["spec"]["containers"]] == ["a"]
    assert live.tree["spec"]["containers"][0]["ports"][0]["name"] == "http"


def test_the_applied_order_of_shared_items_wins() -> None:
    live = Live(POD, containers({"name": "a"}, {"name": "x"}, {"name": "b"}))
    live.apply(ONE, containers({"name": "b"}, {"name": "a"}))
    assert [item["name"] for item in live.tree["spec"]["containers"]] == ["x", "b", "a"]


def test_atomic_lists_are_replaced_whole() -> None:
    live = Live(POD, {"spec": {"tolerations": [{"key": "a"}]}})
    live.apply(ONE, {"spec": {"tolerations": [{"key": "b"}]}})
    assert live.tree["spec"]["tolerations"] == [{"key": "b"}]
    assert live.owned(ONE) == {"f:spec": {"f:tolerations": {}}}


@pytest.mark.parametrize(("applied", "words"), [
    ({"data": {"k": 5}}, ".data.k: expected string, got &value.valueUnstructured{Value:5}"),
    ({"bogus": 1}, ".bogus: field not declared in schema"),
    ({"data": []}, ".data: expected map, got &{[]}"),
    ({"immutable": "yes"}, ".immutable: expected boolean, got &{yes}"),
])
def test_what_does_not_have_the_shape_is_named(applied: Any, words: str) -> None:
    assert typed.validate(MAP, applied) == [words]


def test_an_item_that_stands_twice_is_named() -> None:
    assert typed.validate(POD, containers({"name": "a"}, {"name": "a"})) == [
        '.spec.containers: duplicate entries for key [name="a"]']


def test_more_than_ten_updaters_become_ancient_changes() -> None:
    managed = {Manager(f"m{index:02}", "Update", "v1"): Owned({f"f:{index}": {}}, "v1", f"2026-01-01T00:00:{index:02}Z") for index in range(13)}
    capped = managedfields.cap(managed)
    ancient = capped[Manager("ancient-changes", "Update", "v1")]
    assert len(capped) == 10
    assert sorted(ancient.fields) == ["f:0", "f:1", "f:2", "f:3"]
    assert ancient.time == "2026-01-01T00:00:03Z"


# no empty maps and lists: upstream, too, loses them now and then, and objects are stored without them
data = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), min_size=1, max_size=3)
items = st.lists(st.fixed_dictionaries({"name": st.sampled_from("pqr")}, optional={"image": st.sampled_from("xy")}),
                 min_size=1, max_size=3, unique_by=lambda item: item["name"])
pods = st.fixed_dictionaries({}, optional={"metadata": st.fixed_dictionaries({}, optional={"labels": data}),
                                           "spec": st.fixed_dictionaries({}, optional={"containers": items, "nodeSelector": data})})


@given(pods, pods, pods)
def test_applying_again_changes_nothing(first: Any, second: Any, start: Any) -> None:
    live = Live(POD, start)
    live.apply(ONE, first, force=True)
    live.apply(TWO, second, force=True)
    before, owners = json.dumps(live.tree), live.managed
    assert not live.apply(TWO, second, force=True)
    assert json.dumps(live.tree) == before
    assert {k: v.fields for k, v in live.managed.items()} == {k: v.fields for k, v in owners.items()}


owned = st.frozensets(st.sampled_from([("a",), ("a", "b"), ("a", "c"), ("a", "b", "d"), ("status",), ("status", "s"), ("metadata", "name")]), max_size=5)


def paths(fields: fieldset.FieldSet) -> set[str]:
    return set(fieldset.paths(fields))


@given(owned, owned, owned, owned, owned, st.booleans())
def test_what_is_written_is_the_writer_s_and_what_is_gone_is_nobody_s(mine: Any, others: Any, modified: Any, added: Any, removed: Any, there: Any) -> None:
    # given two owners, one of another version, and the writer, who may own something already
    here, other, elsewhere = (Manager(name, "Update", version) for name, version in (("here", "v1"), ("other", "v1"), ("elsewhere", "v2")))
    before = {manager: Owned(fieldset.of_paths(*owns), manager.version, "then", b"text") for manager, owns in
              ((here, mine if there else ()), (other, others), (elsewhere, others)) if owns}
    sets = [fieldset.of_paths(*found) for found in (added, modified - added, removed - added - modified)]
    # when
    written = apply.filtered(typed.Difference(*sets), lambda fields: fieldset.without(fields, fieldset.of_paths(("status",))))
    after = apply.update(before, here, "v1", written, "now")
    # then
    changed, gone = (paths(fieldset.of_paths(*(path for path in found if path[0] != "status"))) for found in (modified | added, removed - added - modified))
    had = {manager: paths(one.fields) for manager, one in before.items()}
    own = changed - {".metadata", ".metadata.name"}
    expected = {here: own | had.get(here, set()) - changed - gone, other: had.get(other, set()) - changed - gone, elsewhere: had.get(elsewhere, set())}
    assert {manager: paths(one.fields) for manager, one in after.items()} == {manager: owns for manager, owns in expected.items() if owns}
    # and times and texts are those that were, but for what the writer owns now and what is no longer the same
    for manager, one in after.items():
        assert one.time == ("now" if manager == here and own else "then")
        assert (one.raw is not None) == (paths(one.fields) == had.get(manager))


@given(pods, pods)
def test_the_difference_from_nothing_is_everything_and_back(old: Any, new: Any) -> None:
    there, back = typed.compare(POD, old, new), typed.compare(POD, new, old)
    assert fieldset.encode(there.added) == fieldset.encode(back.removed)
    assert fieldset.encode(there.modified) == fieldset.encode(back.modified)
    assert (old == new) == (not there.changed)


@given(pods, pods)
def test_differences_of_texts_are_those_of_trees(old: Any, new: Any) -> None:
    found = managedfields.difference(POD, json.dumps(old).encode(), json.dumps(new).encode())
    expected = typed.compare(POD, old | {"metadata": old.get("metadata") or {}}, new | {"metadata": new.get("metadata") or {}})
    assert [fieldset.encode(one) for one in found] == [fieldset.encode(one) for one in expected]


def test_the_shape_of_a_workload_is_known_to_its_leaves() -> None:
    shape = schema.of_resource(DEPLOYMENTS)
    assert shape is not None
    pod = shape.fields["spec"].shape.fields["template"].shape.fields["spec"].shape
    ports = pod.fields["containers"].shape.items
    assert ports is not None
    assert ports.fields["ports"].shape.list_keys == ("containerPort", "protocol")
