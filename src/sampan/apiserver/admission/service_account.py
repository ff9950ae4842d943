"""ServiceAccount: every pod has an account, and a volume with its token where it wants one.

Source: kubernetes `plugin/pkg/admission/serviceaccount`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sampan.api.core.v1 import (
    ConfigMapProjection,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    EphemeralContainer,
    KeyToPath,
    LocalObjectReference,
    ObjectFieldSelector,
    Pod,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from sampan.api.errors import OtherStatus
from sampan.api.resources import SERVICE_ACCOUNTS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden, unaddressable
from sampan.apiserver.auth.podrefs import MIRROR, secrets_of
from sampan.apiserver.watchcache import Readers
from sampan.lib.clock import Identity

VOLUME_PREFIX = "kube-api-access-"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607
ENFORCE = "kubernetes.io/enforce-mountable-secrets"
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))


class ServiceAccount:
    """Fills in what the account gives, refuses what it does not."""

    name = "ServiceAccount"

    def __init__(self, readers: Readers, identity: Identity) -> None:
        self._accounts, self._identity = readers.of(SERVICE_ACCOUNTS), identity

    def handles(self, request: AdmissionRequest) -> bool:
        """New pods, and new containers of old ones."""
        if request.resource.plural != "pods" or request.resource.group:
            return False
        return (request.operation, request.subresource) in (("CREATE", ""), ("UPDATE", "ephemeralcontainers"))

    async def admit(self, request: AdmissionRequest) -> None:
        """Set the account, its token's volume and its pull secrets."""
        if request.operation != "CREATE":
            return
        pod: Pod = request.object
        if MIRROR in pod.metadata.annotations:
            self._judge(request, final=False)
            return
        spec = pod.spec
        spec.serviceAccountName = spec.serviceAccountName or spec.serviceAccount or "default"
        spec.serviceAccount = spec.serviceAccountName
        account = self._account(request, final=False)
        wants = spec.automountServiceAccountToken
        if wants is None:
            wants = account.automountServiceAccountToken
        if wants is not False:
            mount_token(pod, VOLUME_PREFIX + self._identity.suffix())
        if not spec.imagePullSecrets and account.imagePullSecrets:
            spec.imagePullSecrets = [LocalObjectReference(name=ref.name) for ref in account.imagePullSecrets]
        _judge_mounts(request, account, final=False)

    async def validate(self, request: AdmissionRequest) -> None:
        """Judge again: a later plugin may have changed the pod."""
        self._judge(request, final=True)

    def _judge(self, request: AdmissionRequest, *, final: bool) -> None:
        pod: Pod = request.object
        if request.operation == "CREATE" and MIRROR in pod.metadata.annotations:
            why = _why_not_mirror(pod)
            if why:
                raise forbidden(request, why, final=final)
            return
        if not pod.spec.serviceAccountName:
            raise forbidden(request, f"no service account specified for pod {request.namespace}/{pod.metadata.name}", final=final)
        _judge_mounts(request, self._account(request, final=final), final=final)

    def _account(self, request: AdmissionRequest, *, final: bool) -> Any:
        name = request.object.spec.serviceAccountName
        entry = self._accounts.get(request.namespace, name)
        if entry is None and (why := unaddressable(name)):
            raise forbidden(request, f"error looking up service account {request.namespace}/{name}: {why}", final=final)
        if entry is None:
            raise forbidden(request, f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" '
                                     "not found", final=final)
        return entry.object


def _judge_mounts(request: AdmissionRequest, account: Any, *, final: bool) -> None:
    """Refuse secrets that an account does not list, where it says that it lists all."""
    if account.metadata.annotations.get(ENFORCE, "") not in _TRUE:
        return
    pod: Pod = request.object
    if request.operation == "CREATE":
        for why in _unmountable(pod, account):
            raise forbidden(request, why, final=final)
        return
    for why in _unmountable_of("ephemeral container", pod.spec.ephemeralContainers, account):
        raise OtherStatus(why, code=500)


def mount_token(pod: Pod, volume_name: str) -> None:
    """Give every container the token, unless something else is mounted there; in place."""
    own = next((volume.name for volume in pod.spec.volumes if volume.name.startswith(VOLUME_PREFIX)), "")
    name = own or volume_name
    needed = False
    for container in [*pod.spec.initContainers, *(pod.spec.containers or ())]:
        if MOUNT_PATH not in [mount.mountPath for mount in container.volumeMounts]:
            container.volumeMounts.append(VolumeMount(name=name, readOnly=True, mountPath=MOUNT_PATH))
            needed = True
    if needed and not own:
        pod.spec.volumes.append(Volume(name=name, projected=token_volume()))


def token_volume() -> ProjectedVolumeSource:
    """Token, cluster's certificate authority, namespace."""
    namespace = ObjectFieldSelector(apiVersion="v1", fieldPath="metadata.namespace")
    return ProjectedVolumeSource(defaultMode=0o644, sources=[
        VolumeProjection(serviceAccountToken=ServiceAccountTokenProjection(expirationSeconds=TOKEN_SECONDS, path="token")),
        VolumeProjection(configMap=ConfigMapProjection(name="kube-root-ca.crt", items=[KeyToPath(key="ca.crt", path="ca.crt")])),
        VolumeProjection(downwardAPI=DownwardAPIProjection(items=[DownwardAPIVolumeFile(path="namespace", fieldRef=namespace)])),
    ])


def _why_not_mirror(pod: Pod) -> str:
    if pod.spec.serviceAccountName:
        return "a mirror pod may not reference service accounts"
    if secrets_of(pod):
        return "a mirror pod may not reference secrets"
    for volume in pod.spec.volumes:
        sources = (volume.projected.sources or ()) if volume.projected is not None else ()
        if any(source.serviceAccountToken is not None for source in sources):
            return "a mirror pod may not use ServiceAccountToken volume projections"
    return ""


def _unmountable(pod: Pod, account: Any) -> Iterator[str]:
    """Why secrets are refused that the account does not list."""
    name, mountable = account.metadata.name, {ref.name for ref in account.secrets}
    for volume in pod.spec.volumes:
        if volume.secret is not None and volume.secret.secretName not in mountable:
            yield _refused(f'volume with secret.secretName="{volume.secret.secretName}"', name)
    yield from _unmountable_of("init container", pod.spec.initContainers, account)
    yield from _unmountable_of("container", pod.spec.containers or (), account)
    pulls = {ref.name for ref in account.imagePullSecrets}
    for index, ref in enumerate(pod.spec.imagePullSecrets):
        if ref.name not in pulls:
            yield (f'imagePullSecrets[{index}].name="{ref.name}" is not allowed because service account {name} does not '
                   "reference that imagePullSecret")


def _unmountable_of(word: str, containers: Iterable[Container | EphemeralContainer], account: Any) -> Iterator[str]:
    name, mountable = account.metadata.name, {ref.name for ref in account.secrets}
    for container in containers:
        for env in container.env:
            ref = env.valueFrom.secretKeyRef if env.valueFrom is not None else None
            if ref is not None and ref.name not in mountable:
                yield _refused(f'{word} {container.name} with envVar {env.name} referencing secret.secretName="{ref.name}"', name)
        for source in container.envFrom:
            if source.secretRef is not None and source.secretRef.name not in mountable:
                yield _refused(f'{word} {container.name} with envFrom referencing secret.secretName="{source.secretRef.name}"', name)


def _refused(what: str, account: str) -> str:
    return f"{what} is not allowed because service account {account} does not reference that secret"
