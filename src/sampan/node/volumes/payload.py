"""What files a configMap, secret, downwardAPI or projected volume holds. Pure.

Source: kubelet `pkg/volume/{configmap,secret,downwardapi,projected}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from sampan.api.core.v1 import (
    ConfigMap,
    DownwardAPIVolumeFile,
    KeyToPath,
    Pod,
    ProjectedVolumeSource,
    Secret,
    Volume,
    VolumeProjection,
)
from sampan.node.env import ConfigProblem, Sources
from sampan.node.fieldref import NodeFacts, UnknownField, field_value, resource_value


class File(Struct, frozen=True, gc=False):
    """One file of a volume; `uid` owns it where the pod asks for that (token files of a non-root container)."""

    data: bytes
    mode: int
    uid: int | None = None


class TokenWanted(Struct, frozen=True, gc=False):
    """A service account token that a projected volume wants at `path`."""

    path: str
    audience: str
    expiration_seconds: int
    mode: int


Payload = dict[str, File]
Tokens = Mapping[str, bytes]  # by path


def _select(data: Mapping[str, bytes], items: Iterable[KeyToPath], default_mode: int, *, optional: bool, what: str) -> Payload:
    chosen = list(items)
    if not chosen:
        return {key: File(value, default_mode) for key, value in data.items()}
    out: Payload = {}
    for item in chosen:
        if item.key not in data:
            if optional:
                continue
            raise ConfigProblem(f"references non-existent {what} key: {item.key}")
        out[item.path] = File(data[item.key], default_mode if item.mode is None else item.mode)
    return out


def _config_map_data(found: ConfigMap) -> dict[str, bytes]:
    return {key: value.encode() for key, value in found.data.items()} | dict(found.binaryData)


def _from_config_map(namespace: str, name: str, items: Iterable[KeyToPath], mode: int, optional: bool, sources: Sources) -> Payload:
    found = sources.config_map(namespace, name)
    if found is None:
        if optional:
            return {}
        raise ConfigProblem(f'configmap "{name}" not found')
    return _select(_config_map_data(found), items, mode, optional=optional, what="config")


def _from_secret(namespace: str, name: str, items: Iterable[KeyToPath], mode: int, optional: bool, sources: Sources) -> Payload:
    found: Secret | None = sources.secret(namespace, name)
    if found is None:
        if optional:
            return {}
        raise ConfigProblem(f'secret "{name}" not found')
    return _select(found.data, items, mode, optional=optional, what="secret")


def _from_downward(pod: Pod, items: Iterable[DownwardAPIVolumeFile], mode: int, node: NodeFacts) -> Payload:
    out: Payload = {}
    for item in items:
        try:
            if item.fieldRef is not None:
                text = field_value(pod, item.fieldRef.fieldPath, node)
            elif item.resourceFieldRef is not None:
                name = item.resourceFieldRef.containerName
                container = next((c for c in [*(pod.spec.containers or ()), *pod.spec.initContainers] if c.name == name), None)
                if container is None:
                    raise ConfigProblem(f"container {name} not found")
                text = resource_value(container, item.resourceFieldRef, node)
            else:
                continue
        except UnknownField as error:
            raise ConfigProblem(str(error)) from error
        out[item.path] = File(text.encode(), mode if item.mode is None else item.mode)
    return out


def wanted_tokens(volume: Volume) -> list[TokenWanted]:
    """The tokens that must be there before `payload` can be made."""
    if volume.projected is None:
        return []
    mode = 0o644 if volume.projected.defaultMode is None else volume.projected.defaultMode
    return [
        TokenWanted(source.serviceAccountToken.path, source.serviceAccountToken.audience,
                    source.serviceAccountToken.expirationSeconds or 3600, mode)
        for source in volume.projected.sources or ()
        if source.serviceAccountToken is not None
    ]


def payload(pod: Pod, volume: Volume, sources: Sources, node: NodeFacts, tokens: Tokens) -> Payload:
    """The files of one volume, by path relative to its root.

    Raises:
        ConfigProblem: An object or key that is not optional is missing.
    """
    namespace = pod.metadata.namespace
    if (config := volume.configMap) is not None:
        return _from_config_map(namespace, config.name, config.items, _mode(config.defaultMode), bool(config.optional), sources)
    if (secret := volume.secret) is not None:
        return _from_secret(namespace, secret.secretName, secret.items, _mode(secret.defaultMode), bool(secret.optional), sources)
    if (downward := volume.downwardAPI) is not None:
        return _from_downward(pod, downward.items, _mode(downward.defaultMode), node)
    if volume.projected is not None:
        return _projected(pod, volume.projected, sources, node, tokens)
    return {}


def _mode(mode: int | None) -> int:
    return 0o644 if mode is None else mode


def _projected(pod: Pod, projected: ProjectedVolumeSource, sources: Sources, node: NodeFacts, tokens: Tokens) -> Payload:
    out: Payload = {}
    mode = _mode(projected.defaultMode)
    for source in projected.sources or ():
        out |= _projection(pod, source, mode, sources, node, tokens)
    return out


def _projection(pod: Pod, source: VolumeProjection, mode: int, sources: Sources, node: NodeFacts, tokens: Tokens) -> Payload:
    namespace = pod.metadata.namespace
    if (config := source.configMap) is not None:
        return _from_config_map(namespace, config.name, config.items, mode, bool(config.optional), sources)
    if (secret := source.secret) is not None:
        return _from_secret(namespace, secret.name, secret.items, mode, bool(secret.optional), sources)
    if source.downwardAPI is not None:
        return _from_downward(pod, source.downwardAPI.items, mode, node)
    if (token := source.serviceAccountToken) is not None:
        # upstream gives the token to the only user that the pod's containers run as, readable by nobody else
        uid = _single_user(pod)
        owner_only = uid is not None or (pod.spec.securityContext is not None and pod.spec.securityContext.fsGroup is not None)
        return {token.path: File(tokens[token.path], 0o600 if owner_only else mode, uid)}
    if source.clusterTrustBundle is not None or source.podCertificate is not None:
        raise ConfigProblem("clusterTrustBundle and podCertificate projections are not served by this node")
    return {}


def _single_user(pod: Pod) -> int | None:
    common = pod.spec.securityContext.runAsUser if pod.spec.securityContext is not None else None
    users = {
        c.securityContext.runAsUser if c.securityContext is not None and c.securityContext.runAsUser is not None else common
        for c in [*(pod.spec.containers or ()), *pod.spec.initContainers]
    }
    return users.pop() if len(users) == 1 else None


def objects_of(pod: Pod) -> tuple[set[str], set[str]]:
    """(names of config maps, names of secrets) of its namespace that the pod refers to."""
    config_maps: set[str] = set()
    secrets = {ref.name for ref in pod.spec.imagePullSecrets}
    for volume in pod.spec.volumes:
        if volume.configMap is not None:
            config_maps.add(volume.configMap.name)
        if volume.secret is not None:
            secrets.add(volume.secret.secretName)
        if volume.projected is not None:
            for source in volume.projected.sources or ():
                if source.configMap is not None:
                    config_maps.add(source.configMap.name)
                if source.secret is not None:
                    secrets.add(source.secret.name)
    for container in [*pod.spec.initContainers, *(pod.spec.containers or ()), *pod.spec.ephemeralContainers]:
        for env in container.env:
            if env.valueFrom is not None and env.valueFrom.configMapKeyRef is not None:
                config_maps.add(env.valueFrom.configMapKeyRef.name)
            if env.valueFrom is not None and env.valueFrom.secretKeyRef is not None:
                secrets.add(env.valueFrom.secretKeyRef.name)
        for source_ in container.envFrom:
            if source_.configMapRef is not None:
                config_maps.add(source_.configMapRef.name)
            if source_.secretRef is not None:
                secrets.add(source_.secretRef.name)
    return config_maps - {""}, secrets - {""}
