"""The claims of ephemeral volumes, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api import codec
from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.controllers.ephemeralvolume.decide import decide
from sampan.testing.datadriven import Block, run, transcripts


def play(block: Block) -> str:
    """`pod volumes=a,b has=CLAIM[:OWNER],…`: a pod `web` with ephemeral volumes, and claims that are there."""
    template = {"metadata": {"labels": {"kind": "scratch"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    volumes = [{"name": one, "ephemeral": {"volumeClaimTemplate": template}} for one in block.get("volumes").split(",") if one]
    pod = codec.convert(Pod, {"metadata": {"name": "web", "namespace": "ns", "uid": "web-uid"}, "spec": {"volumes": [*volumes, {"name": "x", "emptyDir": {}}]}})
    there = {}
    for text in filter(None, block.get("has").split(",")):
        name, _, owner = text.partition(":")
        refs = [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": owner, "controller": True}] if owner else []
        there[name] = codec.convert(PersistentVolumeClaim, {"metadata": {"name": name, "namespace": "ns", "ownerReferences": refs}})
    plan = decide(pod, there.get)
    made = [write.object for write in plan.writes if hasattr(write, "object")]
    lines = [f"{one.metadata.name}: labels {one.metadata.labels}, owned by {one.metadata.ownerReferences[0].uid}, {one.spec.accessModes}" for one in made]
    return "\n".join([render(plan), *lines])


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)
