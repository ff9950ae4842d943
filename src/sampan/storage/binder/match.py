"""The volume that fits a claim best: of the fewest access modes that will do the smallest that is large enough.

Owns an index of free volumes in that order, so that a search costs the logarithm of how many there are. Pure.
Source: kube-controller-manager `volume/persistentvolume/index.go`, component-helpers `storage/volume/pv_helpers.go`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.api.selectors import SelectorError, of_label_selector
from sampan.control.volumes import claim_class, is_kept_for, storage, volume_class

Modes = tuple[str, ...]  # sorted, each once


class _Place(NamedTuple):
    home: tuple[str, str]  # class, volume mode
    modes: Modes
    entry: tuple[int, str]  # bytes, name


def mode_of(spec: object) -> str:
    """Filesystem or Block."""
    return getattr(spec, "volumeMode", None) or "Filesystem"


def modes_of(volume: PersistentVolume) -> Modes:
    """Its access modes, in one order."""
    return tuple(sorted(set(volume.spec.accessModes)))


def is_free(volume: PersistentVolume) -> bool:
    """Whether any claim may have it."""
    return volume.spec.claimRef is None and volume.status.phase == "Available" and volume.metadata.deletionTimestamp is None


class FreeVolumes:
    """Free volumes by class and mode, then access modes, then size."""

    def __init__(self) -> None:
        self._volumes: dict[str, PersistentVolume] = {}
        self._places: dict[str, _Place] = {}
        self._homes: dict[tuple[str, str], dict[Modes, list[tuple[int, str]]]] = {}

    def put(self, name: str, volume: PersistentVolume | None) -> None:
        """The volume of that name is now like this (None: gone)."""
        old = self._places.pop(name, None)
        if old is not None:
            entries = self._homes[old.home][old.modes]
            del entries[bisect_left(entries, old.entry)]
            if not entries:
                del self._homes[old.home][old.modes]
        self._volumes.pop(name, None)
        if volume is None or not is_free(volume):
            return
        home = (volume_class(volume), mode_of(volume.spec))
        place = self._places[name] = _Place(home, modes_of(volume), (storage(volume.spec.capacity), name))
        self._volumes[name] = volume
        insort(self._homes.setdefault(home, {}).setdefault(place.modes, []), place.entry)

    def groups(self, home: tuple[str, str]) -> list[Modes]:
        """The sets of access modes that free volumes of a class and mode have."""
        return list(self._homes.get(home, ()))

    def from_size(self, home: tuple[str, str], modes: Modes, least: int) -> Iterator[PersistentVolume]:
        """The free ones with exactly these access modes and at least so many bytes, the smallest first."""
        entries = self._homes.get(home, {}).get(modes, [])
        for at in range(bisect_left(entries, (least, "")), len(entries)):
            yield self._volumes[entries[at][1]]


def best(claim: PersistentVolumeClaim, kept: Sequence[PersistentVolume], free: FreeVolumes, *, delayed: bool) -> PersistentVolume | None:
    """The volume for a claim that names none.

    Args:
        claim: Not bound yet.
        kept: Volumes whose claim has its name; those of a namesake that is gone do not count.
        free: Those that anybody may have.
        delayed: The scheduler chooses; only what is kept for the claim counts.
    """
    wanted, least, mode = set(claim.spec.accessModes), storage(claim.spec.resources.requests), mode_of(claim.spec)
    home = (claim_class(claim), mode)
    usable = sorted((one for one in kept if is_kept_for(one, claim) and mode_of(one.spec) == mode
                     and one.metadata.deletionTimestamp is None and storage(one.spec.capacity) >= least and _same_attributes(claim, one)),
                    key=lambda one: one.metadata.name)
    groups = {modes_of(one) for one in usable} | (set() if delayed else set(free.groups(home)))
    for modes in sorted((one for one in groups if wanted <= set(one)), key=lambda one: (len(one), one)):
        for volume in usable:
            if modes_of(volume) == modes:
                return volume
        if not delayed:
            for volume in free.from_size(home, modes, least):
                if _suits(claim, volume):
                    return volume
    return None


def _same_attributes(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    return (volume.spec.volumeAttributesClassName or "") == (claim.spec.volumeAttributesClassName or "")


def _suits(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    if not _same_attributes(claim, volume):
        return False
    if claim.spec.selector is None:
        return True
    try:
        return bool(of_label_selector(claim.spec.selector).matches(volume.metadata.labels))
    except SelectorError:
        return False


def would_take(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """Whether a claim that names no volume could be bound to this free one."""
    return not claim.spec.volumeName and not mismatch(claim, volume) and _suits(claim, volume)


def mismatch(claim: PersistentVolumeClaim, volume: PersistentVolume) -> str:
    """Why the volume that a claim names can't be its; empty: it can."""
    if volume.metadata.deletionTimestamp is not None:
        return f'the volume is marked for deletion "{volume.metadata.name}"'
    if storage(volume.spec.capacity) < storage(claim.spec.resources.requests):
        return "requested PV is too small"
    if volume_class(volume) != claim_class(claim):
        return "storageClassName does not match"
    if not _same_attributes(claim, volume):
        return "volumeAttributesClassName does not match"
    if mode_of(volume.spec) != mode_of(claim.spec):
        return "incompatible volumeMode"
    if not set(claim.spec.accessModes) <= set(volume.spec.accessModes):
        return "incompatible accessMode"
    return ""
