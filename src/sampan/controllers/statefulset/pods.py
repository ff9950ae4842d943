"""The pods of a StatefulSet: what they are called, what they look like, how they are. Pure.

Source: kube-controller-manager `statefulset/stateful_set_utils.go`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from sampan.api.apps.v1 import StatefulSet
from sampan.api.core.v1 import PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume
from sampan.api.resources import STATEFUL_SETS
from sampan.control.history import HASH_LABEL
from sampan.control.numbers import number_of
from sampan.control.pods import is_available, is_ready, is_terminating, pod_from_template
from sampan.controllers.statefulset.claims import claim_names

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


def is_unavailable(sts: StatefulSet, pod: Pod, now: datetime) -> bool:
    """It is going, or has not been ready for long enough."""
    return is_terminating(pod) or not is_available(pod, sts.spec.minReadySeconds, now)


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


def has_identity(pod: Pod) -> bool:
    """It has the label with its name (one without its index is left as it is)."""
    return pod.metadata.labels.get(NAME_LABEL) == pod.metadata.name


def has_storage(sts: StatefulSet, pod: Pod, number: int) -> bool:
    """Its volumes are the claims of the ordinal."""
    claims = {volume.name: volume.persistentVolumeClaim.claimName for volume in pod.spec.volumes
              if volume.persistentVolumeClaim is not None}
    return claim_names(sts, number).items() <= claims.items()
