"""What is to be attached to a node, and detached from it. Pure.

Source: kube-controller-manager `volume/attachdetach/reconciler/reconciler.go`, `pkg/volume/csi/csi_attacher.go`,
`pkg/volume/util/operationexecutor` (events); KEP-2268 (out-of-service).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sampan.aio.backoff import Backoff
from sampan.api.core.v1 import AttachedVolume, Node, PersistentVolume, Pod
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import NODES, VOLUME_ATTACHMENTS
from sampan.api.storage.v1 import VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec
from sampan.kinds.meta import is_true
from sampan.kinds.plan import Create, EventRecord, Patch
from sampan.storage.attach.volumes import PREFIX, is_shared, unique_name

MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
UNMOUNT_SECONDS = 360.0  # after that a node that is not ready is not waited for any longer
ATTACH_SECONDS = 120.0  # how long one attempt waits for the driver's attacher
BACKOFF = Backoff(first_seconds=0.5, most_seconds=122.0)


@dataclass(frozen=True)
class Wanted:
    """A volume that pods on the node need. `elsewhere`: its attachments to other nodes; `holders`: names of the pods there."""

    volume: PersistentVolume
    pods: Sequence[Pod]
    elsewhere: Sequence[VolumeAttachment] = ()
    holders: Sequence[str] = ()


@dataclass(frozen=True)
class Attached:
    """An attachment of this controller on the node, and the name that its volume has in the node's status."""

    attachment: VolumeAttachment
    unique: str


@dataclass(frozen=True)
class NodeView:
    """A node with what it needs and has, by the name of the attachment. `in_use`: what it said last to have mounted."""

    name: str
    node: Node | None
    wanted: Mapping[str, Wanted]
    has: Mapping[str, Attached]
    in_use: Sequence[str] = ()
    force_after_timeout: bool = True


@dataclass(frozen=True)
class Attempt:
    """An attachment under way: since when it is waited for, how often it failed, when the next try is."""

    since: float
    failures: int = 0
    again: float = 0.0


@dataclass(frozen=True)
class Memory:
    """What is remembered of a node between looks; times are seconds of the steady clock."""

    unwanted: Mapping[str, float] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    """Attachments that another node's stand in the way of, which the pods have been told."""
    detached: frozenset[str] = frozenset()
    """Attachments that were deleted here and are on their way out."""


@dataclass(frozen=True)
class Detach:
    """Delete this attachment; with `verify` only if the node, asked once more, has not mounted the volume."""

    attachment: VolumeAttachment
    unique: str
    verify: bool


@dataclass
class Decision:
    """In this order: the node's status, detachments, attachments, events."""

    status: Patch | None = None
    detach: list[Detach] = field(default_factory=list)
    attach: list[Create] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)
    again_seconds: float | None = None
    memory: Memory = Memory()

    def stays(self, one: Detach) -> None:
        """It was not detached after all."""
        self.memory = replace(self.memory, detached=self.memory.detached - {one.attachment.metadata.name})

    def look_in(self, seconds: float) -> None:
        """Look again then, or sooner."""
        self.again_seconds = seconds if self.again_seconds is None else min(seconds, self.again_seconds)


def decide(view: NodeView, memory: Memory, now: float) -> Decision:
    """What is to be done about a node's volumes at `now`."""
    out = Decision()
    if view.node is not None and MANAGED not in view.node.metadata.annotations:
        return out  # its own agent attaches
    unwanted = _unwanted(view, memory, now, out)
    leaving = {one.attachment.metadata.name for one in out.detach}
    detached = leaving | (memory.detached & view.has.keys())
    reported = set()
    attempts: dict[str, Attempt] = {}
    told: set[str] = set()
    for name, wanted in sorted(view.wanted.items(), key=lambda item: item[1].volume.metadata.name):
        has = view.has.get(name)
        if has is None and view.node is None:
            continue
        if has is None:
            _attach(view, name, wanted, memory, out, told)
            if out.attach and out.attach[-1].object.metadata.name == name:
                attempts[name] = Attempt(now)
                out.look_in(ATTACH_SECONDS)
        elif not has.attachment.status.attached and name not in detached:
            attempts[name] = _waiting(wanted, has, memory.attempts.get(name, Attempt(now)), now, out)
    for name, has in view.has.items():
        meta = has.attachment.metadata
        if has.attachment.status.attached and meta.deletionTimestamp is None and name not in leaving and has.unique:
            reported.add(has.unique)
    _report(view, reported, out)
    out.memory = Memory(unwanted, attempts, frozenset(told), frozenset(detached))
    return out


def _unwanted(view: NodeView, memory: Memory, now: float, out: Decision) -> dict[str, float]:
    """Detach what no pod needs and the node has unmounted, or is not trusted to unmount any more."""
    healthy = view.node is not None and is_true(view.node.status.conditions, "Ready")
    out_of_service = view.node is not None and any(taint.key == OUT_OF_SERVICE for taint in view.node.spec.taints)
    since: dict[str, float] = {}
    for name, has in view.has.items():
        if name in view.wanted or has.attachment.metadata.deletionTimestamp is not None:
            continue
        since[name] = memory.unwanted.get(name, now)
        left = since[name] + UNMOUNT_SECONDS - now
        expired = left <= 0 and view.force_after_timeout
        if has.unique in view.in_use and not (expired and not healthy) and not out_of_service:
            if left > 0:
                out.look_in(left)
            continue
        out.detach.append(Detach(has.attachment, has.unique, verify=not (expired or out_of_service)))
    return since


def _attach(view: NodeView, name: str, wanted: Wanted, memory: Memory, out: Decision, told: set[str]) -> None:
    if not is_shared(wanted.volume) and wanted.elsewhere:
        staying = all(one.metadata.deletionTimestamp is None for one in wanted.elsewhere)
        if staying and any(one.status.attached for one in wanted.elsewhere):
            told.add(name)
            if name not in memory.told:
                out.events += [_exclusive(wanted, pod) for pod in wanted.pods]
        return  # that it is attached there, or deleted, has this node looked at again
    volume = wanted.volume
    assert volume.spec.csi is not None
    spec = VolumeAttachmentSpec(attacher=volume.spec.csi.driver, nodeName=view.name,
                                source=VolumeAttachmentSource(persistentVolumeName=volume.metadata.name))
    out.attach.append(Create(VOLUME_ATTACHMENTS, VolumeAttachment(
        apiVersion="storage.k8s.io/v1", kind="VolumeAttachment", metadata=ObjectMeta(name=name), spec=spec)))


def _exclusive(wanted: Wanted, pod: Pod) -> EventRecord:
    why = f"Volume is already used by pod(s) {', '.join(wanted.holders)}" if wanted.holders else \
        "Volume is already exclusively attached to one node and can't be attached to another"
    return EventRecord(pod, "Warning", "FailedAttachVolume", f'Multi-Attach error for volume "{wanted.volume.metadata.name}" {why}')


def _waiting(wanted: Wanted, has: Attached, attempt: Attempt, now: float, out: Decision) -> Attempt:
    """The driver's attacher has not attached it yet: it failed, takes too long, or goes on."""
    if now < attempt.again:
        out.look_in(attempt.again - now)
        return attempt
    error, going = has.attachment.status.attachError, has.attachment.metadata.deletionTimestamp is not None
    csi = wanted.volume.spec.csi
    assert csi is not None
    if going:
        why = "volume attachment is being deleted"
    elif error is not None:
        why = error.message
    elif now - attempt.since >= ATTACH_SECONDS:
        why = f"timed out waiting for external-attacher of {csi.driver} CSI driver to attach volume {csi.volumeHandle}"
    else:
        out.look_in(attempt.since + ATTACH_SECONDS - now)
        return attempt
    text = f'AttachVolume.Attach failed for volume "{wanted.volume.metadata.name}" : {why}'
    out.events += [EventRecord(pod, "Warning", "FailedAttachVolume", text) for pod in wanted.pods]
    delay = BACKOFF.delay_seconds(attempt.failures + 1)
    out.look_in(delay)
    return Attempt(now + delay, attempt.failures + 1, now + delay)


def _report(view: NodeView, reported: set[str], out: Decision) -> None:
    """The node may mount what its status says is attached; what is new there is told to its pods."""
    if view.node is None:
        return
    before = view.node.status.volumesAttached
    foreign = [one for one in before if not one.name.startswith(PREFIX)]
    after = foreign + [AttachedVolume(name=name, devicePath="") for name in sorted(reported)]
    known = {one.name for one in before}
    if {one.name for one in after} != known:
        body = [{"name": one.name, "devicePath": one.devicePath} for one in after] or None
        out.status = Patch(NODES, "", view.name, {"status": {"volumesAttached": body}}, "status")
    for wanted in view.wanted.values():
        if unique_name(wanted.volume) in reported - known:
            text = f'AttachVolume.Attach succeeded for volume "{wanted.volume.metadata.name}" '
            out.events += [EventRecord(pod, "Normal", "SuccessfulAttachVolume", text) for pod in wanted.pods]
