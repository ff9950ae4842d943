"""The names that a pod's spec refers to: secrets, config maps, claims, its account.

Source: kubernetes `pkg/api/pod/util.go` (`VisitPodSecretNames`, `VisitPodConfigmapNames`).
"""

from __future__ import annotations

from typing import NamedTuple

from sampan.api.core.v1 import Container, EphemeralContainer, Pod, Volume


class PodRefs(NamedTuple):
    """All of them in the pod's own namespace."""

    secrets: frozenset[str]
    config_maps: frozenset[str]
    claims: frozenset[str]
    resource_claims: frozenset[str]
    service_account: str


MIRROR = "kubernetes.io/config.mirror"
_NOTHING = PodRefs(frozenset(), frozenset(), frozenset(), frozenset(), "")


def refs_of(pod: Pod) -> PodRefs:
    """What the pod refers to; a mirror pod, which its node has written itself, counts for nothing."""
    return _NOTHING if MIRROR in pod.metadata.annotations else _refs(pod)


def secrets_of(pod: Pod) -> frozenset[str]:
    """The secrets that the pod's spec names, a mirror pod's, too."""
    return _refs(pod).secrets


def config_maps_of(pod: Pod) -> frozenset[str]:
    """The config maps that the pod's spec names, a mirror pod's, too."""
    return _refs(pod).config_maps


def _refs(pod: Pod) -> PodRefs:
    secrets: set[str] = {ref.name for ref in pod.spec.imagePullSecrets}
    config_maps: set[str] = set()
    claims: set[str] = set()
    containers: list[Container | EphemeralContainer] = [*(pod.spec.containers or ()), *pod.spec.initContainers,
                                                        *pod.spec.ephemeralContainers]
    for container in containers:
        for source in container.envFrom:
            if source.secretRef is not None:
                secrets.add(source.secretRef.name)
            if source.configMapRef is not None:
                config_maps.add(source.configMapRef.name)
        for env in container.env:
            if env.valueFrom is not None and env.valueFrom.secretKeyRef is not None:
                secrets.add(env.valueFrom.secretKeyRef.name)
            if env.valueFrom is not None and env.valueFrom.configMapKeyRef is not None:
                config_maps.add(env.valueFrom.configMapKeyRef.name)
    for volume in pod.spec.volumes:
        _volume(volume, pod, secrets, config_maps, claims)
    resource_claims = {claim.resourceClaimName for claim in pod.spec.resourceClaims if claim.resourceClaimName}
    resource_claims |= {status.resourceClaimName for status in pod.status.resourceClaimStatuses if status.resourceClaimName}
    return PodRefs(frozenset(secrets - {""}), frozenset(config_maps - {""}), frozenset(claims - {""}),
                   frozenset(resource_claims), pod.spec.serviceAccountName)


def _volume(volume: Volume, pod: Pod, secrets: set[str], config_maps: set[str], claims: set[str]) -> None:
    if volume.secret is not None:
        secrets.add(volume.secret.secretName)
    if volume.configMap is not None:
        config_maps.add(volume.configMap.name)
    if volume.persistentVolumeClaim is not None:
        claims.add(volume.persistentVolumeClaim.claimName)
    if volume.ephemeral is not None:
        claims.add(f"{pod.metadata.name}-{volume.name}")
    if volume.azureFile is not None:
        secrets.add(volume.azureFile.secretName)
    for driver in (volume.cephfs, volume.cinder, volume.flexVolume, volume.rbd, volume.scaleIO, volume.iscsi, volume.storageos):
        if driver is not None and driver.secretRef is not None:
            secrets.add(driver.secretRef.name)
    if volume.csi is not None and volume.csi.nodePublishSecretRef is not None:
        secrets.add(volume.csi.nodePublishSecretRef.name)
    for source in volume.projected.sources or () if volume.projected is not None else ():
        if source.secret is not None:
            secrets.add(source.secret.name)
        if source.configMap is not None:
            config_maps.add(source.configMap.name)
