"""kubectl on a kind of the test's own: everything that it does with built-in kinds, through a CustomResourceDefinition."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.real import Cluster, Space
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = pytest.mark.e2e

GROUP = "fleet.example.com"
SPEC: dict[str, Any] = {
    "type": "object", "required": ["masts", "sails"], "description": "What a ship is to be.",
    "x-kubernetes-validations": [
        {"rule": "self.sails >= self.masts", "message": "a mast without a sail", "fieldPath": ".sails", "reason": "FieldValueInvalid"},
        {"rule": "self.harbour == oldSelf.harbour", "messageExpression": "'a ship does not leave ' + oldSelf.harbour"},
    ],
    "properties": {
        "replicas": {"type": "integer", "format": "int32", "minimum": 0, "default": 1},
        "masts": {"type": "integer", "minimum": 1, "maximum": 5, "description": "How many masts carry sails."},
        "sails": {"type": "integer", "maximum": 40},
        "harbour": {"type": "string", "enum": ["Kiel", "Brest", "Cadiz"], "default": "Kiel"},
        "cargo": {"type": "object", "additionalProperties": {"type": "string"}},
        "crew": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
            "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "rank": {"type": "string"}}}},
    }}
STATUS: dict[str, Any] = {
    "type": "object", "properties": {
        "replicas": {"type": "integer"}, "selector": {"type": "string"}, "phase": {"type": "string"},
        "conditions": {"type": "array", "items": {"type": "object", "required": ["type", "status"], "properties": {
            "type": {"type": "string"}, "status": {"type": "string"}, "reason": {"type": "string"}}}}}}
COLUMNS = [
    {"name": "Masts", "type": "integer", "jsonPath": ".spec.masts"},
    {"name": "Afloat", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Afloat')].status"},
    {"name": "Harbour", "type": "string", "jsonPath": ".spec.harbour", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def version(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": name == "v1", "additionalPrinterColumns": COLUMNS,
            "selectableFields": [{"jsonPath": ".spec.harbour"}],
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
            "schema": {"openAPIV3Schema": {"type": "object", "description": "Ship carries things over water.", "properties": {"spec": SPEC, "status": STATUS}}}, **more}


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"ships.{GROUP}"},
    "spec": {"group": GROUP, "scope": "Namespaced", "versions": [version("v1"), version("v1beta1", deprecated=True, deprecationWarning="sail with v1")],
             "names": {"plural": "ships", "singular": "ship", "kind": "Ship", "shortNames": ["shp"], "categories": ["navy"]}}}


def ship(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Ship", "metadata": {"name": name}, "spec": {"masts": 2, "sails": 4, **spec}}


def put(space: Space, manifest: dict[str, Any], *words: str, verb: str = "apply") -> subprocess.CompletedProcess[str]:
    return space.kubectl(verb, *words, "-f", "-", input=json.dumps(manifest), check=False)


def words_of(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def harbour(simulated_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with the kind Ship; it is gone at the end, with every ship."""
    simulated_cluster.kubectl("create", "-f", "-", input=json.dumps(DEFINITION))
    simulated_cluster.kubectl("wait", "--for=condition=Established", f"crd/ships.{GROUP}", "--timeout=120s")
    yield simulated_cluster
    simulated_cluster.kubectl("delete", "crd", f"ships.{GROUP}", "--timeout=120s")
    until_true(lambda: "ships" not in simulated_cluster.kubectl("api-resources", "-o", "name").stdout, "the kind is forgotten")


@pytest.fixture
def space(harbour: Cluster, simulated_space: Space) -> Space:
    assert harbour is simulated_space.cluster
    return simulated_space


# ---- what the server tells about the kind --------------------------------------------------------------------------


def test_the_kind_is_listed_with_its_names_and_verbs(space: Space) -> None:
    rows = words_of(space.kubectl("api-resources", f"--api-group={GROUP}", "-o", "wide").stdout)
    assert rows[1][:5] == ["ships", "shp", f"{GROUP}/v1", "true", "Ship"]
    assert rows[1][5:] == ["delete,deletecollection,get,list,patch,create,update,watch", "navy"]
    assert {f"{GROUP}/v1", f"{GROUP}/v1beta1"} <= set(space.kubectl("api-versions").stdout.split())
    # by every name
    assert put(space, ship("one")).returncode == 0
    for word in ("ship", "ships", "shp", "navy", "Ship", f"ships.{GROUP}", f"ships.v1.{GROUP}"):
        assert space.kubectl("get", word, "-o", "name").stdout == f"ship.{GROUP}/one\n", word


def test_explain_tells_fields_types_and_descriptions_of_each_version(space: Space) -> None:
    told = space.kubectl("explain", "ship").stdout
    assert re.search(rf"^GROUP: +{re.escape(GROUP)}\nKIND: +Ship\nVERSION: +v1\n", told)
    assert "Ship carries things over water." in told
    field = space.kubectl("explain", "shp.spec.masts").stdout
    assert "FIELD: masts <integer>" in field
    assert "How many masts carry sails." in field
    tree = space.kubectl("explain", "ships", "--recursive").stdout
    for line in ("  spec\t<Object>", "    crew\t<[]Object>", "      name\t<string> -required-", "    cargo\t<map[string]string>", "    masts\t<integer> -required-"):
        assert line in tree.splitlines(), line
    assert re.search(r"^ENUM:\n +Kiel\n +Brest\n +Cadiz$", space.kubectl("explain", "ship.spec.harbour").stdout, re.MULTILINE)
    assert "VERSION:    v1beta1" in space.kubectl("explain", "ships", f"--api-version={GROUP}/v1beta1").stdout
    unknown = space.kubectl("explain", "ship.spec.keel", check=False)
    assert (unknown.returncode, unknown.stderr) == (1, 'error: field "keel" does not exist\n')


def test_explain_has_upstreams_descriptions_of_built_in_kinds(space: Space) -> None:
    told = space.kubectl("explain", "deployment.spec").stdout
    assert re.search(r"^DESCRIPTION:\n +\S+", told, re.MULTILINE), told[:400]
    assert re.search(r"^  replicas\t<integer>\n    \S+", told, re.MULTILINE), told[:400]


def test_an_old_version_is_served_with_a_warning(space: Space) -> None:
    old = ship("old") | {"apiVersion": f"{GROUP}/v1beta1"}
    made = put(space, old, verb="create")
    assert (made.returncode, made.stdout) == (0, f"ship.{GROUP}/old created\n")
    assert "Warning: sail with v1" in made.stderr
    assert space.get("ship", "old")["apiVersion"] == f"{GROUP}/v1"
    asked = space.kubectl("get", f"ships.v1beta1.{GROUP}", "old", "-o", "jsonpath={.apiVersion}")
    assert (asked.stdout, "Warning: sail with v1" in asked.stderr) == (f"{GROUP}/v1beta1", True)


# ---- apply, diff, validation ---------------------------------------------------------------------------------------


def test_apply_on_the_clients_side_and_diff(space: Space) -> None:
    first = ship("one", cargo={"rum": "3", "salt": "1"})
    assert put(space, first).stdout == f"ship.{GROUP}/one created\n"
    assert put(space, first).stdout == f"ship.{GROUP}/one unchanged\n"
    space.kubectl("patch", "ship", "one", "--type=merge", "-p", '{"spec":{"cargo":{"tea":"9"}}}')
    second = ship("one", cargo={"rum": "4"})
    difference = put(space, second, verb="diff")
    assert difference.returncode == 1
    assert re.findall(r"^([-+] +\w+: .*)$", difference.stdout, re.MULTILINE) == [
        "-  generation: 2", "+  generation: 3", '-    rum: "3"', '-    salt: "1"', '+    rum: "4"']
    assert put(space, second, "--dry-run=server").stdout == f"ship.{GROUP}/one configured (server dry run)\n"
    assert put(space, second).stdout == f"ship.{GROUP}/one configured\n"
    found = space.get("ship", "one")
    assert found["spec"] == {"masts": 2, "sails": 4, "replicas": 1, "harbour": "Kiel", "cargo": {"rum": "4", "tea": "9"}}
    assert found["metadata"]["generation"] == 3
    assert put(space, second, verb="diff").returncode == 0


def test_apply_on_the_servers_side_merges_lists_by_key_and_knows_owners(space: Space) -> None:
    def apply(manager: str, *words: str, **spec: Any) -> subprocess.CompletedProcess[str]:
        return put(space, ship("one", **spec), "--server-side", f"--field-manager={manager}", *words)

    assert apply("ada", crew=[{"name": "ann", "rank": "mate"}]).stdout == f"ship.{GROUP}/one serverside-applied\n"
    assert apply("bob", crew=[{"name": "ben"}]).returncode == 0
    assert {one["name"] for one in space.get("ship", "one")["spec"]["crew"]} == {"ann", "ben"}
    conflict = apply("bob", sails=5)
    assert conflict.returncode == 1
    assert 'conflict with "ada"' in conflict.stderr
    assert ".spec.sails" in conflict.stderr
    assert apply("bob", "--force-conflicts", sails=5).returncode == 0
    # when bob no longer speaks of ben, ben goes; ann stays
    assert space.get("ship", "one")["spec"]["crew"] == [{"name": "ann", "rank": "mate"}]
    difference = put(space, ship("one", sails=6), "--server-side", "--field-manager=bob", verb="diff")
    assert (difference.returncode, "+  sails: 6" in difference.stdout) == (1, True)


@pytest.mark.parametrize(("spec", "said"), [
    ({"masts": 3, "sails": 2}, 'spec.sails: Invalid value: a mast without a sail'),
    ({"masts": 9, "sails": 9}, "spec.masts: Invalid value: 9: spec.masts in body should be less than or equal to 5"),
    ({"harbour": "Rome"}, 'spec.harbour: Unsupported value: "Rome": supported values: "Kiel", "Brest", "Cadiz"'),
    ({"masts": "two"}, 'spec.masts: Invalid value: "string": spec.masts in body must be of type integer: "string"'),
    ({"crew": [{"name": "a"}, {"name": "a"}]}, 'spec.crew[1]: Duplicate value: {"name":"a"}'),
])
def test_a_ship_against_the_rules_is_refused(space: Space, spec: dict[str, Any], said: str) -> None:
    refused = put(space, ship("bad", **spec), "--validate=false", verb="create")
    assert refused.returncode == 1
    assert said in refused.stderr
    assert refused.stderr.startswith('The Ship "bad" is invalid')


def test_rules_about_changes_and_unknown_fields(space: Space) -> None:
    assert put(space, ship("one")).returncode == 0
    left = space.kubectl("patch", "ship", "one", "--type=merge", "-p", '{"spec":{"harbour":"Brest"}}', check=False)
    assert left.returncode == 1
    assert "a ship does not leave Kiel" in left.stderr
    unknown = put(space, ship("two", keel="oak"))
    assert unknown.returncode == 1
    assert 'strict decoding error: unknown field "spec.keel"' in unknown.stderr
    pruned = put(space, ship("two", keel="oak"), "--validate=false")
    assert pruned.returncode == 0
    assert "keel" not in space.get("ship", "two")["spec"]


# ---- get, columns, selectors ---------------------------------------------------------------------------------------


def test_columns_and_selectors(space: Space) -> None:
    for name, masts, place in (("a", 3, "Kiel"), ("b", 1, "Brest"), ("c", 2, "Brest")):
        assert put(space, ship(name, masts=masts, harbour=place)).returncode == 0
    space.kubectl("label", "ship", "a", "b", "tier=line")
    space.kubectl("patch", "ship", "a", "--subresource=status", "--type=merge", "-p", '{"status":{"conditions":[{"type":"Afloat","status":"True"}]}}')
    short = words_of(space.kubectl("get", "ships").stdout)
    assert short[0] == ["NAME", "MASTS", "AFLOAT", "AGE"]
    assert short[1][:3] == ["a", "3", "True"]
    wide = words_of(space.kubectl("get", "ships", "-o", "wide", "-L", "tier").stdout)
    assert wide[0] == ["NAME", "MASTS", "AFLOAT", "HARBOUR", "AGE", "TIER"]
    assert wide[1][3] == "Kiel"
    assert wide[1][5] == "line"
    chosen = space.kubectl("get", "ships", "-o", "custom-columns=N:.metadata.name,S:.spec.sails", "--sort-by=.spec.masts").stdout
    assert [row.split() for row in chosen.splitlines()] == [["N", "S"], ["b", "4"], ["c", "4"], ["a", "4"]]

    def named(*words: str) -> list[str]:
        return [one.split("/")[1] for one in space.kubectl("get", "ships", *words, "-o", "name").stdout.split()]

    assert named("-l", "tier=line") == ["a", "b"]
    assert named("--field-selector", "spec.harbour=Brest") == ["b", "c"]
    assert named("--field-selector", "spec.harbour!=Brest,metadata.name!=b") == ["a"]
    wrong = space.kubectl("get", "ships", "--field-selector", "spec.masts=1", check=False)
    assert "field label not supported: spec.masts" in wrong.stderr


def test_describe_shows_the_object_and_its_events(space: Space) -> None:
    assert put(space, ship("one", cargo={"rum": "3"})).returncode == 0
    uid = space.get("ship", "one")["metadata"]["uid"]
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "one.1"}, "type": "Normal", "reason": "Launched", "message": "down the slip",
             "source": {"component": "yard"}, "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:05Z", "count": 1,
             "involvedObject": {"apiVersion": f"{GROUP}/v1", "kind": "Ship", "name": "one", "namespace": space.name, "uid": uid}}
    assert put(space, event, verb="create").returncode == 0
    told = space.kubectl("describe", "ship/one").stdout
    assert re.search(r"^Kind: +Ship$", told, re.MULTILINE)
    assert re.search(r"^ +Rum: +3$", told, re.MULTILINE)
    assert re.search(r"Normal +Launched .* yard +down the slip", told)
    assert "Launched" in space.kubectl("events", "--for", f"ship.v1.{GROUP}/one").stdout


# ---- status, scale, wait -------------------------------------------------------------------------------------------


def test_status_is_a_door_of_its_own(space: Space) -> None:
    manifest = ship("one") | {"status": {"phase": "Sunk"}}
    assert put(space, manifest).returncode == 0
    assert "status" not in space.get("ship", "one")
    space.kubectl("patch", "ship", "one", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Afloat"},"spec":{"sails":40}}')
    found = space.get("ship", "one")
    assert (found["status"], found["spec"]["sails"], found["metadata"]["generation"]) == ({"phase": "Afloat"}, 4, 1)
    assert space.kubectl("get", "ship", "one", "--subresource=status", "-o", "jsonpath={.status.phase}").stdout == "Afloat"
    found["status"]["phase"] = "Moored"
    assert put(space, found, "--subresource=status", verb="replace").returncode == 0
    assert space.get("ship", "one")["status"]["phase"] == "Moored"


def test_scale_and_autoscale(space: Space) -> None:
    assert put(space, ship("one")).returncode == 0
    assert space.kubectl("scale", "ship/one", "--replicas=3").stdout == f"ship.{GROUP}/one scaled\n"
    space.kubectl("patch", "ship", "one", "--subresource=status", "--type=merge", "-p", '{"status":{"replicas":2,"selector":"app=one"}}')
    scale = json.loads(space.kubectl("get", "ship", "one", "--subresource=scale", "-o", "json").stdout)
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 3}, {"replicas": 2, "selector": "app=one"})
    refused = space.kubectl("scale", "ship/one", "--replicas=1", "--current-replicas=7", check=False)
    assert "Expected replicas to be 7, was 3" in refused.stderr
    space.kubectl("autoscale", "ship", "one", "--min=1", "--max=4", "--cpu-percent=50")
    assert space.get("hpa", "one")["spec"]["scaleTargetRef"] == {"apiVersion": f"{GROUP}/v1", "kind": "Ship", "name": "one"}


def test_waits_end_when_what_they_wait_for_comes(space: Space) -> None:
    def waiting(what: str) -> subprocess.Popen[str]:
        return space.cluster.start_kubectl("-n", space.name, "wait", what, "ship/one", "--timeout=120s")

    def ends(process: subprocess.Popen[str], said: str) -> None:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, out) == (0, f"ship.{GROUP}/one {said}\n"), err

    made = waiting("--for=create")
    assert put(space, ship("one")).returncode == 0
    ends(made, "condition met")
    late = space.kubectl("wait", "--for=condition=Afloat", "ship/one", "--timeout=1s", check=False)
    assert (late.returncode, "timed out waiting for the condition on ships/one" in late.stderr) == (1, True)
    both = [waiting("--for=condition=Afloat"), waiting("--for=jsonpath={.status.phase}=Sailing")]
    space.kubectl("patch", "ship", "one", "--subresource=status", "--type=merge",
                  "-p", '{"status":{"phase":"Sailing","conditions":[{"type":"Afloat","status":"True"}]}}')
    for process in both:
        ends(process, "condition met")
    gone = waiting("--for=delete")
    space.kubectl("delete", "ship", "one")
    _, err = gone.communicate(timeout=PATIENCE_SECONDS)  # it says nothing where the ship was gone before it looked
    assert gone.returncode == 0, err


# ---- change and delete ---------------------------------------------------------------------------------------------


def test_patch_label_edit_and_replace(space: Space, tmp_path: Path) -> None:
    assert put(space, ship("one")).returncode == 0
    space.kubectl("patch", "ship", "one", "--type=json", "-p", '[{"op":"test","path":"/spec/masts","value":2},{"op":"add","path":"/spec/cargo","value":{"a":"1"}}]')
    space.kubectl("patch", "ship", "one", "--type=merge", "-p", '{"spec":{"sails":7,"cargo":null}}')
    strategic = space.kubectl("patch", "ship", "one", "--type=strategic", "-p", '{"spec":{"sails":8}}', check=False)
    assert strategic.stderr.startswith(f"error: application/strategic-merge-patch+json is not supported by {GROUP}/v1, Kind=Ship"), strategic.stderr
    space.kubectl("label", "ship", "one", "tier=line")
    space.kubectl("annotate", "ship", "one", "note=new")

    def edit(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["kubectl", "-n", space.name, "edit", "ship", "one"], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
                              env={**space.cluster.environment, "KUBE_EDITOR": script})

    assert edit("sed -i 's/sails: 7/sails: 9/'").stdout == f"ship.{GROUP}/one edited\n"
    # an editor that writes nonsense the first time sees the reason in the file the second time
    twice = tmp_path / "twice"
    twice.write_text("#!/bin/sh\ngrep -q 'should be less than' \"$1\" && sed -i 's/masts: 8/masts: 4/' \"$1\" || sed -i 's/masts: 2/masts: 8/' \"$1\"\n")
    twice.chmod(0o755)
    mended = edit(str(twice))
    assert mended.stdout == f"ship.{GROUP}/one edited\n", mended.stderr
    found = space.get("ship", "one")
    assert (found["spec"]["sails"], found["spec"]["masts"]) == (9, 4)
    assert (found["metadata"]["labels"], found["metadata"]["annotations"]["note"]) == ({"tier": "line"}, "new")
    # replaced, with and without the version that was read
    found["spec"] = {"masts": 1, "sails": 1, "harbour": "Kiel"}
    assert put(space, found, verb="replace").stdout == f"ship.{GROUP}/one replaced\n"
    stale = put(space, found, verb="replace")
    assert "the object has been modified; please apply your changes to the latest version and try again" in stale.stderr
    anew = put(space, ship("one", masts=5, sails=5), "--force", verb="replace")
    assert anew.returncode == 0, anew.stderr
    assert space.get("ship", "one")["metadata"]["uid"] != found["metadata"]["uid"]


def owned(name: str, owner: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": [
        {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}]}}


def test_deletion_takes_what_is_owned_along_or_leaves_it(space: Space) -> None:
    for name in ("background", "orphan", "foreground"):
        assert put(space, ship(name)).returncode == 0
        assert put(space, owned(name, space.get("ship", name)), verb="create").returncode == 0
        space.kubectl("delete", "ship", name, f"--cascade={name}", "--timeout=120s")
    until_true(lambda: space.get("configmap", "background", "--ignore-not-found") is None, "what was owned is gone")
    assert space.get("configmap", "foreground") is None
    until_true(lambda: "ownerReferences" not in space.get("configmap", "orphan")["metadata"], "the orphan has no owner")
    for name in ("a", "b"):
        assert put(space, ship(name)).returncode == 0
    assert put(space, ship("a"), verb="delete").stdout == f'ship.{GROUP} "a" deleted from {space.name} namespace\n'
    assert space.kubectl("delete", "ships", "--all").stdout == f'ship.{GROUP} "b" deleted from {space.name} namespace\n'


def test_permissions_on_the_kind_and_its_parts(space: Space) -> None:
    bob = f"--as=system:serviceaccount:{space.name}:bob"
    space.kubectl("create", "serviceaccount", "bob")
    space.kubectl("create", "role", "sailor", "--verb=get,list", f"--resource=ships.{GROUP},ships.{GROUP}/status")
    space.kubectl("create", "rolebinding", "sailor", "--role=sailor", f"--serviceaccount={space.name}:bob")
    assert put(space, ship("one")).returncode == 0
    assert space.kubectl("get", "ships", bob, "-o", "name").stdout == f"ship.{GROUP}/one\n"
    assert space.kubectl("auth", "can-i", "get", "ships", "--subresource=status", bob).stdout == "yes\n"
    assert space.kubectl("auth", "can-i", "delete", f"ships.{GROUP}", bob, check=False).stdout == "no\n"
    assert re.search(rf"^ships\.{re.escape(GROUP)} +\[\] +\[\] +\[get list\]$", space.kubectl("auth", "can-i", "--list", bob).stdout, re.MULTILINE)
    refused = space.kubectl("scale", "ship/one", "--replicas=2", bob, check=False)
    assert f'cannot patch resource "ships/scale" in API group "{GROUP}" in the namespace "{space.name}"' in refused.stderr
