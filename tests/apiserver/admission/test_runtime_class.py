from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api.core.v1 import Toleration
from sampan.api.errors import OtherStatus
from sampan.api.resources import PODS, RUNTIME_CLASSES
from sampan.apiserver.admission.runtime_class import RuntimeClass, merged


@pytest.fixture
def plugin() -> RuntimeClass:
    readers = MemoryReaders()
    readers.put(RUNTIME_CLASSES, {"metadata": {"name": "vm"}, "handler": "h", "overhead": {"podFixed": {"cpu": "100m"}}, "scheduling": {
        "nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}})
    return RuntimeClass(readers)


def test_a_pod_gets_what_its_class_says(plugin: RuntimeClass) -> None:
    spec = admit(plugin, ask("CREATE", PODS, pod(runtimeClassName="vm", nodeSelector={"a": "b"}))).object.spec
    assert spec.overhead == {"cpu": "100m"}
    assert spec.nodeSelector == {"a": "b", "vm": "yes"}
    assert [toleration.key for toleration in spec.tolerations] == ["vm"]


@pytest.mark.parametrize(("spec", "why"), [
    ({"runtimeClassName": "none"}, 'pod rejected: RuntimeClass "none" not found'),
    ({"runtimeClassName": "vm", "overhead": {"cpu": "1"}}, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"),
    ({"overhead": {"cpu": "1"}}, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"),
    ({"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}},
     "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no"),
])
def test_what_contradicts_the_class_is_refused(plugin: RuntimeClass, spec: dict[str, Any], why: str) -> None:
    assert refusal(plugin, ask("CREATE", PODS, pod(**spec))) == f'pods "web" is forbidden: {why}'


@pytest.mark.parametrize(("name", "why"), [
    ("", "resource name may not be empty"), ("a/b", 'invalid resource name "a/b": [may not contain \'/\']'),
    ("..", 'invalid resource name "..": [may not be \'..\']')])
def test_a_class_that_nobody_could_ask_for_is_no_clients_fault(plugin: RuntimeClass, name: str, why: str) -> None:
    with pytest.raises(OtherStatus) as caught:
        admit(plugin, ask("CREATE", PODS, pod(runtimeClassName=name)))
    assert (caught.value.code, caught.value.message) == (500, why)


def test_a_pod_without_a_class_is_left_alone(plugin: RuntimeClass) -> None:
    assert admit(plugin, ask("CREATE", PODS, pod())).object.spec.overhead == {}


def test_tolerations_that_another_covers_are_left_out() -> None:
    key = Toleration(key="k", operator="Equal", value="v", effect="NoSchedule")
    every = Toleration(key="k", operator="Exists")
    other = Toleration(key="o", operator="Equal", value="v", effect="NoExecute", tolerationSeconds=5)
    longer = Toleration(key="o", operator="Equal", value="v", effect="NoExecute", tolerationSeconds=9)
    assert merged([key, every, other, longer, other]) == [every, longer]
    assert merged([key, key]) == [key]
