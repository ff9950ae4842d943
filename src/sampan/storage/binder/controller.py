"""The control loop of claims and volumes: one worker for both, so that no two claims reach for one volume.

Owns the index of free volumes, the look at what waits every `--pvclaimbinder-sync-period`, and that nothing is decided from
caches older than what was written. Decisions are in `decide`, `bind`, `match` and `sampan.storage.provision`.
Source: kube-controller-manager `volume/persistentvolume/pv_controller_base.go`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from msgspec.structs import replace

from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from sampan.api.errors import AlreadyExists, ApiError, NotFound
from sampan.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from sampan.api.storage.v1 import StorageClass
from sampan.client.base import DeleteOptions
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.informer import Informer
from sampan.control.key import Key, key_of, revision_of
from sampan.control.volumes import (
    BIND_COMPLETED,
    IN_TREE_FINALIZER,
    PROVISIONED_BY,
    SELECTED_NODE,
    by_claim,
    claim_class,
    claim_key,
    has_ended,
    volume_class,
)
from sampan.kinds.plan import Create, EventRecord, Plan, Update
from sampan.kinds.plan import Delete as DeleteWrite
from sampan.storage.binder import bind, decide
from sampan.storage.binder.match import FreeVolumes, best, is_free, would_take
from sampan.storage.binder.recyclers import Recyclers
from sampan.storage.provision.decide import Delete, Provision, rescheduled
from sampan.storage.provision.hostpath import HostPath, PluginError, volume_name
from sampan.storage.provision.recycle import NAMESPACE, PREFIX, failed, recycler_key

DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
WOKEN_BY_A_VOLUME = 8  # claims that are tried at once when a volume gets free; the others wait for the next round
MOST_STEPS = 6  # of one binding: four writes, and what others undo meanwhile
_ALL = ""


def is_settled(claim: PersistentVolumeClaim) -> bool:
    """Nothing more is to be done about the claim unless something changes."""
    return claim.status.phase in ("Bound", "Lost") and BIND_COMPLETED in claim.metadata.annotations


def unsettled_claims(claim: Any) -> Iterable[Hashable]:
    """Index: claims that wait for something."""
    return () if is_settled(claim) else (_ALL,)


def waiting_by_class(claim: Any) -> Iterable[Hashable]:
    """Index: claims that wait for any volume, by class."""
    return () if is_settled(claim) or claim.spec.volumeName else (claim_class(claim),)


def by_volume(claim: Any) -> Iterable[Hashable]:
    """Index: claims by the volume that they name."""
    return (claim.spec.volumeName,) if claim.spec.volumeName else ()


def by_claim_ref(volume: Any) -> Iterable[Hashable]:
    """Index: volumes by the key of the claim that they are bound to or kept for."""
    key = claim_key(volume)
    return (key,) if key is not None else ()


def unsettled_volumes(volume: Any) -> Iterable[Hashable]:
    """Index: volumes that wait to be reclaimed, or for a binding that does not come about."""
    phase, ref = volume.status.phase, volume.spec.claimRef
    if phase == "Available":
        return (_ALL,) if ref is not None and ref.uid else ()
    return () if phase == "Bound" or (phase == "Released" and volume.spec.persistentVolumeReclaimPolicy == "Retain") else (_ALL,)


def default_classes(found: Any) -> Iterable[Hashable]:
    """Index: the storage classes for claims that name none."""
    return (_ALL,) if any(found.metadata.annotations.get(name) == "true" for name in DEFAULT_CLASS) else ()


class VolumeBinder(Controller):
    """Binds claims to volumes, and reclaims volumes. A key without a namespace is a volume's."""

    name = "persistentvolume-binder-controller"
    component = "persistentvolume-controller"

    def __init__(self, context: Context, *, resync_seconds: float = 15.0, dynamic: bool = True, host_path: HostPath | None = None) -> None:
        super().__init__(context, workers=1)
        self._resync_seconds, self._dynamic = resync_seconds, dynamic
        self._plugin = host_path or HostPath(enabled=False)
        self._claims, self._volumes = self.informers.of(PERSISTENT_VOLUME_CLAIMS), self.informers.of(PERSISTENT_VOLUMES)
        self._classes, self._pods, self._nodes = (self.informers.of(one) for one in (STORAGE_CLASSES, PODS, NODES))
        self._unsettled = self._claims.index(unsettled_claims), self._volumes.index(unsettled_volumes)
        self._waiting, self._by_volume = self._claims.index(waiting_by_class), self._claims.index(by_volume)
        self._kept, self._users = self._volumes.index(by_claim_ref), self._pods.index(by_claim)
        self._defaults = self._classes.index(default_classes)
        self._free = FreeVolumes()
        self._recyclers = Recyclers(self.client, self.writer.tell)
        self._written: dict[Informer[Any], int] = {}
        self.loop.wait_for(self._claims, self._volumes, self._classes, self._pods, self._nodes)
        self._claims.on_change(self._claim_changed)
        self._volumes.on_change(self._volume_changed)
        self._classes.on_change(self._class_changed)
        self._pods.on_change(self._pod_changed)

    # what is heard

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        obj = new or old
        assert obj is not None
        if new is not None:
            self.loop.enqueue(new)
        for name in {obj.spec.volumeName, *(key.name for key in self._kept.keys(key_of(obj)))} - {""}:
            self.loop.queue.add(Key("", name))

    def _volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        obj = new or old
        assert obj is not None
        self._free.put(obj.metadata.name, new)
        if new is not None:
            self.loop.enqueue(new)
            if is_free(new) and (old is None or not is_free(old)):
                self._offer(new)
        for claim in self._by_volume.each(obj.metadata.name):
            ref = new.spec.claimRef if new is not None else None
            if ref is None or ref.uid != claim.metadata.uid or not is_settled(claim):
                self.loop.enqueue(claim)

    def _offer(self, volume: PersistentVolume) -> None:
        """Claims that could take a volume that got free need not wait for the next round."""
        name, woken = volume_class(volume), 0
        if decide.is_delayed(self._classes.get(Key("", name))):
            return
        for claim in self._waiting.each(name):
            if would_take(claim, volume):
                self.loop.enqueue(claim)
                woken += 1
                if woken == WOKEN_BY_A_VOLUME:
                    return

    def _class_changed(self, _: StorageClass | None, new: StorageClass | None) -> None:
        if new is not None:
            names = {new.metadata.name, *default_classes(new)}  # the empty one: claims without a class
            for key in [key for name in names for key in self._waiting.keys(name)]:
                self.loop.queue.add(key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        meta = (new or old).metadata  # type: ignore[union-attr]
        if meta.namespace == NAMESPACE and meta.name.startswith(PREFIX):
            self.loop.queue.add(Key("", meta.name.removeprefix(PREFIX)))

    async def run(self) -> None:
        """Work until cancelled."""
        async with Tasks() as tasks:
            self._recyclers.tasks = tasks
            tasks.start(super().run(), self.name)
            tasks.start(self._resync(), f"{self.name} resync")
            await tasks.wait()

    async def _resync(self) -> None:
        while True:
            await self.clock.sleep(self._resync_seconds)
            for index in self._unsettled:
                for key in index.keys(_ALL):
                    self.loop.queue.add(key)

    # the work

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        for informer, revision in self._written.items():
            if informer.revision < revision:
                informer.when(revision, lambda: self.loop.queue.add(key))
                return DONE
        if key.namespace:
            claim = self._claims.get(key)
            if claim is not None:
                await self._act(key, decide.claim(self._view_claim(claim)))
        else:
            volume = self._volumes.get(key)
            if volume is None:
                self._recyclers.forget(key.name)
            else:
                await self._act(key, decide.volume(await self._view_volume(volume)))
        return DONE

    def _view_claim(self, claim: PersistentVolumeClaim) -> decide.ClaimView:
        found = self._classes.get(Key("", claim_class(claim))) if claim_class(claim) else None
        if claim.spec.volumeName:
            volume = self._volumes.get(Key("", claim.spec.volumeName))
        else:
            volume = best(claim, self._kept.get(key_of(claim)), self._free, delayed=decide.is_delayed(found))
        waiting = [pod.metadata.name for pod in self._users.each(key_of(claim)) if not pod.spec.nodeName and not has_ended(pod)]
        return decide.ClaimView(claim, volume, found, self._default_class(), waiting, self._dynamic)

    def _default_class(self) -> str:
        """The newest of the default classes; of equally old ones the first by name."""
        found = sorted(self._defaults.each(_ALL), key=lambda one: one.metadata.name)
        newest = max(found, key=lambda one: one.metadata.creationTimestamp or "", default=None)
        return newest.metadata.name if newest is not None else ""

    async def _view_volume(self, volume: PersistentVolume) -> decide.VolumeView:
        key = claim_key(volume)
        ref = volume.spec.claimRef
        claim = await self._claim_of(volume, key, ref.uid) if key is not None and ref is not None and ref.uid else None
        users = [f"{pod.metadata.namespace}/{pod.metadata.name}" for pod in self._users.each(key) if not has_ended(pod)] if key else []
        if key is not None and self._claims.get(key) is not None:
            users = []  # they use another claim of that name
        recycler = self._pods.get(recycler_key(volume.metadata.name))
        lost = volume.status.phase in ("Released", "Failed") and self._recyclers.await_pod(volume, recycler)
        return decide.VolumeView(volume, claim, users, recycler, lost)

    async def _claim_of(self, volume: PersistentVolume, key: Key, uid: str) -> PersistentVolumeClaim | None:
        """The claim that a volume is bound to. Before it is held to be gone the server is asked: it may be younger than the cache."""
        cached = self._claims.get(key)
        if cached is not None and cached.metadata.uid == uid:
            return cached
        if cached is None and volume.status.phase in ("Released", "Failed"):
            return None
        try:
            live = await self.client.get(PERSISTENT_VOLUME_CLAIMS, key.name, key.namespace)
        except NotFound:
            return None
        return live if live.metadata.uid == uid else None

    async def _act(self, key: Key, action: decide.Action) -> None:
        match action:
            case decide.Bind(volume, claim):
                await self._bind(key, volume, claim)
            case decide.Look(other):
                self.loop.queue.add(other)
            case Provision(claim, found):
                await self._provision(key, claim, found)
            case Delete(volume):
                if await self._is_current(key):
                    await self._delete(key, volume)
            case Plan():
                if not any(isinstance(write, Create) for write in action.writes) or await self._is_current(key):
                    await self._do(key, action)

    async def _is_current(self, key: Key) -> bool:
        """Before data is destroyed the server is asked whether the volume still is what the cache says; if not, its change comes."""
        cached = self._volumes.get(key)
        try:
            live = await self.client.get(PERSISTENT_VOLUMES, key.name)
        except NotFound:
            return False
        return cached is not None and live.metadata.resourceVersion == cached.metadata.resourceVersion

    async def _do(self, key: Key, plan: Plan) -> list[Any]:
        if any(isinstance(write, DeleteWrite) for write in plan.writes):
            self._recyclers.forget(key.name)  # nothing else is deleted by a plan
        outcome = await self.writer.apply(key, plan)
        self.writer.forget(key)  # `_written` knows, for all keys together
        for answer in outcome.answers:
            self._note(answer)
        outcome.raise_first()
        return outcome.answers

    def _note(self, answer: Any) -> None:
        informer: Informer[Any] = self._pods
        if isinstance(answer, PersistentVolumeClaim | PersistentVolume):
            informer = self._claims if isinstance(answer, PersistentVolumeClaim) else self._volumes
        self._written[informer] = max(self._written.get(informer, 0), revision_of(answer))

    async def _bind(self, key: Key, volume: PersistentVolume, claim: PersistentVolumeClaim) -> None:
        for _ in range(MOST_STEPS):
            write = bind.step(volume, claim)
            if write is None:
                return
            [answer] = await self._do(key, Plan((write,)))
            if isinstance(answer, PersistentVolume):
                volume = answer
            else:
                claim = answer
        raise Postponed(f"the server does not keep what binds {key} to {volume.metadata.name}")

    async def _provision(self, key: Key, claim: PersistentVolumeClaim, found: StorageClass) -> None:
        if self._volumes.get(Key("", volume_name(claim))) is not None:
            return
        node = claim.metadata.annotations.get(SELECTED_NODE)
        if node is not None and self._plugin.enabled and self._nodes.get(Key("", node)) is None:
            why = f'Failed to get target node: node "{node}" not found'
            self.writer.tell(EventRecord(claim, "Warning", "ProvisioningFailed", why))
            return
        try:
            volume = await self._plugin.make(claim, found)
        except PluginError as error:
            write = rescheduled(claim) if self._plugin.enabled else None
            told = EventRecord(claim, "Warning", "ProvisioningFailed", error.message)
            await self._do(key, Plan((write,) if write is not None else (), None, (told,)))
            return
        try:
            answer = await self.client.create(PERSISTENT_VOLUMES, volume)
        except AlreadyExists:
            return
        except ApiError as error:
            why = f"Error creating provisioned PV object for claim {key}: {error.message}. Deleting the volume."
            self.writer.tell(EventRecord(claim, "Warning", "ProvisioningFailed", why))
            await self._plugin.delete(volume)
            raise
        self._note(answer)
        by = volume.metadata.annotations[PROVISIONED_BY]
        self.writer.tell(EventRecord(claim, "Normal", "ProvisioningSucceeded",
                                     f"Successfully provisioned volume {volume.metadata.name} using {by}"))

    async def _delete(self, key: Key, volume: PersistentVolume) -> None:
        try:
            await self._plugin.delete(volume)
        except PluginError as error:
            await self._do(key, failed(volume, "VolumeFailedDelete", error.message))
            return
        meta = volume.metadata
        if IN_TREE_FINALIZER in meta.finalizers:
            left = [one for one in meta.finalizers if one != IN_TREE_FINALIZER]
            await self._do(key, Plan((Update(PERSISTENT_VOLUMES, replace(volume, metadata=replace(meta, finalizers=left))),)))
        try:
            await self.client.delete(PERSISTENT_VOLUMES, meta.name, "", DeleteOptions(uid=meta.uid))
        except NotFound:
            return
