from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api.resources import PODS, PRIORITY_CLASSES
from sampan.apiserver.admission.priority import Priority


@pytest.fixture
def readers() -> MemoryReaders:
    readers = MemoryReaders()
    readers.put(PRIORITY_CLASSES, {"metadata": {"name": "hi"}, "value": 1000, "preemptionPolicy": "Never"})
    return readers


def _admitted(readers: MemoryReaders, **spec: Any) -> tuple[str, int | None, str | None]:
    found = admit(Priority(readers), ask("CREATE", PODS, pod(**spec))).object.spec
    return found.priorityClassName, found.priority, found.preemptionPolicy


def test_a_class_gives_its_number_and_policy(readers: MemoryReaders) -> None:
    assert _admitted(readers, priorityClassName="hi") == ("hi", 1000, "Never")
    assert _admitted(readers) == ("", 0, "PreemptLowerPriority")


def test_the_lowest_default_class_is_taken(readers: MemoryReaders) -> None:
    readers.put(PRIORITY_CLASSES, {"metadata": {"name": "d"}, "value": 7, "globalDefault": True, "preemptionPolicy": "PreemptLowerPriority"})
    readers.put(PRIORITY_CLASSES, {"metadata": {"name": "e"}, "value": 9, "globalDefault": True, "preemptionPolicy": "PreemptLowerPriority"})
    assert _admitted(readers) == ("d", 7, "PreemptLowerPriority")


@pytest.mark.parametrize(("spec", "why"), [
    ({"priorityClassName": "missing"}, "no PriorityClass with name missing was found"),
    ({"priorityClassName": "hi", "priority": 5},
     "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given "
     "PriorityClass name"),
    ({"priorityClassName": "hi", "preemptionPolicy": "PreemptLowerPriority"},
     "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller "
     "computed Never from the given PriorityClass name"),
    ({"preemptionPolicy": ""},
     "the string value of PreemptionPolicy () must not be provided in pod spec; priority admission controller "
     "computed PreemptLowerPriority from the given PriorityClass name"),
])
def test_a_pod_does_not_choose_its_own(readers: MemoryReaders, spec: dict[str, Any], why: str) -> None:
    assert refusal(Priority(readers), ask("CREATE", PODS, pod(**spec))) == f'pods "web" is forbidden: {why}'


def test_an_update_keeps_what_it_leaves_out(readers: MemoryReaders) -> None:
    request = ask("UPDATE", PODS, pod(), pod(priority=1000, preemptionPolicy="Never"))
    spec = admit(Priority(readers), request).object.spec
    assert (spec.priority, spec.preemptionPolicy) == (1000, "Never")
    request = ask("UPDATE", PODS, pod(preemptionPolicy=""), pod(priority=1000, preemptionPolicy="Never"))
    assert admit(Priority(readers), request).object.spec.preemptionPolicy == ""


def test_there_is_one_default_and_the_systems_stay(readers: MemoryReaders) -> None:
    plugin = Priority(readers)
    first = {"metadata": {"name": "d"}, "value": 7, "globalDefault": True}
    admit(plugin, ask("CREATE", PRIORITY_CLASSES, first))
    readers.put(PRIORITY_CLASSES, first)
    admit(plugin, ask("UPDATE", PRIORITY_CLASSES, first, first))
    assert refusal(plugin, ask("CREATE", PRIORITY_CLASSES, first | {"metadata": {"name": "e"}})) == (
        'priorityclasses.scheduling.k8s.io "e" is forbidden: PriorityClass d is already marked as default. Only one default can exist')
    system = {"metadata": {"name": "system-node-critical"}, "value": 1}
    assert refusal(plugin, ask("DELETE", PRIORITY_CLASSES, old=system)) == (
        'priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: this is a system priority class and cannot be deleted')
    admit(plugin, ask("DELETE", PRIORITY_CLASSES, old=first))
