"""Defaults of a pod spec, for pods and templates alike, and of what else holds volumes or resources.

Owns as well what upstream's conversions do on the way in (`serviceAccount` and its new name, fields of gates that are off).
Source: kubernetes `pkg/apis/core/v1/{defaults,conversion}.go`, `staging/src/k8s.io/api/core/v1/types.go` (`+default`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sampan.api import quantity
from sampan.api.core.v1 import (
    Container,
    EmptyDirVolumeSource,
    EnvVarSource,
    EphemeralContainer,
    HTTPGetAction,
    Lifecycle,
    PersistentVolumeClaimSpec,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    Volume,
    VolumeProjection,
)
from sampan.api.scalars import Quantity
from sampan.kinds.core.pod_spec.volumes import VOLUME_SOURCES

_MODE = 0o644
_HOUR = 3600
_WORD = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*"
_HOST = "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)"
_REFERENCE = re.compile(
    rf"((?:{_HOST}(?:[.]{_HOST})*(?::[0-9]+)?/)?{_WORD}(?:/{_WORD})*)"
    r"(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)
_IDENTIFIER = re.compile("[a-f0-9]{64}")  # an image by its digest alone is no reference
_MAX_REFERENCE = 512
_MAX_PATH = 255
_sources = attrgetter(*VOLUME_SOURCES)


def default_pod_template(template: PodTemplateSpec) -> None:
    """Fill a template (its spec) in place. Idempotent."""
    default_pod_spec(template.spec)


def default_pod_spec(spec: PodSpec) -> None:
    """Fill a pod's spec in place; what only pods get (not templates) is `sampan.kinds.core.pod`'s."""
    if not spec.dnsPolicy:
        spec.dnsPolicy = "ClusterFirst"
    if not spec.restartPolicy:
        spec.restartPolicy = "Always"
    if spec.securityContext is None:
        spec.securityContext = PodSecurityContext()
    if spec.terminationGracePeriodSeconds is None:
        spec.terminationGracePeriodSeconds = 30
    if not spec.schedulerName:
        spec.schedulerName = "default-scheduler"
    if not spec.serviceAccountName:
        spec.serviceAccountName = spec.serviceAccount
    spec.serviceAccount = spec.serviceAccountName
    spec.schedulingGroup = None  # its gate, GenericWorkload, is off
    for volume in spec.volumes:
        _default_volume(volume)
    for container in spec.containers or ():
        _default_container(container)
    for container in spec.initContainers:
        _default_container(container)
    for debugger in spec.ephemeralContainers:
        _default_container(debugger)
    if spec.overhead:
        round_up(spec.overhead)
    if spec.resources is not None:
        round_up(spec.resources.limits)
        round_up(spec.resources.requests)


def default_claim_spec(spec: PersistentVolumeClaimSpec) -> None:
    """Fill a claim's spec in place (claims, volume claim templates, ephemeral volumes)."""
    if spec.volumeMode is None:
        spec.volumeMode = "Filesystem"
    round_up(spec.resources.limits)
    round_up(spec.resources.requests)


def pull_policy(image: str) -> str:
    """Always for `:latest` (or no tag and no digest), IfNotPresent otherwise, also for what is no reference."""
    return "Always" if _is_latest(image) else "IfNotPresent"


@lru_cache(maxsize=4096)
def _is_latest(image: str) -> bool:
    if len(image) > _MAX_REFERENCE or _IDENTIFIER.fullmatch(image) or (match := _REFERENCE.fullmatch(image)) is None:
        return False
    name, tag, digest = match.groups()
    host, slash, path = name.partition("/")
    if not slash:
        path = f"library/{name}"
    elif host == host.lower() and host != "localhost" and not set(".:") & set(host):
        path = name
    return len(path) <= _MAX_PATH and (tag == "latest" or not (tag or digest))


def round_up(resources: dict[str, Quantity]) -> None:
    """Quantities finer than a thousandth are rounded up to one, in place."""
    for name, amount in resources.items():
        if (whole := _whole_milli(amount)) is not None:
            resources[name] = whole


@lru_cache(maxsize=8192)
def _whole_milli(amount: str) -> Quantity | None:
    if quantity.nano(amount) % 10**6 == 0:
        return None
    return quantity.of_milli(quantity.milli(amount), quantity.format_of(amount))


def _default_container(container: Container | EphemeralContainer) -> None:
    if not container.imagePullPolicy:
        container.imagePullPolicy = pull_policy(container.image)
    if not container.terminationMessagePath:
        container.terminationMessagePath = "/dev/termination-log"
    if not container.terminationMessagePolicy:
        container.terminationMessagePolicy = "File"
    for port in container.ports:
        if not port.protocol:
            port.protocol = "TCP"
    for variable in container.env:
        if variable.valueFrom is not None:
            _default_origin(variable.valueFrom)
    resources = container.resources
    if resources.limits:
        round_up(resources.limits)
    if resources.requests:
        round_up(resources.requests)
    for probe in (container.livenessProbe, container.readinessProbe, container.startupProbe):
        if probe is not None:
            _default_probe(probe)
    if container.lifecycle is not None:
        container.lifecycle = _default_lifecycle(container.lifecycle)


def _default_lifecycle(lifecycle: Lifecycle) -> Lifecycle | None:
    """The lifecycle, filled in place; None: it held nothing but what is taken away."""
    if lifecycle.stopSignal is not None:  # its gate, ContainerStopSignals, is off
        lifecycle.stopSignal = None
        if lifecycle.postStart is None and lifecycle.preStop is None:
            return None
    for handler in (lifecycle.postStart, lifecycle.preStop):
        if handler is not None and handler.httpGet is not None:
            _default_http_get(handler.httpGet)
    return lifecycle


def _default_origin(origin: EnvVarSource) -> None:
    if origin.fieldRef is not None and not origin.fieldRef.apiVersion:
        origin.fieldRef.apiVersion = "v1"
    if origin.fileKeyRef is not None and origin.fileKeyRef.optional is None:
        origin.fileKeyRef.optional = False


def _default_probe(probe: Probe) -> None:
    probe.timeoutSeconds = probe.timeoutSeconds or 1
    probe.periodSeconds = probe.periodSeconds or 10
    probe.successThreshold = probe.successThreshold or 1
    probe.failureThreshold = probe.failureThreshold or 3
    if probe.httpGet is not None:
        _default_http_get(probe.httpGet)
    if probe.grpc is not None and probe.grpc.service is None:
        probe.grpc.service = ""


def _default_http_get(action: HTTPGetAction) -> None:
    action.path = action.path or "/"
    action.scheme = action.scheme or "HTTP"


def _default_volume(volume: Volume) -> None:
    empty = True
    for name, source in zip(VOLUME_SOURCES, _sources(volume), strict=True):
        if source is not None:
            empty = False
            if (fill := _VOLUMES.get(name)) is not None:
                fill(source)
    if empty:
        volume.emptyDir = EmptyDirVolumeSource()


def default_persistent_source(spec: Any) -> None:
    """The defaults of a PersistentVolume's source (the same as in pods)."""
    for name, fill in _VOLUMES.items():
        source = getattr(spec, name, None)
        if source is not None:
            fill(source)


def _default_mode(source: Any) -> None:
    if source.defaultMode is None:
        source.defaultMode = _MODE


def _default_downward(source: Any) -> None:
    _default_mode(source)
    _default_items(source.items)


def _default_items(items: Any) -> None:
    for item in items:
        if item.fieldRef is not None and not item.fieldRef.apiVersion:
            item.fieldRef.apiVersion = "v1"


def _default_projected(source: Any) -> None:
    _default_mode(source)
    source.sources = source.sources or None
    for projection in source.sources or ():
        _default_projection(projection)


def _default_projection(projection: VolumeProjection) -> None:
    projection.clusterTrustBundle = projection.podCertificate = None  # their gates are off
    token = projection.serviceAccountToken
    if token is not None:
        if token.expirationSeconds is None:
            token.expirationSeconds = _HOUR
    elif projection.downwardAPI is not None:
        _default_items(projection.downwardAPI.items)


def _default_host_path(source: Any) -> None:
    if source.type is None:
        source.type = ""


def _default_iscsi(source: Any) -> None:
    source.iscsiInterface = source.iscsiInterface or "default"


def _default_rbd(source: Any) -> None:
    source.pool = source.pool or "rbd"
    source.user = source.user or "admin"
    source.keyring = source.keyring or "/etc/ceph/keyring"


def _default_azure_disk(source: Any) -> None:
    for name, value in (("cachingMode", "ReadWrite"), ("fsType", "ext4"), ("readOnly", False), ("kind", "Shared")):
        if getattr(source, name) is None:
            setattr(source, name, value)


def _default_scale_io(source: Any) -> None:
    source.storageMode = source.storageMode or "ThinProvisioned"
    source.fsType = source.fsType or "xfs"


def _default_ephemeral(source: Any) -> None:
    if source.volumeClaimTemplate is not None:
        default_claim_spec(source.volumeClaimTemplate.spec)


def _default_image(source: Any) -> None:
    if not source.pullPolicy:
        source.pullPolicy = pull_policy(source.reference)


_VOLUMES = {
    "secret": _default_mode,
    "configMap": _default_mode,
    "downwardAPI": _default_downward,
    "projected": _default_projected,
    "hostPath": _default_host_path,
    "iscsi": _default_iscsi,
    "rbd": _default_rbd,
    "azureDisk": _default_azure_disk,
    "scaleIO": _default_scale_io,
    "ephemeral": _default_ephemeral,
    "image": _default_image,
}
