"""Warnings about files of a volume that hide one another: two of one path, or one where another has a folder.

Source: kubernetes `pkg/api/pod/warnings.go` (`warningsForOverlappingVirtualPaths`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sampan.api.core.v1 import DownwardAPIVolumeFile, KeyToPath, PodCertificateProjection, PodSpec, VolumeProjection
from sampan.api.goprint import quote

File = tuple[str, str]  # its path and where it is from; nothing: it is the volume's only source


def overlap_warnings(spec: PodSpec) -> Iterator[str]:
    """For all volumes of a pod."""
    for volume in spec.volumes:
        told = f"volume {quote(volume.name)}"
        if volume.configMap is not None:
            yield from _overlaps(f"{told} (ConfigMap {quote(volume.configMap.name)})", _items(volume.configMap.items, ""))
        if volume.secret is not None:
            yield from _overlaps(f"{told} (Secret {quote(volume.secret.secretName)})", _items(volume.secret.items, ""))
        if volume.downwardAPI is not None:
            yield from _overlaps(f"{told} (DownwardAPI)", _items(volume.downwardAPI.items, ""))
        if volume.projected is not None:
            yield from _projected(f"{told} (Projected)", volume.projected.sources or ())


def _projected(told: str, sources: Sequence[VolumeProjection]) -> Iterator[str]:
    files: list[File] = []
    for source in sources:
        if source == VolumeProjection():
            yield f"{told} has no sources provided"
        mine = _files(source)
        yield from _overlaps(told, mine, files)
        files += mine


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


def _overlaps(told: str, files: Sequence[File], before: Sequence[File] = ()) -> Iterator[str]:
    """Each file against `before` and those of its own list that come earlier."""
    known = list(before)
    for file in files:
        for other in known:
            if file[0] and other[0] and _collide(file[0], other[0]):
                yield f"{told}: overlapping paths: {_shown(file)} with {_shown(other)}"
        known.append(file)


def _collide(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _shown(file: File) -> str:
    path, source = file
    return f"{quote(path)} ({source})" if source else quote(path)
