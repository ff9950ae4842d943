"""Who enlarges a claim's volume, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.controllers.expand.decide import decide, grew, is_theirs
from sampan.controllers.expand.enlarge import PRE_RESIZE_CAPACITY, RESIZER
from sampan.testing.datadriven import Block, run, transcripts

SOURCES = {"csi": {"driver": "d", "volumeHandle": "h"}, "awsElasticBlockStore": {"volumeID": "v"}, "flexVolume": {"driver": "x"}, "nfs": {"server": "s", "path": "/"}}


def a_claim(wants: str = "1Gi", has: str = "1Gi", phase: str = "Bound", resizer: str = "") -> PersistentVolumeClaim:
    return codec.convert(PersistentVolumeClaim, {
        "metadata": {"name": "data", "namespace": "ns", "uid": "u", "annotations": {RESIZER: resizer} if resizer else {}},
        "spec": {"resources": {"requests": {"storage": wants}}, "volumeName": "v"}, "status": {"phase": phase, "capacity": {"storage": has}}})


def play(block: Block) -> str:
    """`claim wants=2Gi has=1Gi source=csi [before=1Gi]`."""
    source = block.get("source", "csi")
    annotations = {PRE_RESIZE_CAPACITY: block.get("before")} if block.get("before") else {}
    volume = codec.convert(PersistentVolume, {"metadata": {"name": "v", "annotations": annotations}, "spec": {source: SOURCES[source]}})
    claim = a_claim(block.get("wants", "2Gi"), block.get("has", "1Gi"), block.get("phase", "Bound"), block.get("resizer"))
    return render(decide(claim, volume))


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)


def test_a_claim_grows_by_asking_for_more_or_having_more() -> None:
    assert grew(a_claim("1Gi"), a_claim("2Gi"))
    assert grew(a_claim("2Gi", "1Gi"), a_claim("2Gi", "2Gi"))
    assert not grew(a_claim("2Gi"), a_claim("2Gi"))
    assert not grew(a_claim("2Gi"), a_claim("1Gi"))


def test_a_volume_is_theirs_by_uid() -> None:
    def volume(uid: str) -> PersistentVolume:
        return codec.convert(PersistentVolume, {"spec": {"claimRef": {"namespace": "ns", "name": "data", "uid": uid}}})

    assert is_theirs(a_claim(), volume("u"))
    assert not is_theirs(a_claim(), volume("before"))
    assert not is_theirs(a_claim(), PersistentVolume())
