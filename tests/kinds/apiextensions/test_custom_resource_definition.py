"""CustomResourceDefinitions."""

from __future__ import annotations

from typing import Any

from kinds.core.making import changed, created, findings
from sampan.api.apiextensions.v1 import CustomResourceDefinitionCondition
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS as CRDS
from sampan.kinds.apiextensions import custom_resource_definition as crds

OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def version(name: str = "v1", schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema or OPEN}} | more


def body(*versions: dict[str, Any], name: str = "foos.example.com", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
        "versions": list(versions) or [version()]} | spec}


def test_names_conversion_and_stored_versions_are_filled() -> None:
    crd = created(CRDS, body())
    assert (crd.spec.names.singular, crd.spec.names.listKind, crd.spec.conversion.strategy) == ("foo", "FooList", "None")
    assert (crd.status.storedVersions, crd.status.conditions, crds.storage_version(crd)) == (["v1"], None, "v1")
    assert findings(CRDS, body()) == []


def test_the_name_is_plural_and_group() -> None:
    assert findings(CRDS, body(name="wrong.name")) == [
        'metadata.name: Invalid value: "wrong.name": must be spec.names.plural+"."+spec.group']


def test_an_empty_one_lacks_nearly_everything() -> None:
    found = findings(CRDS, {"metadata": {"name": "x.y.z"}, "spec": {}})
    assert "spec.versions: Invalid value: null: must have exactly one version marked as storage version" in found
    assert "status.storedVersions: Invalid value: null: must have at least one stored version" in found
    assert {"spec.group: Required value", "spec.scope: Required value", "spec.names.kind: Required value"} <= set(found)


def test_findings_stand_where_the_internal_form_has_what_versions_share() -> None:
    wrong = {"type": "object", "properties": {"a": {}}}
    words = "Required value: must not be empty for specified object fields"
    assert findings(CRDS, body(version(schema=wrong))) == [f"spec.validation.openAPIV3Schema.properties[a].type: {words}"]
    both = body(version(schema=wrong), version("v2", storage=False))
    assert findings(CRDS, both) == [f"spec.versions[0].schema.openAPIV3Schema.properties[a].type: {words}"]


def test_groups_of_the_community_need_an_approval() -> None:
    found = findings(CRDS, body(name="foos.x.k8s.io", group="x.k8s.io"))
    assert [text.split(":")[0] for text in found] == ["metadata.annotations[api-approved.kubernetes.io]"]


def test_columns_and_subresources_are_checked() -> None:
    more = {"additionalPrinterColumns": [{"name": "", "type": "thing", "jsonPath": "spec"}],
            "subresources": {"scale": {"specReplicasPath": ".x", "statusReplicasPath": ".status.replicas"}}}
    assert findings(CRDS, body(version(**more))) == [
        'spec.subresources.scale.specReplicasPath: Invalid value: ".x": should be a json path under .spec',
        "spec.additionalPrinterColumns[0].name: Required value",
        'spec.additionalPrinterColumns[0].type: Invalid value: "thing": must be one of boolean,date,integer,number,string',
        'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting with .']


def test_selectable_fields_are_scalars_of_the_schema() -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "o": {"type": "object", "properties": {"x": {"type": "string"}}}, "l": {"type": "array", "items": {"type": "string"}}}}}}
    fields = [{"jsonPath": path} for path in (".spec.o", ".spec.l[0]", ".metadata.name", ".spec.o.x", ".spec.o.x")]
    assert findings(CRDS, body(version(schema=schema, selectableFields=fields))) == [
        'spec.selectableFields[0].jsonPath: Invalid value: ".spec.o": must point to a field of type string, boolean or integer. '
        "Enum string fields and strings with formats are allowed.",
        'spec.selectableFields[1].jsonPath: Invalid value: ".spec.l[0]": is an invalid path: array notation is not allowed',
        'spec.selectableFields[2].jsonPath: Invalid value: ".metadata.name": is an invalid path: does not refer to a valid field',
        'spec.selectableFields[4].jsonPath: Duplicate value: ".spec.o.x"']


def test_a_version_that_was_stored_stays() -> None:
    old = created(CRDS, body(version(), version("v2", storage=False)))
    new, wrong = changed(CRDS, old, {"spec": {"versions": [version("v2")]}})
    assert new.status.storedVersions == ["v1", "v2"]
    assert [text.split(":")[0] for text in wrong] == ["status.storedVersions[0]"]


def test_scope_and_kind_stay_once_it_is_served() -> None:
    old = created(CRDS, body())
    assert changed(CRDS, old, {"spec": {"scope": "Cluster"}})[1] == []
    old.status.conditions = [CustomResourceDefinitionCondition(type="Established", status="True")]
    assert changed(CRDS, old, {"spec": {"scope": "Cluster"}})[1] == [
        'spec.scope: Invalid value: "Cluster": field is immutable']


def test_the_name_is_told_of_first_and_only_of_a_new_one() -> None:
    wrong = findings(CRDS, body(name="wrong.name", scope="Odd"))
    assert [text.split(":")[0] for text in wrong] == ["metadata.name", "spec.scope"]
    old = created(CRDS, body())
    assert [text.split(":")[0] for text in changed(CRDS, old, {"spec": {"group": "example.org"}})[1]] == ["spec.group"]


def test_each_stored_version_counts_for_one() -> None:
    assert findings(CRDS, body(version(), version()))[-1] == (
        'status.storedVersions: Invalid value: ["v1"]: must have the storage version v1')


def test_defaults_need_pruning() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}
    assert "spec.preserveUnknownFields: Invalid value: true: must be false in order to use defaults in the schema" in findings(
        CRDS, body(version(schema=schema), preserveUnknownFields=True))


def test_a_root_with_too_much_is_shown_as_upstream_holds_it() -> None:
    found, = findings(CRDS, body(version(schema=OPEN | {"maxProperties": 3}, subresources={"status": {}})))
    assert found.startswith('spec.validation.openAPIV3Schema: Invalid value: {"ID":"","Schema":"","Ref":null,')
    assert '"MaxProperties":3,' in found
