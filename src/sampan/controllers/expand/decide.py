"""Who enlarges a claim's volume: an external resizer, told by an event and, for what a CSI driver took over, an annotation. Pure.

No plugin of this process enlarges volumes; CSI drivers' resizers watch claims by themselves. What the node alone enlarges is in `enlarge`.
Source: kube-controller-manager `volume/expand/expand_controller.go`, `pkg/volume/plugins.go` (FindExpandablePluginBySpec).
"""

from __future__ import annotations

from sampan.api import quantity
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS
from sampan.api.scalars import Quantity
from sampan.control.volumes import MIGRATED, storage
from sampan.controllers.expand.enlarge import PRE_RESIZE_CAPACITY, RESIZER
from sampan.kinds.plan import EventRecord, Patch, Plan


def wants_more(claim: PersistentVolumeClaim) -> bool:
    """Asking for more than it has."""
    return storage(claim.spec.resources.requests) > storage(claim.status.capacity)


def grew(old: PersistentVolumeClaim, new: PersistentVolumeClaim) -> bool:
    """The claim asks for more, or has more, than before."""
    def nano(amounts: dict[str, Quantity]) -> int:
        return quantity.nano(amounts["storage"]) if "storage" in amounts else 0

    return (nano(new.spec.resources.requests) > nano(old.spec.resources.requests)
            or nano(new.status.capacity) > nano(old.status.capacity))


def is_theirs(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """The volume is bound to this very claim."""
    ref = volume.spec.claimRef
    return ref is not None and (ref.namespace, ref.uid) == (claim.metadata.namespace, claim.metadata.uid)


def is_looked_at(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """The claim wants more, or its volume is being enlarged."""
    return wants_more(claim) or PRE_RESIZE_CAPACITY in volume.metadata.annotations


def decide(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Plan:
    """Say who is waited for."""
    if not is_looked_at(claim, volume):
        return Plan()
    for plugin, (driver, source) in MIGRATED.items():
        if getattr(volume.spec, source) is not None:
            event = EventRecord(claim, "Normal", "ExternalExpanding",
                                f"CSI migration enabled for {plugin}; waiting for external resizer to expand the pvc")
            return Plan(_named(claim, driver), None, (event,))
    event = EventRecord(claim, "Normal", "ExternalExpanding", "waiting for an external controller to expand this PVC")
    return Plan((), None, (event,))


def _named(claim: PersistentVolumeClaim, driver: str) -> tuple[Patch, ...]:
    meta = claim.metadata
    if meta.annotations.get(RESIZER) == driver:
        return ()
    patch = {"metadata": {"uid": meta.uid, "annotations": {RESIZER: driver}}}
    return (Patch(PERSISTENT_VOLUME_CLAIMS, meta.namespace, meta.name, patch, "status"),)
