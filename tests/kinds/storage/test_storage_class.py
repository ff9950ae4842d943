"""StorageClasses, CSI drivers and nodes, attachments."""

from __future__ import annotations

from kinds.core.making import changed, created, findings
from sampan.api.resources import CSI_DRIVERS, CSI_NODES, STORAGE_CLASSES, VOLUME_ATTACHMENTS, VOLUME_ATTRIBUTES_CLASSES
from sampan.kinds.storage import csi_driver, csi_node, storage_class


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
        "parameters: Forbidden: updates to parameters are forbidden.",
        "provisioner: Forbidden: updates to provisioner are forbidden."]
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
    assert [text.split(":")[0] for text in wrong] == ["spec.drivers[0]"]


def test_an_attachment_has_one_source_that_stays() -> None:
    body = {"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "pv"}}}
    old = created(VOLUME_ATTACHMENTS, body)
    assert findings(VOLUME_ATTACHMENTS, body) == []
    assert findings(VOLUME_ATTACHMENTS, {"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n"}}) == [
        "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]
    assert [text.split(":")[0] for text in changed(VOLUME_ATTACHMENTS, old, {"spec": {"nodeName": "m"}})[1]] == ["spec"]
    attached, wrong = changed(VOLUME_ATTACHMENTS, old, {"status": {"attached": True}, "spec": {"nodeName": "m"}}, "status")
    assert (attached.status.attached, attached.spec.nodeName, wrong) == (True, "n", [])
