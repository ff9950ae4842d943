from __future__ import annotations

import pytest

from apiserver.admitting import admit, ask, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api.errors import Forbidden, NotFound
from sampan.api.resources import NAMESPACES, NODES, PODS
from sampan.apiserver.admission.namespace_lifecycle import NamespaceLifecycle


@pytest.fixture
def plugin() -> NamespaceLifecycle:
    readers = MemoryReaders()
    readers.put(NAMESPACES, {"metadata": {"name": "a"}, "status": {"phase": "Active"}})
    readers.put(NAMESPACES, {"metadata": {"name": "going"}, "status": {"phase": "Terminating"}})
    return NamespaceLifecycle(readers)


def test_objects_need_their_namespace(plugin: NamespaceLifecycle) -> None:
    admit(plugin, ask("CREATE", PODS, pod()))
    assert refusal(plugin, ask("CREATE", PODS, pod(), namespace="none"), NotFound) == 'namespaces "none" not found'
    admit(plugin, ask("CREATE", NODES, {"metadata": {"name": "n"}}))


def test_nothing_new_comes_into_a_namespace_that_goes(plugin: NamespaceLifecycle) -> None:
    with pytest.raises(Forbidden) as caught:
        admit(plugin, ask("CREATE", PODS, pod(), namespace="going"))
    assert caught.value.message == (
        'pods "web" is forbidden: unable to create new content in namespace going because it is being terminated')
    assert caught.value.details["causes"] == [{
        "reason": "NamespaceTerminating", "message": "namespace going is being terminated", "field": "metadata.namespace"}]
    admit(plugin, ask("UPDATE", PODS, pod(), pod(), namespace="going"))


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay_for_ever(plugin: NamespaceLifecycle, name: str) -> None:
    assert refusal(plugin, ask("DELETE", NAMESPACES, old={"metadata": {"name": name}})) == (
        f'namespaces "{name}" is forbidden: this namespace may not be deleted')
    admit(plugin, ask("DELETE", NAMESPACES, old={"metadata": {"name": "a"}}))
