"""The pods and claims of a StatefulSet: what they are called, what they look like, who owns the claims. Pure.

Source: kube-controller-manager `statefulset/stateful_set_utils.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from sampan.api import codec
from sampan.api.apps.v1 import StatefulSet
from sampan.api.core.v1 import PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resources import PODS, STATEFUL_SETS
from sampan.control.history import HASH_LABEL
from sampan.control.numbers import number_of
from sampan.control.pods import is_available, is_ready, is_terminating, owner_reference, pod_from_template

NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
BURST = 500  # pods that are made in one round, at most


def wanted(sts: StatefulSet) -> int:
    """`spec.replicas`, 1 where it is not set."""
    return sts.spec.replicas if sts.spec.replicas is not None else 1


def start(sts: StatefulSet) -> int:
    """The first ordinal."""
    return sts.spec.ordinals.start if sts.spec.ordinals is not None else 0


def ordinal(sts: StatefulSet, pod: Pod) -> int | None:
    """The pod's number; None: by its name it is none of this set's."""
    base, _, number = pod.metadata.name.rpartition("-")
    return number_of(number) if base == sts.metadata.name else None


def to_look_at(sts: StatefulSet, taken: Collection[int]) -> list[int]:
    """The wanted ordinals of a round, rising: those that have a pod (`taken`), and the first of those that have none.

    A set may want two thousand million pods; as many as a round makes are enough.
    """
    every = range(start(sts), start(sts) + wanted(sts))
    free = islice((number for number in every if number not in taken), BURST)
    return sorted({*free, *(number for number in taken if number in every)})


def revision_of(pod: Pod) -> str:
    """The name of the revision that the pod was made from."""
    return pod.metadata.labels.get(HASH_LABEL, "")


def is_running_and_ready(pod: Pod) -> bool:
    return pod.status.phase == "Running" and is_ready(pod)


def is_healthy(pod: Pod) -> bool:
    return is_running_and_ready(pod) and not is_terminating(pod)


def is_running_and_available(sts: StatefulSet, pod: Pod, now: datetime) -> bool:
    return is_running_and_ready(pod) and is_available(pod, sts.spec.minReadySeconds, now)


def make_pod(sts: StatefulSet, template: PodTemplateSpec, revision: str, number: int) -> Pod:
    """The pod of an ordinal."""
    pod = pod_from_template(template, STATEFUL_SETS, sts, name=f"{sts.metadata.name}-{number}")
    pod.metadata.labels[HASH_LABEL] = revision
    pod.spec.hostname, pod.spec.subdomain = pod.metadata.name, sts.spec.serviceName
    return with_identity(sts, pod, number)


def with_identity(sts: StatefulSet, pod: Pod, number: int) -> Pod:
    """The pod with the labels and volumes that its ordinal gives it."""
    labels = {**pod.metadata.labels, NAME_LABEL: pod.metadata.name, INDEX_LABEL: str(number)}
    volumes = [Volume(name=name, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=claim))
               for name, claim in claim_names(sts, number).items()]
    names = {volume.name for volume in volumes}
    own = [volume for volume in pod.spec.volumes if volume.name not in names]
    return replace(pod, metadata=replace(pod.metadata, labels=labels), spec=replace(pod.spec, volumes=volumes + own))


def has_identity(sts: StatefulSet, pod: Pod, number: int) -> bool:
    """Labels and claims are those of the ordinal."""
    labels = pod.metadata.labels
    if labels.get(NAME_LABEL) != pod.metadata.name or labels.get(INDEX_LABEL) != str(number):
        return False
    claims = {volume.name: volume.persistentVolumeClaim.claimName for volume in pod.spec.volumes
              if volume.persistentVolumeClaim is not None}
    return claim_names(sts, number).items() <= claims.items()


def claim_names(sts: StatefulSet, number: int) -> dict[str, str]:
    """Volume → claim of an ordinal."""
    return {one.metadata.name: f"{one.metadata.name}-{sts.metadata.name}-{number}" for one in sts.spec.volumeClaimTemplates}


def make_claims(sts: StatefulSet, number: int) -> list[PersistentVolumeClaim]:
    """The claims of an ordinal, as they are made."""
    labels = sts.spec.selector.matchLabels if sts.spec.selector is not None else {}
    claims = []
    for template in sts.spec.volumeClaimTemplates:
        meta = ObjectMeta(name=f"{template.metadata.name}-{sts.metadata.name}-{number}", namespace=sts.metadata.namespace,
                          labels={**template.metadata.labels, **labels}, annotations=dict(template.metadata.annotations))
        claims.append(PersistentVolumeClaim(kind="PersistentVolumeClaim", apiVersion="v1", metadata=meta,
                                            spec=codec.clone(template.spec)))
    return claims


def claim_owners(sts: StatefulSet, claim: PersistentVolumeClaim, pod: Pod | None, *, condemned: bool) -> list[OwnerReference]:
    """The owners that a claim should have under the retention policy.

    `pod`: the pod of the claim's ordinal, as it exists; `condemned`: it is scaled away.
    """
    policy = sts.spec.persistentVolumeClaimRetentionPolicy
    deleted = policy is not None and policy.whenDeleted == "Delete"
    scaled = policy is not None and policy.whenScaled == "Delete"
    pod_uid = pod.metadata.uid if pod is not None else ""
    others = [ref for ref in claim.metadata.ownerReferences if ref.uid not in (sts.metadata.uid, pod_uid)]
    if scaled and condemned:
        return [*others, owner_reference(PODS, pod)] if pod is not None and pod_uid else others
    return [*others, owner_reference(STATEFUL_SETS, sts)] if deleted else others


def claims_of(sts: StatefulSet, number: int, claims: Mapping[str, PersistentVolumeClaim]) -> list[PersistentVolumeClaim]:
    """Those claims of an ordinal that exist."""
    return [claims[name] for name in claim_names(sts, number).values() if name in claims]
