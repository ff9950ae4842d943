"""Pure questions about the pods of a Job: its index, whether it counts as failed, when it ended, policies, back-off.

Source: kube-controller-manager `job/indexed_job_utils.go`, `pod_failure_policy.go`, `backoff_utils.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sampan.aio.backoff import Backoff
from sampan.api.batch.v1 import Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule
from sampan.api.core.v1 import ContainerStatus, Pod
from sampan.api.scalars import Time
from sampan.control.numbers import number_of
from sampan.control.pods import ready_condition, restarts
from sampan.kinds.batch.job import TRACKING_FINALIZER, is_indexed
from sampan.kinds.meta import condition

INDEX = "batch.kubernetes.io/job-completion-index"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
BACKOFF = Backoff(first_seconds=10.0, most_seconds=600.0)
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def is_tracked(pod: Pod) -> bool:
    """Its end has not been counted yet."""
    return TRACKING_FINALIZER in pod.metadata.finalizers


def _number(pod: Pod, annotation: str) -> int | None:
    found = number_of(pod.metadata.annotations.get(annotation, ""))
    return found if found is not None and found >= 0 else None


def index_of(pod: Pod) -> int | None:
    """The completion index; None: it has none."""
    return _number(pod, INDEX)


def has_valid_index(job: Job, pod: Pod) -> bool:
    """Whether the pod's index is one of the Job's, where the Job has indexes."""
    index = index_of(pod)
    return not is_indexed(job) or (index is not None and index < (job.spec.completions or 0))


def replaces_only_failed(job: Job) -> bool:
    """A pod that is being deleted is replaced only once it has ended."""
    return job.spec.podReplacementPolicy == "Failed" or job.spec.podFailurePolicy is not None


def is_failed(job: Job, pod: Pod) -> bool:
    """It failed, or is being deleted without having succeeded."""
    if pod.status.phase == "Failed":
        return True
    if replaces_only_failed(job):
        return False
    return pod.metadata.deletionTimestamp is not None and pod.status.phase != "Succeeded"


def failures_of_index(pod: Pod) -> int:
    """How often its index had failed before it, without those that the policy ignores."""
    return _number(pod, INDEX_FAILURES) or 0


def all_failures_of_index(pod: Pod) -> int:
    """How often its index had failed before it."""
    return failures_of_index(pod) + (_number(pod, INDEX_IGNORED_FAILURES) or 0)


def ended_at(pod: Pod) -> datetime:
    """When it ended, as well as can be told: by its containers and sidecars if all have, by what is said of it otherwise."""
    sidecars = {one.name for one in pod.spec.initContainers if one.restartPolicy == "Always"}
    ends = [_end_of(one) for one in (*pod.status.containerStatuses, *(one for one in pod.status.initContainerStatuses if one.name in sidecars))]
    known = [end for end in ends if end is not None]
    if known and len(known) == len(ends):
        return max(known)
    ready = condition(pod.status.conditions, "Ready")
    if ready is not None and ready.status == "False" and ready.lastTransitionTime is not None:
        return ready.lastTransitionTime.moment()
    if pod.metadata.deletionTimestamp is not None:
        grace = timedelta(seconds=pod.metadata.deletionGracePeriodSeconds or 0)
        return pod.metadata.deletionTimestamp.moment() - grace
    return pod.metadata.creationTimestamp.moment() if pod.metadata.creationTimestamp else LONG_AGO


def least_useful_first(pods: Iterable[Pod]) -> list[Pod]:
    """Pods in the order in which a Job has too many: those that are furthest from their end. (A pod's deletion cost is a ReplicaSet's affair.)

    Source: kube-controller-manager `controller_utils.go` (`ActivePods.Less`).
    """
    def rank(pod: Pod) -> tuple[object, ...]:
        ready = ready_condition(pod)
        serves = ready is not None and ready.status == "True"
        regular, sidecars = restarts(pod)
        return (bool(pod.spec.nodeName), _PHASES.get(pod.status.phase, 0), serves, _younger_first(ready.lastTransitionTime if ready and serves else None),
                -regular, -sidecars, _younger_first(pod.metadata.creationTimestamp))

    return sorted(pods, key=rank)


def _younger_first(moment: Time | None) -> tuple[bool, float]:
    return moment is not None, -moment.moment().timestamp() if moment is not None else 0.0


def _end_of(status: ContainerStatus) -> datetime | None:
    ended = status.state.terminated if status.state is not None else None
    return ended.finishedAt.moment() if ended is not None and ended.finishedAt is not None else None


@dataclass(frozen=True)
class Verdict:
    """What the failure policy says of a failed pod. `message`: why the Job fails, if it does."""

    counts: bool = True
    action: str = ""
    message: str = ""


def judge(job: Job, pod: Pod) -> Verdict:
    """Apply the first rule of the pod failure policy that matches."""
    policy = job.spec.podFailurePolicy
    for number, rule in enumerate((policy.rules if policy else None) or ()):
        why = _matched(rule, pod)
        if why:
            message = f"{why} matching {rule.action} rule at index {number}" if rule.action == "FailJob" else ""
            return Verdict(rule.action != "Ignore", rule.action, message)
    return Verdict()


def _matched(rule: PodFailurePolicyRule, pod: Pod) -> str:
    name = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.onExitCodes is not None:
        for status in (*pod.status.containerStatuses, *pod.status.initContainerStatuses):
            code = _exit_code(status, rule.onExitCodes)
            if code is not None:
                return f"Container {status.name} for pod {name} failed with exit code {code}"
        return ""
    patterns = {(one.type, one.status) for one in rule.onPodConditions}
    found = next((one for one in pod.status.conditions if (one.type, one.status) in patterns), None)
    return f"Pod {name} has condition {found.type}" if found is not None else ""


def _exit_code(status: ContainerStatus, wanted: PodFailurePolicyOnExitCodesRequirement) -> int | None:
    ended = status.state.terminated if status.state is not None else None
    if ended is None or ended.exitCode == 0 or wanted.containerName not in (None, status.name):
        return None
    is_in = ended.exitCode in (wanted.values or ())
    return ended.exitCode if is_in == (wanted.operator == "In") else None


@dataclass(frozen=True)
class Record:
    """The failures since the last success, and when the last one was: remembered between looks."""

    failures: int = 0
    last: datetime = LONG_AGO

    def after(self, succeeded: Iterable[Pod], failed: Iterable[Pod]) -> Record:
        """The record with newly ended pods taken in."""
        successes, ends = [ended_at(pod) for pod in succeeded], sorted(ended_at(pod) for pod in failed)
        if not successes:
            return Record(self.failures + len(ends), ends[-1]) if ends else self
        since = [end for end in ends if end > max(successes)]
        return Record(len(since), since[-1] if since else LONG_AGO)

    def remaining_seconds(self, now: datetime) -> float:
        """How long no new pod is made."""
        return remaining_seconds(self.failures, self.last, now)


def remaining_seconds(failures: int, last: datetime, now: datetime) -> float:
    """What is left of the pause after so many failures."""
    if failures <= 0:
        return 0.0
    return max(0.0, BACKOFF.delay_seconds(failures) - (now - last).total_seconds())
