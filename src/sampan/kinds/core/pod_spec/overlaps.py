"""Warnings about files of a volume that hide one another: two of one path, or one where another has a folder.

Source: kubernetes `pkg/api/pod/warnings.go` (`warningsForOverlappingVirtualPaths`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice

from sampan.api.core.v1 import DownwardAPIVolumeFile, KeyToPath, PodCertificateProjection, PodSpec, VolumeProjection
from sampan.api.goprint import quote

File = tuple[str, str]  # its path and where it is from; nothing: it is the volume's only source


MOST_WARNINGS = 100
"""More than the headers of an answer ever show."""
MOST_PATH = 4096
"""Longer ones can't be on any file system, and hide nothing."""


def overlap_warnings(spec: PodSpec) -> Iterator[str]:
    """For all volumes of a pod."""
    return islice(_all(spec), MOST_WARNINGS)


def _all(spec: PodSpec) -> Iterator[str]:
    for volume in spec.volumes:
        config_map, secret, downward, projected = volume.configMap, volume.secret, volume.downwardAPI, volume.projected
        if config_map is not None and config_map.items:
            yield from _overlaps(f"volume {quote(volume.name)} (ConfigMap {quote(config_map.name)})", _items(config_map.items, ""))
        if secret is not None and secret.items:
            yield from _overlaps(f"volume {quote(volume.name)} (Secret {quote(secret.secretName)})", _items(secret.items, ""))
        if downward is not None and downward.items:
            yield from _overlaps(f"volume {quote(volume.name)} (DownwardAPI)", _items(downward.items, ""))
        if projected is not None:
            yield from _projected(f"volume {quote(volume.name)} (Projected)", projected.sources or ())


def _projected(told: str, sources: Sequence[VolumeProjection]) -> Iterator[str]:
    listed = [_files(source) for source in sources]
    if all(listed) and _are_apart([path for files in listed for path, _ in files]):
        return
    known = _Known()
    for source, files in zip(sources, listed, strict=True):
        if source == VolumeProjection():
            yield f"{told} has no sources provided"
        yield from _overlaps(told, files, known)


def _are_apart(paths: Sequence[str]) -> bool:
    """Whether no two can hide one another, as is seen at a glance: as a rule they are all different and in no folder."""
    return len({*paths}) == len(paths) and "/" not in "".join(paths)


def _files(source: VolumeProjection) -> list[File]:
    """The files of the first part that lists some."""
    if source.configMap is not None and source.configMap.items:
        return _items(source.configMap.items, f"ConfigMap {quote(source.configMap.name)}")
    if source.secret is not None and source.secret.items:
        return _items(source.secret.items, f"Secret {quote(source.secret.name)}")
    if source.downwardAPI is not None and source.downwardAPI.items:
        return _items(source.downwardAPI.items, "DownwardAPI")
    if source.serviceAccountToken is not None:
        return [(_trimmed(source.serviceAccountToken.path), "ServiceAccountToken")]
    bundle = source.clusterTrustBundle
    if bundle is not None:
        name = bundle.name if bundle.name is not None else bundle.signerName or ""
        return [(_trimmed(bundle.path), f"ClusterTrustBundle {quote(name)}")]
    return _certificate(source.podCertificate) if source.podCertificate is not None else []


def _certificate(source: PodCertificateProjection) -> list[File]:
    named = ((source.certificateChainPath, "chain"), (source.keyPath, "key"), (source.credentialBundlePath, "credential bundle"))
    return [(_trimmed(path), f"PodCertificate {name}") for path, name in named if path]


def _items(items: Sequence[KeyToPath | DownwardAPIVolumeFile], source: str) -> list[File]:
    return [(_trimmed(item.path), source) for item in items]


def _trimmed(path: str) -> str:
    return path.rstrip("/")


class _Known:
    """Files by their paths and by the folders above them: no file is compared with all others."""

    def __init__(self) -> None:
        self._files: list[File] = []
        self._at: dict[str, list[int]] = {}
        self._below: dict[str, list[int]] = {}

    def add(self, file: File) -> None:
        path, number = file[0], len(self._files)
        self._files.append(file)
        if path and len(path) <= MOST_PATH:
            self._at.setdefault(path, []).append(number)
            for folder in _folders(path):
                self._below.setdefault(folder, []).append(number)

    def colliding(self, path: str) -> Iterator[File]:
        """Those at this path, above it or below it, in the order in which they were added."""
        if not path or len(path) > MOST_PATH:
            return
        places = [self._at.get(path, ()), self._below.get(path, ()), *(self._at.get(folder, ()) for folder in _folders(path))]
        for number in merge(*places):
            yield self._files[number]


def _folders(path: str) -> Iterator[str]:
    return (path[:at] for at, char in enumerate(path) if char == "/")


def _overlaps(told: str, files: Sequence[File], known: _Known | None = None) -> Iterator[str]:
    """Each file against those that are `known` and those of its own list that come earlier; known afterwards."""
    known = known or _Known()
    for file in files:
        for other in known.colliding(file[0]):
            yield f"{told}: overlapping paths: {_shown(file)} with {_shown(other)}"
        known.add(file)


def _shown(file: File) -> str:
    path, source = file
    return f"{quote(path)} ({source})" if source else quote(path)
