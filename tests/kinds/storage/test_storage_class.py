"""StorageClasses, CSI drivers and nodes, attachments."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
from sampan.kinds.storage import csi_driver, csi_node, csi_storage_capacity, storage_class


def test_a_class_deletes_and_binds_at_once_unless_it_says_else() -> None:
    obj = created(STORAGE_CLASSES, {"metadata": {"name": "s"}, "provisioner": "example.com/p"})
    assert (obj.reclaimPolicy, obj.volumeBindingMode, storage_class.is_default(obj)) == ("Delete", "Immediate", False)
    assert not storage_class.waits_for_consumer(obj)


def test_a_class_says_what_is_wrong_with_it() -> None:
    body = {"metadata": {"name": "s"}, "provisioner": "", "reclaimPolicy": "Recycle", "volumeBindingMode": "Later",
            "parameters": {"": "x"}, "allowedTopologies": [{"matchLabelExpressions": [{"key": "a", "values": []}]}]}
    assert findings(STORAGE_CLASSES, body) == [
        "provisioner: Required value", 'parameters: Invalid value: "": field can not be empty.',
        'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
        'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"',
        "allowedTopologies[0].matchLabelExpressions[0].values: Required value"]


def test_parameters_and_provisioner_stay() -> None:
    old = created(STORAGE_CLASSES, {"metadata": {"name": "s"}, "provisioner": "example.com/p"})
    assert changed(STORAGE_CLASSES, old, {"parameters": {"a": "b"}, "provisioner": "q"})[1] == [
        'parameters: Invalid value: {"a":"b"}: field is immutable', 'provisioner: Invalid value: "q": field is immutable']
    attributes = created(VOLUME_ATTRIBUTES_CLASSES, {"driverName": "d", "parameters": {"a": "b"}})
    assert changed(VOLUME_ATTRIBUTES_CLASSES, attributes, {"parameters": {"a": "c"}})[1] == [
        "parameters: Forbidden: updates to parameters are forbidden."]


def test_tokens_of_a_driver_in_plain_sight_warn() -> None:
    driver = created(CSI_DRIVERS, {"metadata": {"name": "d.example.com"}, "spec": {"tokenRequests": [{"audience": "a"}]}})
    assert driver.spec.volumeLifecycleModes == ["Persistent"]
    assert csi_driver.KIND.warnings(driver, None)[0].startswith("spec.serviceAccountTokenInSecrets is unset")


def test_a_driver_on_a_node_keeps_its_name_there() -> None:
    drivers = [{"name": "d", "nodeID": "i", "topologyKeys": ["zone"], "allocatable": {"count": 3}}]
    old = created(CSI_NODES, {"metadata": {"name": "n"}, "spec": {"drivers": drivers}})
    assert (csi_node.attach_limit(old, "d"), csi_node.attach_limit(old, "e")) == (3, None)
    more = [drivers[0] | {"allocatable": {"count": 9}}, {"name": "e", "nodeID": "j", "topologyKeys": None}]
    assert changed(CSI_NODES, old, {"spec": {"drivers": more}})[1] == []
    wrong = changed(CSI_NODES, old, {"spec": {"drivers": [drivers[0] | {"nodeID": "other"}]}})[1]
    assert wrong == ['spec.drivers: Invalid value: {"Name":"d","NodeID":"other","TopologyKeys":["zone"],"Allocatable":null}: '
                     "field is immutable"]


def test_what_is_wrong_with_the_keys_of_a_driver_is_told_of_the_driver() -> None:
    drivers = [{"name": "d", "nodeID": "", "topologyKeys": ["zone", "zone", "a b"]}, {"name": "d", "nodeID": "i", "topologyKeys": [""]}]
    wrong = findings(CSI_NODES, {"metadata": {"name": "n"}, "spec": {"drivers": drivers}})
    assert [text.split("must consist")[0] for text in wrong] == [
        "spec.drivers[0].nodeID: Required value", 'spec.drivers[0]: Duplicate value: "zone"',
        'spec.drivers[0]: Invalid value: "a b": name part ', 'spec.drivers[1].name: Duplicate value: "d"',
        "spec.drivers[1]: Required value", 'spec.drivers[1]: Invalid value: "": name part must be non-empty',
        'spec.drivers[1]: Invalid value: "": name part ']


def test_a_topology_repeats_as_often_as_upstream_counts() -> None:
    term = {"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}
    body = {"metadata": {"name": "s"}, "provisioner": "p", "allowedTopologies": [term, term, {"matchLabelExpressions": []}]}
    assert findings(STORAGE_CLASSES, body) == ['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""'] + [
        'allowedTopologies[2].matchLabelExpressions: Duplicate value: ""'] * 3


def test_old_names_of_node_labels_warn() -> None:
    label = "failure-domain.beta.kubernetes.io/zone"
    terms = [{"matchLabelExpressions": [{"key": label, "values": ["a"]}]}]
    obj = created(STORAGE_CLASSES, {"metadata": {"name": "s"}, "provisioner": "p", "allowedTopologies": terms})
    assert storage_class.KIND.warnings(obj, None) == [
        'allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.17; use "topology.kubernetes.io/zone" instead']
    capacity = created(CSI_STORAGE_CAPACITIES, {"metadata": {"name": "c"}, "storageClassName": "s", "nodeTopology": {"matchLabels": {label: "a"}}})
    assert csi_storage_capacity.KIND.warnings(capacity, None) == [
        f'nodeTopology.matchLabels.{label}: deprecated since v1.17; use "topology.kubernetes.io/zone" instead']


@pytest.mark.parametrize(("spec", "wrong"), [
    ({"serviceAccountTokenInSecrets": False}, ["serviceAccountTokenInSecrets: Invalid value: false: serviceAccountTokenInSecrets is "
                                               "set but no tokenRequests are specified"]),
    ({"volumeLifecycleModes": ["x"]}, ['volumeLifecycleModes: Unsupported value: "x": supported values: "Persistent", "Ephemeral"']),
    ({"tokenRequests": [{"audience": "a"}, {"audience": "a", "expirationSeconds": 1}, {"audience": "b", "expirationSeconds": 1}]},
     ['tokenRequests[1].audience: Duplicate value: "a"',
      "tokenRequests[2].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes"]),
    ({"nodeAllocatableUpdatePeriodSeconds": 9},
     ["nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds"]),
])
def test_a_driver_says_what_is_wrong_with_it(spec: dict[str, Any], wrong: list[str]) -> None:
    assert findings(CSI_DRIVERS, {"metadata": {"name": "d"}, "spec": spec}) == [f"spec.{text}" for text in wrong]


def test_a_driver_counts_its_changes_and_leaves_out_what_is_off() -> None:
    old = created(CSI_DRIVERS, {"metadata": {"name": "d"}, "spec": {"preventPodSchedulingIfMissing": True}})
    assert (old.spec.preventPodSchedulingIfMissing, old.metadata.generation) == (None, 0)
    assert changed(CSI_DRIVERS, old, {"spec": {"podInfoOnMount": True}})[0].metadata.generation == 1


def test_an_inline_volume_is_a_csi_driver_s() -> None:
    inline = {"capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "s", "volumeMode": "Block"}
    body = {"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n", "source": {"inlineVolumeSpec": inline}}}
    at = "spec.source.inlineVolumeSpec"
    assert findings(VOLUME_ATTACHMENTS, body) == [
        f"{at}.capacity: Forbidden: may not be specified in the context of inline volumes",
        f"{at}.csi: Required value: has to be specified in the context of inline volumes",
        f"{at}.accessModes: Required value",
        f"{at}.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes",
        f"{at}: Required value: must specify a volume type",
        f"{at}.storageClassName: Forbidden: may not be specified in the context of inline volumes",
        f"{at}.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes"]


def test_an_attachment_has_one_source_that_stays() -> None:
    body = {"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "pv"}}}
    old = created(VOLUME_ATTACHMENTS, body)
    assert findings(VOLUME_ATTACHMENTS, body) == []
    assert findings(VOLUME_ATTACHMENTS, {"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n"}}) == [
        "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]
    assert changed(VOLUME_ATTACHMENTS, old, {"spec": {"nodeName": "m"}})[1] == [
        'spec: Invalid value: {"Attacher":"d","Source":{"PersistentVolumeName":"pv","InlineVolumeSpec":null},"NodeName":"m"}: '
        "field is immutable"]
    attached, wrong = changed(VOLUME_ATTACHMENTS, old, {"status": {"attached": True}, "spec": {"nodeName": "m"}}, "status")
    assert (attached.status.attached, attached.spec.nodeName, wrong) == (True, "n", [])
