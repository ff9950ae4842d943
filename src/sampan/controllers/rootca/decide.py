"""What the ConfigMap with the cluster's CA says. Pure. Source: kube-controller-manager `certificates/rootcacertpublisher`."""

from __future__ import annotations

from msgspec.structs import replace

from sampan.api.core.v1 import ConfigMap, Namespace
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS
from sampan.kinds.plan import Create, Plan, Update

NAME = "kube-root-ca.crt"
DESCRIPTION = "kubernetes.io/description"
TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


def decide(namespace: Namespace, old: ConfigMap | None, bundle: str) -> Plan:
    """Create it, unless the namespace is going away, or mend it; a description in other words is one, too."""
    data, annotations = {"ca.crt": bundle}, {DESCRIPTION: TEXT}
    if old is None:
        if namespace.status.phase == "Terminating" or namespace.metadata.deletionTimestamp is not None:
            return Plan()
        meta = ObjectMeta(name=NAME, namespace=namespace.metadata.name, annotations=annotations)
        return Plan((Create(CONFIG_MAPS, ConfigMap(kind="ConfigMap", apiVersion="v1", metadata=meta, data=data)),))
    if old.data == data and old.metadata.annotations.get(DESCRIPTION):
        return Plan()
    meta = replace(old.metadata, annotations={**old.metadata.annotations, **annotations})
    return Plan((Update(CONFIG_MAPS, replace(old, metadata=meta, data=data)),))
