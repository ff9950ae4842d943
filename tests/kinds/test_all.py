"""The list of kinds."""

from __future__ import annotations

from sampan.api import resources
from sampan.api.resourceinfo import Resource
from sampan.kinds import all as kinds


def test_every_built_in_resource_has_a_kind() -> None:
    found = kinds.ALL
    assert [kind.resource for kind in found] == list(resources.ALL)


def test_a_resource_that_nobody_knows_can_still_be_stored() -> None:
    thing: Resource[dict] = Resource(group="example.com", version="v1", plural="things", kind="Thing", singular="thing", namespaced=True)
    kind = kinds.kind_of(thing)
    kind.default({})
    assert (kind.resource, list(kind.validate({}))) == (thing, [])


def test_a_kind_is_made_once() -> None:
    assert kinds.kind_of(resources.PODS) is kinds.kind_of(resources.PODS)


def test_every_kind_has_its_subresources_that_change_the_object() -> None:
    # scale, binding, exec and the like are the API server's; these change the object itself
    own = {"status", "finalize", "resize", "ephemeralcontainers"}
    for resource in (one for one in resources.ALL if one.group == ""):
        wanted = {one.name for one in resource.subresources} & own
        assert wanted == {sub.name for sub in kinds.kind_of(resource).subkinds}, resource.plural
