"""Job: pods that run to an end.

Leaves failure and success policies to `job_policies`, findings about its status to `job_status`, index sets to `indexes`.
Source: kubernetes `pkg/apis/batch/{validation/validation.go,v1/defaults.go}`, `pkg/registry/batch/job/strategy.go`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import codec, field, goprint, names, selectors
from sampan.api.batch.v1 import Job, JobCondition, JobSpec, JobStatus
from sampan.api.core.v1 import PodTemplateSpec, ResourceRequirements
from sampan.api.meta.v1 import LabelSelector
from sampan.api.resources import JOBS
from sampan.kinds import checks, meta
from sampan.kinds.apps.workload import CONTAINER_COLUMNS, NAME_COLUMN, SELECTOR_COLUMN, mismatched, name_warnings
from sampan.kinds.batch import job_policies, job_status
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.core.pod_spec import default_pod_template, pod_spec_warnings, validate_pod_template
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age, human_duration, since

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
LEGACY_CONTROLLER_UID = "controller-uid"
LEGACY_JOB_NAME = "job-name"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
BUILT_IN_CONTROLLER = "kubernetes.io/job-controller"
NO_LIMIT = 2**31 - 1
_NUMBERS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
            "backoffLimitPerIndex", "maxFailedIndexes")
_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")


def finished(job: Job) -> JobCondition | None:
    """The condition that ended the job: Complete or Failed; None while it runs."""
    return next((one for one in job.status.conditions if one.type in ("Complete", "Failed") and one.status == "True"), None)


def is_finished(job: Job) -> bool:
    return finished(job) is not None


def is_suspended(job: Job) -> bool:
    return job.spec.suspend is True


def is_indexed(job: Job) -> bool:
    return job.spec.completionMode == "Indexed"


def is_ours(job: Job) -> bool:
    """Whether the built-in controller looks after it."""
    return job.spec.managedBy in (None, BUILT_IN_CONTROLLER)


def default(job: Job) -> None:
    spec = job.spec
    default_pod_template(spec.template)
    if spec.completions is None and spec.parallelism is None:
        spec.completions = spec.parallelism = 1
    if spec.parallelism is None:
        spec.parallelism = 1
    if spec.backoffLimit is None:
        spec.backoffLimit = 6 if spec.backoffLimitPerIndex is None else NO_LIMIT
    if not job.metadata.labels and spec.template.metadata.labels:
        job.metadata.labels = dict(spec.template.metadata.labels)
    spec.completionMode = spec.completionMode or "NonIndexed"
    if spec.suspend is None:
        spec.suspend = False
    if spec.podReplacementPolicy is None:
        spec.podReplacementPolicy = "TerminatingOrFailed" if spec.podFailurePolicy is None else "Failed"
    if spec.manualSelector is None:
        spec.manualSelector = False
    default_failure_policy(spec)


def prepare_status(new: Job, old: Job) -> None:
    """Labels that are taken away are those of the template again, as on every reading from upstream's storage."""
    meta.keep_spec(new, old)
    new.metadata.labels = new.metadata.labels or dict(new.spec.template.metadata.labels)


def default_failure_policy(spec: JobSpec) -> None:
    """The status that a pod's condition must have, where it is left out."""
    for rule in (spec.podFailurePolicy.rules or ()) if spec.podFailurePolicy is not None else ():
        for one in rule.onPodConditions:
            one.status = one.status or "True"


def prepare_create(job: Job) -> None:
    """Needs the uid: the selector is made of it unless the user brings one (`manualSelector`)."""
    job.status = JobStatus()
    job.metadata.generation = 1
    if not job.spec.manualSelector:
        _generate_selector(job)


def _generate_selector(job: Job) -> None:
    """Labels that the user set stay; validation refuses them."""
    followed = job.metadata.labels == job.spec.template.metadata.labels
    labels = generated_labels(job) | job.spec.template.metadata.labels
    job.spec.template.metadata.labels = labels
    if followed:  # labels left out are the template's
        job.metadata.labels = dict(labels)
    selector = job.spec.selector or LabelSelector()
    wanted = {CONTROLLER_UID: job.metadata.uid, **selector.matchLabels}
    selector.matchLabels = {key: wanted[key] for key in sorted(wanted)}
    job.spec.selector = selector


def generated_labels(job: Job) -> dict[str, str]:
    """What every pod of the job is labelled with."""
    uid, name = job.metadata.uid, job.metadata.name
    return {LEGACY_CONTROLLER_UID: uid, LEGACY_JOB_NAME: name, CONTROLLER_UID: uid, JOB_NAME: name}


def validate(job: Job) -> Findings:
    return _generated_selector(job) + _whole_spec(job) + _pod_names(job)


def _whole_spec(job: Job) -> Findings:
    """The spec with its selector, which the templates of CronJobs do not have."""
    out = validate_spec(job.spec, "spec")
    if job.spec.selector is None:
        out.append(field.required("spec.selector"))
    out += checks.label_selector(job.spec.selector, "spec.selector")
    labels = job.spec.template.metadata.labels
    try:
        if not selectors.of_label_selector(job.spec.selector).matches(labels):
            out.append(mismatched(labels))
    except selectors.SelectorError:
        pass  # `label_selector` has said what is wrong
    return out


def _pod_names(job: Job) -> Findings:
    """The last index makes the longest host name."""
    if not is_indexed(job) or not job.spec.completions or job.spec.completions <= 0:
        return []
    longest = f"{job.metadata.name}-{job.spec.completions - 1}"
    if not names.dns1123_label(longest):
        return []
    return [field.invalid("metadata.name", job.metadata.name, f"will not able to create pod with invalid DNS label: {longest}")]


def _generated_selector(job: Job) -> Findings:
    if job.spec.manualSelector or job.spec.selector is None:
        return []
    out: Findings = []
    if not job.metadata.uid:
        out.append(field.required("metadata.uid"))
    labels, at = job.spec.template.metadata.labels, "spec.template.metadata.labels"
    expected = generated_labels(job)
    for key, value in expected.items():
        if key not in labels:
            out.append(field.required(f"{at}[{key}]", f"must be '{value}'"))
        elif labels[key] != value:
            out.append(field.invalid(f"{at}[{key}]", goprint.ordered(labels), f"must be '{value}'"))
    try:
        if not selectors.of_label_selector(job.spec.selector).matches(expected):
            out.append(field.invalid("spec.selector", job.spec.selector, "`selector` not auto-generated"))
    except selectors.SelectorError:
        pass  # `label_selector` will say what is wrong
    return out


def validate_spec(spec: JobSpec, path: str) -> Findings:
    """What Jobs and the templates of CronJobs are held to alike: all but the selector."""
    out = checks.all_nonnegative(spec, path, *_NUMBERS)
    if spec.maxFailedIndexes is not None and spec.backoffLimitPerIndex is None:
        out.append(field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.managedBy is not None:
        out += names.domain_prefixed_path(f"{path}.managedBy", spec.managedBy)
        if len(spec.managedBy) > 63:
            out.append(field.too_long(f"{path}.managedBy", 63))
    out += job_policies.validate_mode(spec, path)
    out += job_policies.validate_failure_policy(spec, path)
    out += job_policies.validate_success_policy(spec, path)
    if spec.podReplacementPolicy is not None:
        allowed = ("Failed", "TerminatingOrFailed") if spec.podFailurePolicy is None else ("Failed",)
        out += checks.one_of(spec.podReplacementPolicy, allowed, f"{path}.podReplacementPolicy")
    out += validate_pod_template(spec.template, f"{path}.template")
    return out + _restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _restart_policy(spec: JobSpec, at: str) -> Findings:
    policy = spec.template.spec.restartPolicy
    if policy in ("", "Always"):
        return [field.required(at, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [field.not_supported(at, policy, ("OnFailure", "Never"))]
    if spec.podFailurePolicy is not None and policy != "Never":
        return [field.invalid(at, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def validate_update(new: Job, old: Job) -> Findings:
    """What stays as it is. Upstream looks at the spec a second time, and so answers its findings twice."""
    out = _whole_spec(new)
    out += _completions(new.spec, old.spec)
    out += field.immutable(new.spec.selector, old.spec.selector, "spec.selector")
    out += _template(new, old)
    out += [field.invalid(f"spec.{name}", internal(getattr(new.spec, name)), field.IMMUTABLE)
            for name in _FIXED if getattr(new.spec, name) != getattr(old.spec, name)]
    return out


def _completions(new: JobSpec, old: JobSpec) -> Findings:
    """They stay, but an indexed Job's follow its parallelism."""
    at = "spec.completions"
    if new.completionMode != "Indexed":
        return field.immutable(new.completions, old.completions, at)
    if new.completions in (None, old.completions, new.parallelism):
        return []
    return [field.invalid(at, new.completions, "can only be modified in tandem with spec.parallelism")]


def _template(new: Job, old: Job) -> Findings:
    """While a Job is suspended and none of its pods runs, where they may run and what they need can change."""
    changed, was = new.spec.template, old.spec.template
    if changed == was:
        return []
    if _can_change(old):
        same = _without_directives(changed).spec == _without_directives(was).spec
        return [] if same else [field.invalid("spec.template.spec", internal(changed.spec), field.IMMUTABLE)]
    shown = {**internal(new.spec.template.metadata), "Spec": internal(new.spec.template.spec)}
    return [field.invalid("spec.template", shown, field.IMMUTABLE)]


def _can_change(job: Job) -> bool:
    stopped = job.status.startTime is None or meta.is_true(job.status.conditions, "Suspended")
    return is_suspended(job) and stopped and job.status.active == 0


def _without_directives(template: PodTemplateSpec) -> PodTemplateSpec:
    copy = codec.clone(template)
    copy.metadata.labels, copy.metadata.annotations = {}, {}
    copy.spec.nodeSelector, copy.spec.tolerations, copy.spec.schedulingGates = {}, [], []
    for container in (*(copy.spec.containers or ()), *copy.spec.initContainers):
        container.resources = ResourceRequirements()
    if copy.spec.affinity is not None:
        copy.spec.affinity.nodeAffinity = None
        if copy.spec.affinity.podAffinity is None and copy.spec.affinity.podAntiAffinity is None:
            copy.spec.affinity = None
    return copy


def warnings(new: Job, old: Job | None) -> list[str]:
    """Those about the name when it is new, those about the spec when it changed."""
    if old is None:
        return name_warnings(new.metadata.name) + spec_warnings(new.spec, "spec", None)
    if new.metadata.generation == old.metadata.generation:
        return []
    return spec_warnings(new.spec, "spec", old.spec)


def spec_warnings(spec: JobSpec, path: str, old: JobSpec | None) -> list[str]:
    """Numbers that the tracking of indexes may not bear, and those about the pods."""
    out: list[str] = []
    if spec.completionMode == "Indexed" and (spec.completions or 0) > 100_000 and (spec.parallelism or 0) > 10_000:
        out.append(f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
                   "Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
    return out + pod_spec_warnings(spec.template, f"{path}.template", old.template if old is not None else None)


def state(job: Job) -> str:
    """One word, as tables show it."""
    if (end := finished(job)) is not None:
        return end.type
    if job.metadata.deletionTimestamp is not None:
        return "Terminating"
    for type in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if meta.is_true(job.status.conditions, type):
            return type
    return "Running"


def _progress(job: Job, _: datetime) -> str:
    if job.spec.completions is not None:
        return f"{job.status.succeeded}/{job.spec.completions}"
    if (job.spec.parallelism or 0) > 1:
        return f"{job.status.succeeded}/1 of {job.spec.parallelism}"
    return f"{job.status.succeeded}/1"


def _duration(job: Job, now: datetime) -> str:
    start, end = job.status.startTime, job.status.completionTime
    if start is None:
        return ""
    return since(start, now) if end is None else human_duration((end.moment() - start.moment()).total_seconds())


KIND: Kind[Job] = Kind(
    dependents="orphan",
    delete_warning="child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
                   "propagationPolicy=Orphan to suppress this warning",
    resource=JOBS,
    metadata="both",
    default=default,
    prepare_create=prepare_create,
    prepare_update=meta.change_spec,
    validate=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", prepare_status, job_status.validate),),
    columns=(
        NAME_COLUMN,
        Column("Status", lambda job, _: state(job)),
        Column("Completions", _progress),
        Column("Duration", _duration),
        Column("Age", age),
        *CONTAINER_COLUMNS,
        SELECTOR_COLUMN,
    ),
    fields={"status.successful": lambda job: str(job.status.succeeded)},
    warnings=warnings,
)
