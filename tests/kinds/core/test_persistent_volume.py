"""PersistentVolumes: what they are made of, and the time of their last change of phase."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume
from sampan.api.resources import PERSISTENT_VOLUMES
from sampan.kinds.core.persistent_volume import prepare_status, touch_phase

BEFORE, NOW, TOLD = "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2023-01-01T00:00:00Z"


def a_volume(phase: str, since: str | None) -> PersistentVolume:
    return codec.convert(PersistentVolume, {"status": {"phase": phase, "lastPhaseTransitionTime": since}})


@pytest.mark.parametrize(("phase", "told", "kept"), [
    ("Bound", BEFORE, NOW),  # as read, only the phase changed
    ("Bound", None, NOW),
    ("Bound", TOLD, TOLD),
    ("Available", None, BEFORE),
    ("Available", BEFORE, BEFORE),
])
def test_the_server_says_when_the_phase_changed_unless_the_writer_does(phase: str, told: str | None, kept: str) -> None:
    new, old = a_volume(phase, told), a_volume("Available", BEFORE)
    prepare_status(new, old)
    touch_phase(new, old, datetime(2026, 1, 1, tzinfo=UTC))
    assert new.status.lastPhaseTransitionTime == kept


def a_body(name: str = "v", **source: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]} | source}


ISCSI = {"targetPortal": "192.168.100.200:3260", "iqn": "iqn.2001-04.com.example:disk", "initiatorName": "iqn.2001-04.com.example:me"}


def test_an_initiator_of_its_own_makes_the_volumes_name_and_its_portal_short() -> None:
    name = "v" * 50
    assert findings(PERSISTENT_VOLUMES, a_body(iscsi=ISCSI)) == []
    assert findings(PERSISTENT_VOLUMES, a_body(name, iscsi=ISCSI | {"iqn": ""})) == [
        'spec.iscsi.targetportal: Invalid value: "192.168.100.200:3260": Total length of <volume name>:<iscsi.targetPortal> must be '
        "under 64 characters if iscsi.initiatorName is specified.",
        "spec.iscsi.iqn: Required value"]


def test_it_is_made_of_one_thing_but_a_flexible_one_is_never_one_too_many() -> None:
    assert findings(PERSISTENT_VOLUMES, a_body(hostPath={"path": "/a"}, nfs={"server": "s", "path": "/"})) == [
        "spec.nfs: Forbidden: may not specify more than 1 volume type"]
    assert findings(PERSISTENT_VOLUMES, a_body(hostPath={"path": "/a"}, flexVolume={"driver": ""})) == [
        "spec.flexVolume.driver: Required value"]


def test_options_in_the_old_annotation_are_for_what_is_mounted_with_some() -> None:
    old = {"annotations": {"volume.beta.kubernetes.io/mount-options": "ro"}, "name": "v"}
    assert findings(PERSISTENT_VOLUMES, a_body(nfs={"server": "s", "path": "/"}) | {"metadata": old}) == []
    assert findings(PERSISTENT_VOLUMES, a_body(hostPath={"path": "/a"}) | {"metadata": old}) == [
        "metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: "
        "may not specify mount options for this volume type"]


def test_a_changed_place_is_shown_whole_and_all_the_rest_is_looked_at_twice() -> None:
    term = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
    old = created(PERSISTENT_VOLUMES, a_body(
        hostPath={"path": "/a"}, nodeAffinity={"required": {"nodeSelectorTerms": [term]}}))
    other = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    assert changed(PERSISTENT_VOLUMES, old, {"spec": {
        "accessModes": [], "nodeAffinity": {"required": {"nodeSelectorTerms": [other]}}}})[1] == [
        "spec.accessModes: Required value",
        "spec.accessModes: Required value",
        'nodeAffinity: Invalid value: {"Required":{"NodeSelectorTerms":[{"MatchExpressions":[{"Key":"a","Operator":"Exists",'
        '"Values":null}],"MatchFields":null}]}}: field is immutable, except for updating from beta label to GA']
