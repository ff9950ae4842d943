"""What is attached and detached, as transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.core.v1 import Node, PersistentVolume, Pod
from sampan.api.storage.v1 import CSIDriver, VolumeAttachment
from sampan.storage.attach.decide import MANAGED, OUT_OF_SERVICE, Attached, Decision, Memory, NodeView, Wanted, decide
from sampan.storage.attach.volumes import attachment_name, is_attachable, is_ours, is_shared, unique_name
from sampan.testing.datadriven import Block, run, transcripts
from storage.worlds import told, volume, words


class Play:
    """`given` sets the world; `look NODE at=SECONDS` says what is done about a node, remembering what it did before."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.volumes: dict[str, PersistentVolume] = {}
        self.pods: list[tuple[Pod, str]] = []
        self.attachments: list[VolumeAttachment] = []
        self.memory: dict[str, Memory] = {}

    def handle(self, block: Block) -> str:
        return getattr(self, block.name)(block)  # type: ignore[no-any-return]

    def given(self, block: Block) -> str:
        """Lines `node …`, `volume …`, `pod NAME volume=V node=N`, `attachment VOLUME node=N attached=yes error=… leaving`."""
        self.__init__()  # type: ignore[misc]
        return self.now(block)

    def now(self, block: Block) -> str:
        """The same, but what was done before is remembered."""
        self.nodes, self.volumes, self.pods, self.attachments = {}, {}, [], []
        for line in block.input.splitlines():
            kind, _, text = line.partition(" ")
            getattr(self, f"_{kind}")(text)
        return "ok"

    def _node(self, text: str) -> None:
        name, given = words(text)
        annotations = {} if "unmanaged" in given else {MANAGED: "true"}
        taints = [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}] if "out-of-service" in given else []
        status: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "False" if "broken" in given else "True"}]}
        status["volumesInUse"] = [f"kubernetes.io/csi/d^{one}" for one in given.get("in-use", "").split(",") if one]
        attached = [f"kubernetes.io/csi/d^{one}" for one in given.get("attached", "").split(",") if one]
        attached += [one for one in given.get("foreign", "").split(",") if one]
        status["volumesAttached"] = [{"name": one, "devicePath": ""} for one in attached]
        self.nodes[name] = codec.convert(Node, {"metadata": {"name": name, "annotations": annotations}, "spec": {"taints": taints}, "status": status})

    def _volume(self, text: str) -> None:
        self.volumes[text.split(maxsplit=1)[0]] = volume(f"{text} source=csi")

    def _pod(self, text: str) -> None:
        name, given = words(text)
        self.pods.append((codec.convert(Pod, {"metadata": {"name": name}, "spec": {"nodeName": given["node"]}}), given["volume"]))

    def _attachment(self, text: str) -> None:
        name, given = words(text)
        meta: dict[str, Any] = {"name": attachment_name(self.volumes[name], given["node"])}
        if "leaving" in given:
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        status: dict[str, Any] = {"attached": given.get("attached") == "yes"}
        if "error" in given:
            status["attachError"] = {"message": given["error"]}
        spec = {"attacher": "d", "nodeName": given["node"], "source": {"persistentVolumeName": name}}
        self.attachments.append(codec.convert(VolumeAttachment, {"metadata": meta, "spec": spec, "status": status}))

    def look(self, block: Block) -> str:
        name = block.words[0]
        wanted: dict[str, Wanted] = {}
        for volume_name in {one for pod, one in self.pods if pod.spec.nodeName == name}:
            found = self.volumes[volume_name]
            pods = [pod for pod, one in self.pods if pod.spec.nodeName == name and one == volume_name]
            elsewhere = [one for one in self.attachments if one.spec.source.persistentVolumeName == volume_name and one.spec.nodeName != name]
            others = {one.spec.nodeName for one in elsewhere}
            holders = [pod.metadata.name for pod, one in self.pods if one == volume_name and pod.spec.nodeName in others]
            wanted[attachment_name(found, name)] = Wanted(found, pods, elsewhere, holders)
        has = {one.metadata.name: Attached(one, unique_name(self.volumes[one.spec.source.persistentVolumeName or ""]))
               for one in self.attachments if one.spec.nodeName == name}
        node = self.nodes.get(name)
        in_use = node.status.volumesInUse if node is not None else [f"kubernetes.io/csi/d^{one}" for one in block.get("in-use").split(",") if one]
        view = NodeView(name, node, wanted, has, in_use, force_after_timeout=block.get("force") != "no")
        decision = decide(view, self.memory.get(name, Memory()), float(block.get("at", "0")))
        self.memory[name] = decision.memory
        return self.shown(decision)

    def shown(self, decision: Decision) -> str:
        lines = []
        if decision.status is not None:
            names = [one["name"].rpartition("^")[2] for one in decision.status.patch["status"]["volumesAttached"] or ()]
            lines.append(f"status attached={','.join(names)}")
        lines += [f"detach {one.unique.rpartition('^')[2]}{' if not mounted' if one.verify else ''}" for one in decision.detach]
        lines += [f"attach {one.object.spec.source.persistentVolumeName} to {one.object.spec.nodeName}" for one in decision.attach]
        lines += [told(event).replace("event", "event for", 1) for event in decision.events]
        if decision.again_seconds is not None:
            lines.append(f"again in {decision.again_seconds:g} s")
        return "\n".join(lines) or "nothing"


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)


def test_attachments_are_named_as_upstream_names_them() -> None:
    # sha256 of handle, driver and node, one after another
    name = attachment_name(volume("v source=csi driver=disk.example.com handle=vol-1"), "node-1")
    assert name == "csi-19c42f43d69fa1f381555c6802be2757a07267e9705a867fd59297bc87dd0694"


def test_a_driver_may_say_that_its_volumes_need_no_attachment() -> None:
    def driver(required: object) -> CSIDriver:
        return codec.convert(CSIDriver, {"metadata": {"name": "d"}, "spec": {"attachRequired": required}})

    assert is_attachable(volume("v source=csi"), None)
    assert is_attachable(volume("v source=csi"), driver(True))
    assert not is_attachable(volume("v source=csi"), driver(False))
    assert not is_attachable(volume("v source=nfs"), None)


def test_other_peoples_attachments_are_not_ours() -> None:
    def attachment(name: str, source: dict[str, object]) -> VolumeAttachment:
        return codec.convert(VolumeAttachment, {"metadata": {"name": name}, "spec": {"attacher": "d", "nodeName": "n", "source": source}})

    known = volume("v source=csi")
    assert is_ours(attachment(attachment_name(known, "n"), {"persistentVolumeName": "v"}), known)
    assert not is_ours(attachment("by-hand", {"persistentVolumeName": "v"}), known)
    assert not is_ours(attachment("csi-" + "0" * 64, {"inlineVolumeSpec": {}}), None)
    assert is_ours(attachment("csi-" + "0" * 64, {"persistentVolumeName": "gone"}), None)


def test_sharing_is_by_access_mode() -> None:
    assert is_shared(volume("v source=csi modes=RWO,RWX"))
    assert not is_shared(volume("v source=csi modes=RWO"))
    assert not is_shared(volume("v source=csi modes=RWOP"))
