"""Pure questions about a Deployment and its ReplicaSets: which is the new one, revisions, annotations, bounds.

Source: kube-controller-manager `deployment/util/deployment_util.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from sampan.api.apps.v1 import Deployment, ReplicaSet
from sampan.api.core.v1 import PodTemplateSpec
from sampan.api.meta.v1 import LabelSelector, ObjectMeta
from sampan.api.resources import DEPLOYMENTS
from sampan.control.numbers import number_of, safe_hash, scaled
from sampan.control.pods import owner_reference, with_labels

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
ROLLBACK_TO = "deprecated.deployment.rollback.to"
NOT_COPIED = frozenset({"kubectl.kubernetes.io/last-applied-configuration", REVISION, REVISION_HISTORY, DESIRED, MOST, ROLLBACK_TO})
HISTORY_CHARACTERS = 2000
NAME_CHARACTERS = 253
LONGEST_REVISION = 19  # digits: as many as a 64-bit number may have


def wanted(deployment: Deployment) -> int:
    """`spec.replicas`, 1 where it is not set."""
    return deployment.spec.replicas if deployment.spec.replicas is not None else 1


def size(rs: ReplicaSet) -> int:
    """`spec.replicas` of a ReplicaSet."""
    return rs.spec.replicas if rs.spec.replicas is not None else 1


def is_rolling(deployment: Deployment) -> bool:
    return deployment.spec.strategy.type == "RollingUpdate"


def _fenceposts(deployment: Deployment) -> tuple[int, int]:
    rolling, replicas = deployment.spec.strategy.rollingUpdate, wanted(deployment)
    surge = scaled(rolling.maxSurge if rolling else None, replicas, round_up=True)
    unavailable = scaled(rolling.maxUnavailable if rolling else None, replicas, round_up=False)
    return surge, unavailable if surge or unavailable else 1


def max_surge(deployment: Deployment) -> int:
    """How many pods a rollout may have over the wanted number; 0 for Recreate."""
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Deployment) -> int:
    """How many pods may be missing during a rollout."""
    if not is_rolling(deployment) or wanted(deployment) == 0:
        return 0
    return min(_fenceposts(deployment)[1], wanted(deployment))


def oldest_first(sets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    return sorted(sets, key=lambda rs: (rs.metadata.creationTimestamp or "", rs.metadata.name))


def _without_hash(template: PodTemplateSpec) -> PodTemplateSpec:
    if HASH_LABEL not in template.metadata.labels:
        return template
    labels = {key: value for key, value in template.metadata.labels.items() if key != HASH_LABEL}
    return replace(template, metadata=replace(template.metadata, labels=labels))


def same_template(left: PodTemplateSpec, right: PodTemplateSpec) -> bool:
    """Equal but for the label with the hash."""
    return _without_hash(left) == _without_hash(right)


def plain_template(rs: ReplicaSet) -> PodTemplateSpec:
    """The template as the Deployment had it."""
    return _without_hash(rs.spec.template)


def find_new(deployment: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The oldest ReplicaSet with the Deployment's template."""
    return next((rs for rs in oldest_first(sets) if same_template(rs.spec.template, deployment.spec.template)), None)


def revision(rs: ReplicaSet) -> int:
    """The revision annotation as a number; 0 without one."""
    return number_of(rs.metadata.annotations.get(REVISION, "")) or 0


def last_revision(sets: Sequence[ReplicaSet]) -> int:
    """The highest revision but one; 0 if there is none."""
    highest = second = 0
    for number in map(revision, sets):
        if number >= highest:
            highest, second = number, highest
        else:
            second = max(second, number)
    return second


def rollback_to(deployment: Deployment) -> int | None:
    """The revision that the annotation asks for (0: the last but one); None: it asks for none."""
    text = deployment.metadata.annotations.get(ROLLBACK_TO, "")
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_REVISION else None


def next_revision(old: Sequence[ReplicaSet]) -> int:
    """The revision of a template that comes after those of `old`."""
    return max(map(revision, old), default=0) + 1


def replica_annotations(deployment: Deployment) -> dict[str, str]:
    """What a scaled ReplicaSet says about the Deployment's size at that time."""
    replicas = wanted(deployment)
    return {DESIRED: str(replicas), MOST: str(replicas + max_surge(deployment))}


def new_annotations(deployment: Deployment, rs: ReplicaSet, new_revision: int) -> dict[str, str]:
    """The annotations that the new ReplicaSet should have (the same dict contents if nothing changes)."""
    annotations = dict(rs.metadata.annotations)
    before = annotations.get(REVISION, "")
    number = number_of(before) if before else 0
    if number is None:
        return annotations  # upstream leaves alone what it can't read
    annotations.update({k: v for k, v in deployment.metadata.annotations.items() if k not in NOT_COPIED})
    if number < new_revision:
        annotations[REVISION] = str(new_revision)
        if before:
            history = annotations.get(REVISION_HISTORY, "")
            annotations[REVISION_HISTORY] = _trimmed(f"{history},{before}" if history else before)
    return annotations


def _trimmed(history: str) -> str:
    while len(history) > HISTORY_CHARACTERS:
        history = history.partition(",")[2]
    return history


def make_new(deployment: Deployment, old: Sequence[ReplicaSet]) -> ReplicaSet:
    """The ReplicaSet of the Deployment's template, of size 0."""
    template_hash = safe_hash(deployment.spec.template, deployment.status.collisionCount)
    labels = {HASH_LABEL: template_hash}
    template = with_labels(deployment.spec.template, labels)
    selector = deployment.spec.selector or LabelSelector()
    prefix = deployment.metadata.name[:NAME_CHARACTERS - 1 - len(template_hash)]
    meta = ObjectMeta(
        name=f"{prefix}-{template_hash}", namespace=deployment.metadata.namespace,
        labels=dict(template.metadata.labels), ownerReferences=[owner_reference(DEPLOYMENTS, deployment)],
    )
    rs = ReplicaSet(kind="ReplicaSet", apiVersion="apps/v1", metadata=meta)
    rs.spec.replicas, rs.spec.minReadySeconds, rs.spec.template = 0, deployment.spec.minReadySeconds, template
    rs.spec.selector = replace(selector, matchLabels={**selector.matchLabels, **labels})
    meta.annotations = new_annotations(deployment, rs, next_revision(old)) | replica_annotations(deployment)
    return rs
