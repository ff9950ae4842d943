from __future__ import annotations

from apiserver.admitting import admit, ask, pod
from apiserver.readers import MemoryReaders
from sampan.api.core.v1 import Binding
from sampan.api.resources import NODES, PODS
from sampan.apiserver.admission.pod_topology_labels import PodTopologyLabels

ZONE = "topology.kubernetes.io/zone"


def test_a_binding_carries_the_nodes_zone() -> None:
    readers = MemoryReaders()
    readers.put(NODES, {"metadata": {"name": "n", "labels": {ZONE: "z", "other": "x"}}})
    plugin = PodTopologyLabels(readers)
    binding = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n"}}
    assert admit(plugin, ask("CREATE", PODS, binding, subresource="binding", wire=Binding)).object.metadata.labels == {ZONE: "z"}
    assert admit(plugin, ask("CREATE", PODS, pod(nodeName="n"))).object.metadata.labels == {ZONE: "z"}
    assert admit(plugin, ask("CREATE", PODS, pod())).object.metadata.labels == {}
    assert admit(plugin, ask("CREATE", PODS, pod(nodeName="gone"))).object.metadata.labels == {}
