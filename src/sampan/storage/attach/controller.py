"""The control loop of nodes and their CSI volumes, by node: one worker, so that no volume is given to two nodes.

Owns what is remembered between looks and that nothing is decided from caches older than what was written.
Source: kube-controller-manager `volume/attachdetach/attach_detach_controller.go`, `populator/desired_state_of_world_populator.go`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod
from sampan.api.errors import AlreadyExists, NotFound
from sampan.api.resources import (
    CSI_DRIVERS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from sampan.api.storage.v1 import CSIDriver, VolumeAttachment
from sampan.client.base import DeleteOptions
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_node
from sampan.control.informer import Informer
from sampan.control.key import Key, key_of, revision_of
from sampan.control.volumes import by_claim, claim_key, has_ended, is_made_for
from sampan.kinds.meta import is_true
from sampan.storage.attach.decide import (
    MANAGED,
    OUT_OF_SERVICE,
    Attached,
    Decision,
    Detach,
    Memory,
    NodeView,
    Wanted,
    decide,
)
from sampan.storage.attach.translate import as_csi
from sampan.storage.attach.volumes import attachment_name, is_attachable, is_ours, is_shared, unique_name

VERIFY_SECONDS = 1.0


def attachments_by_node(attachment: Any) -> Iterable[Hashable]:
    """Index: attachments by node."""
    return (attachment.spec.nodeName,)


def attachments_by_volume(attachment: Any) -> Iterable[Hashable]:
    """Index: attachments by volume."""
    name = attachment.spec.source.persistentVolumeName
    return (name,) if name else ()


def attachments_by_driver(attachment: Any) -> Iterable[Hashable]:
    """Index: attachments by driver."""
    return (attachment.spec.attacher,)


def _relevant(node: Node) -> tuple[Any, ...]:
    """What of a node matters here: heartbeats do not."""
    status = node.status
    return (MANAGED in node.metadata.annotations, status.volumesInUse, status.volumesAttached,
            is_true(status.conditions, "Ready"), any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints))


class AttachDetachController(Controller):
    """Attaches CSI volumes to nodes, and detaches them. A key's name is a node's."""

    name = "persistentvolume-attach-detach-controller"
    component = "attachdetach-controller"

    def __init__(self, context: Context, *, force_after_timeout: bool = True) -> None:
        super().__init__(context, workers=1)
        self._force = force_after_timeout
        self._nodes, self._pods = self.informers.of(NODES), self.informers.of(PODS)
        self._claims, self._volumes = self.informers.of(PERSISTENT_VOLUME_CLAIMS), self.informers.of(PERSISTENT_VOLUMES)
        self._attachments, self._drivers = self.informers.of(VOLUME_ATTACHMENTS), self.informers.of(CSI_DRIVERS)
        self._on_node, self._users = self._pods.index(by_node), self._pods.index(by_claim)
        self._by_node, self._by_volume, self._by_driver = (
            self._attachments.index(one) for one in (attachments_by_node, attachments_by_volume, attachments_by_driver))
        self._memory: dict[str, Memory] = {}
        self._in_use: dict[str, list[str]] = {}  # what nodes that are gone had mounted, if they were this controller's
        self._names: dict[str, str] = {}  # the volumes of attachments, for when a volume is gone before them
        self._written: dict[Informer[Any], int] = {}
        self.loop.wait_for(self._nodes, self._pods, self._claims, self._volumes, self._attachments, self._drivers)
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)
        self._claims.on_change(self._claim_changed)
        self._volumes.on_change(self._volume_changed)
        self._attachments.on_change(self._attachment_changed)
        self._drivers.on_change(self._driver_changed)

    # what is heard

    def _look(self, *nodes: str) -> None:
        for name in nodes:
            if name:
                self.loop.queue.add(Key("", name))

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            assert old is not None
            if MANAGED in old.metadata.annotations:
                self._in_use[old.metadata.name] = list(old.status.volumesInUse)
            self._look(old.metadata.name)
        elif old is None or _relevant(old) != _relevant(new):
            self._in_use.pop(new.metadata.name, None)
            self._look(new.metadata.name)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if not any(by_claim(new or old)):
            return
        if old is None or new is None or (old.spec.nodeName, has_ended(old)) != (new.spec.nodeName, has_ended(new)):
            self._look(*{one.spec.nodeName for one in (old, new) if one is not None})

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if old is not None and new is not None and (old.status.phase, old.spec.volumeName) == (new.status.phase, new.spec.volumeName):
            return
        self._look_at_users(key_of(new or old))

    def _look_at_users(self, claim: Key) -> None:
        self._look(*{pod.spec.nodeName for pod in self._users.each(claim)})

    def _volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        volume = new or old
        assert volume is not None
        if as_csi(volume) is None or (old is not None and new is not None and old.spec == new.spec):
            return
        key = claim_key(volume)
        if key is not None:
            self._look_at_users(key)
        self._look(*{one.spec.nodeName for one in self._by_volume.each(volume.metadata.name)})

    def _attachment_changed(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        attachment = new or old
        assert attachment is not None
        if new is None:
            self._names.pop(attachment.metadata.name, None)
        self._look(attachment.spec.nodeName)
        if old is not None and new is not None and old.status.attached == new.status.attached:
            return
        # pods on other nodes may wait for a volume that they can't share, or must be told why they do
        volume = self._volumes.get(Key("", attachment.spec.source.persistentVolumeName or ""))
        if volume is not None and not is_shared(volume) and (key := claim_key(volume)) is not None:
            self._look_at_users(key)

    def _driver_changed(self, old: CSIDriver | None, new: CSIDriver | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        self._look(*{one.spec.nodeName for one in self._by_driver.each(name)})

    # the work

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        for informer, revision in self._written.items():
            if informer.revision < revision:
                informer.when(revision, lambda: self.loop.queue.add(key))
                return DONE
        view = self._view(key.name)
        if view.node is None and not view.has:
            self._memory.pop(key.name, None)
            self._in_use.pop(key.name, None)
            return DONE
        decision = decide(view, self._memory.get(key.name, Memory()), self.clock.monotonic())
        if decision.status is not None:
            await self._report(decision)
        for one in decision.detach:
            if not await self._detach(one):
                decision.stays(one)
                decision.look_in(VERIFY_SECONDS)
        for write in decision.attach:
            try:
                self._note(self._attachments, await self.client.create(write.resource, write.object))
            except AlreadyExists:
                decision.look_in(VERIFY_SECONDS)  # somebody else's of that name: looked at once it is in the cache
        self._memory[key.name] = decision.memory
        for event in decision.events:
            self.writer.tell(event)
        return Result(decision.again_seconds)

    def _note(self, informer: Informer[Any], answer: Any) -> None:
        self._written[informer] = max(self._written.get(informer, 0), revision_of(answer))

    async def _report(self, decision: Decision) -> None:
        patch = decision.status
        assert patch is not None
        try:
            self._note(self._nodes, await self.client.patch(NODES, patch.name, "", patch.patch, subresource="status"))
        except NotFound:
            return  # nobody is left to tell

    async def _detach(self, one: Detach) -> bool:
        """Delete the attachment; False: the node has the volume mounted after all."""
        if one.verify and one.unique:
            try:
                node = await self.client.get(NODES, one.attachment.spec.nodeName)
            except NotFound:
                pass  # it can't have anything mounted
            else:
                if one.unique in node.status.volumesInUse:
                    return False
        meta = one.attachment.metadata
        try:
            await self.client.delete(VOLUME_ATTACHMENTS, meta.name, "", DeleteOptions(uid=meta.uid))
        except NotFound:
            pass
        return True

    # the world as it is

    def _view(self, name: str) -> NodeView:
        node = self._nodes.get(Key("", name))
        in_use = node.status.volumesInUse if node is not None else self._in_use.get(name, [])
        return NodeView(name, node, self._wanted(name, node), self._has(name), in_use, self._force)

    def _has(self, name: str) -> dict[str, Attached]:
        out = {}
        for attachment in self._by_node.each(name):
            known = self._volumes.get(Key("", attachment.spec.source.persistentVolumeName or ""))
            volume = as_csi(known) or known if known is not None else None
            if not is_ours(attachment, volume):
                continue
            own = attachment.metadata.name
            if volume is not None:
                self._names[own] = unique_name(volume)
            out[own] = Attached(attachment, self._names.get(own, ""))
        return out

    def _wanted(self, name: str, node: Node | None) -> dict[str, Wanted]:
        """What pods on the node need. A node that is gone keeps it as long as its pods are there: they may still run."""
        if name not in self._in_use if node is None else MANAGED not in node.metadata.annotations:
            return {}
        pods: dict[str, list[Pod]] = {}
        volumes: dict[str, PersistentVolume] = {}
        for pod in self._on_node.each(name):
            if has_ended(pod):
                continue
            for volume in self._volumes_of(pod):
                own = attachment_name(volume, name)
                volumes[own] = volume
                pods.setdefault(own, []).append(pod)
        return {own: self._want(volume, pods[own], name) for own, volume in volumes.items()}

    def _want(self, volume: PersistentVolume, pods: list[Pod], name: str) -> Wanted:
        elsewhere = [one for one in self._by_volume.each(volume.metadata.name) if one.spec.nodeName != name]
        others = {one.spec.nodeName for one in elsewhere}
        key = claim_key(volume)
        holders = [pod.metadata.name for pod in self._users.each(key) if pod.spec.nodeName in others and not has_ended(pod)]
        return Wanted(volume, pods, elsewhere, holders)

    def _volumes_of(self, pod: Pod) -> Iterable[PersistentVolume]:
        """The CSI volumes behind the pod's claims, as far as they are bound."""
        own = {f"{pod.metadata.name}-{one.name}" for one in pod.spec.volumes if one.ephemeral is not None}
        for place in by_claim(pod):
            claim = self._claims.get(place)  # type: ignore[arg-type]
            if claim is None or claim.status.phase != "Bound" or not claim.spec.volumeName:
                continue
            if claim.metadata.name in own and not is_made_for(pod, claim):
                continue
            known = self._volumes.get(Key("", claim.spec.volumeName))
            volume = as_csi(known) if known is not None else None
            if volume is None or volume.spec.csi is None or volume.spec.claimRef is None or volume.spec.claimRef.uid != claim.metadata.uid:
                continue
            if is_attachable(volume, self._drivers.get(Key("", volume.spec.csi.driver))):
                yield volume
