"""Emptying volumes with pods; directories as volumes. What claims are told is in the binder's transcripts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.kinds.plan import Create, Plan
from sampan.storage.provision.decide import reclaim, rescheduled
from sampan.storage.provision.hostpath import HostPath, PluginError
from sampan.storage.provision.recycle import recycle, recycler
from sampan.testing.datadriven import Block, run, transcripts
from storage.worlds import claim, render, storage_class, volume


def play(block: Block) -> str:
    """`recycle pod=PHASE[:MESSAGE]|lost users=a,b` of the volume in the input."""
    phase, _, message = block.get("pod").partition(":")
    pod = codec.convert(Pod, {"metadata": {"name": "recycler-for-v", "namespace": "default", "uid": "u"}, "status": {"phase": phase, "message": message}})
    lost = phase == "lost"
    plan = recycle(volume(block.input), [one for one in block.get("users").split(",") if one], pod if phase and not lost else None, lost=lost)
    made = [write.object for write in plan.writes if isinstance(write, Create)]
    return render(plan) + "".join(f"\n{pod.spec.activeDeadlineSeconds} s, {'nfs' if pod.spec.volumes[0].nfs else 'hostPath'}" for pod in made)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)


def test_the_time_to_empty_a_volume_grows_with_its_size() -> None:
    assert recycler(volume("v size=1Gi"), "hostPath").spec.activeDeadlineSeconds == 60
    assert recycler(volume("v size=10Gi"), "hostPath").spec.activeDeadlineSeconds == 300
    assert recycler(volume("v size=10Gi source=nfs"), "nfs").spec.activeDeadlineSeconds == 300
    assert recycler(volume("v size=20Gi source=nfs"), "nfs").spec.activeDeadlineSeconds == 600


def test_a_claim_whose_node_did_not_work_out_is_given_back_to_the_scheduler() -> None:
    write = rescheduled(claim("a node=n1 class=c"))
    assert write is not None
    assert write.object.metadata.annotations == {}
    assert rescheduled(claim("a class=c")) is None


def test_retained_volumes_are_left_alone() -> None:
    assert reclaim(volume("v policy=Retain phase=Released"), (), None) == Plan()


def test_directories_are_made_only_when_it_is_switched_on(tmp_path: Path) -> None:
    wanted, found = claim("a class=h size=2Gi"), storage_class("h provisioner=kubernetes.io/host-path")
    with pytest.raises(PluginError, match=r'provisioning in volume plugin .* is disabled'):
        asyncio.run(HostPath(enabled=False, base=str(tmp_path)).make(wanted, found))
    # twice: after a crash the same directory is found again
    plugin = HostPath(enabled=True, base=str(tmp_path / "deep"))
    made = [asyncio.run(plugin.make(wanted, found)) for _ in range(2)]
    assert {one.metadata.name for one in made} == {"pvc-a-uid"}
    assert made[0].spec.capacity == {"storage": "2Gi"}
    assert (tmp_path / "deep" / "a-uid").is_dir()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    plugin = HostPath(enabled=True, base=str(tmp_path / "file"))
    with pytest.raises(PluginError, match='Failed to provision volume with StorageClass "h": mkdir'):
        asyncio.run(plugin.make(claim("a class=h"), storage_class("h provisioner=kubernetes.io/host-path")))
    with pytest.raises(PluginError, match="does not support block volume provisioning"):
        asyncio.run(plugin.make(claim("a class=h mode=Block"), storage_class("h provisioner=kubernetes.io/host-path")))


@pytest.mark.parametrize("path", ["/srv/x", "/tmp/", "/x/tmp/y", "/tmp/../etc"])
def test_paths_outside_are_refused(path: str) -> None:
    with pytest.raises(PluginError, match=r"only supports /tmp/\.\+"):
        asyncio.run(HostPath(enabled=True).delete(volume(f"v path={path}")))
