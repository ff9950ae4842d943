"""The joined list of controllers."""

from __future__ import annotations

from sampan.cluster.controllers import ALL
from sampan.controllers.all import ALIASES
from sampan.controllers.manager import select

VOLUMES_AND_DEVICES = {
    "persistentvolume-binder-controller", "persistentvolume-attach-detach-controller", "persistentvolume-expander-controller",
    "ephemeral-volume-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller",
    "volumeattributesclass-protection-controller", "resourceclaim-controller", "device-taint-eviction-controller",
}


def test_names_are_there_once() -> None:
    names = [entry.name for entry in ALL]
    assert len(names) == len(set(names))


def test_volume_and_device_controllers_are_on_by_default() -> None:
    assert {entry.name for entry in select(ALL, ["*"])} >= VOLUMES_AND_DEVICES


def test_names_of_old_select_volume_controllers() -> None:
    old = ("persistentvolume-binder", "attachdetach", "persistentvolume-expander", "ephemeral-volume", "resource-claim-controller")
    assert {entry.name for entry in select(ALL, old)} == {ALIASES[name] for name in old}
