"""Jobs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kinds.core.making import changed, findings
from sampan.api import codec
from sampan.api.batch.v1 import JobCondition
from sampan.api.resources import JOBS
from sampan.api.scalars import Time
from sampan.kinds.batch import job as jobs

NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)


def created(spec: dict[str, Any] | None = None) -> Any:
    body = {"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}} | (spec or {})}
    job = codec.convert(JOBS.wire, body)
    jobs.KIND.default(job)
    jobs.KIND.prepare_create(job)
    return job


def said(job: Any) -> list[str]:
    return [str(error) for error in jobs.KIND.validate(job)]


def test_the_selector_is_made_of_the_uid_and_labels_the_pods_and_the_job() -> None:
    job = created()
    assert job.spec.selector.matchLabels == {"batch.kubernetes.io/controller-uid": "u"}
    assert job.spec.template.metadata.labels == job.metadata.labels == {
        "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j", "controller-uid": "u", "job-name": "j"}
    assert said(job) == []


def test_a_manual_selector_stays_as_it_is() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Never",
                                                            "containers": [{"name": "c", "image": "i"}]}}
    job = created({"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}, "template": template})
    assert job.spec.selector.matchLabels == {"a": "b"}
    assert said(job) == []


def test_a_selector_brought_along_is_refused() -> None:
    assert said(created({"selector": {"matchLabels": {"a": "b"}}})) == [
        'spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"u"}}: '
        "`selector` not auto-generated",
        'spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u",'
        '"batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"}: '
        "`selector` does not match template `labels`"]


def test_a_limit_for_each_index_lifts_the_one_for_the_job() -> None:
    job = created({"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1})
    assert job.spec.backoffLimit == jobs.NO_LIMIT
    assert said(job) == []


def test_completions_of_an_indexed_job_move_only_with_its_parallelism() -> None:
    job = created({"completionMode": "Indexed", "completions": 3, "parallelism": 3})
    assert changed(JOBS, job, {"spec": {"completions": 5, "parallelism": 5}})[1] == []
    assert changed(JOBS, job, {"spec": {"completions": 5}})[1] == [
        "spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"]


def test_where_pods_run_can_change_until_a_suspended_job_starts() -> None:
    change = {"spec": {"template": {"spec": {"nodeSelector": {"zone": "a"}}}}}
    suspended = created({"suspend": True})
    assert changed(JOBS, suspended, change)[1] == []
    suspended.status.startTime = Time.of(NOW)
    assert [text.split(":")[0] for text in changed(JOBS, suspended, change)[1]] == ["spec.template"]
    suspended.status.conditions = [JobCondition(type="Suspended", status="True")]
    assert changed(JOBS, suspended, change)[1] == []
    suspended.status.active = 1
    assert [text.split(":")[0] for text in changed(JOBS, suspended, change)[1]] == ["spec.template"]


def test_what_pods_need_can_change_while_a_job_is_suspended() -> None:
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "2"}}}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    assert changed(JOBS, created({"suspend": True}), change)[1] == []
    assert [text.split(":")[0] for text in changed(JOBS, created(), change)[1]] == ["spec.template"]


def test_other_changes_of_a_suspended_jobs_pods_are_found_in_their_spec() -> None:
    image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "other"}]}}}}
    [text] = changed(JOBS, created({"suspend": True}), image)[1]
    assert text.startswith("spec.template.spec: Invalid value: {")
    assert text.endswith("}: field is immutable")


def test_what_may_not_change_is_shown_under_gos_names() -> None:
    old = created({"completionMode": "Indexed", "completions": 2})
    assert changed(JOBS, old, {"spec": {"successPolicy": {"rules": [{"succeededCount": 1}]}}})[1] == [
        'spec.successPolicy: Invalid value: {"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}: field is immutable']
    rules = [{"action": "Count", "onExitCodes": {"operator": "In", "values": [1]}}]
    assert changed(JOBS, old, {"spec": {"podFailurePolicy": {"rules": rules}, "podReplacementPolicy": "Failed"}})[1] == [
        'spec.podFailurePolicy: Invalid value: {"Rules":[{"Action":"Count","OnExitCodes":{"ContainerName":null,"Operator":"In",'
        '"Values":[1]},"OnPodConditions":null}]}: field is immutable']


def test_labels_are_shown_sorted() -> None:
    template = {"metadata": {"labels": {"z": "1", "a": "2", "controller-uid": "other"}}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    assert said(created({"template": template}))[0] == (
        'spec.template.metadata.labels[controller-uid]: Invalid value: {"a":"2","batch.kubernetes.io/controller-uid":"u",'
        '"batch.kubernetes.io/job-name":"j","controller-uid":"other","job-name":"j","z":"1"}: must be \'u\'')


def test_findings_about_the_spec_are_told_twice_on_an_update() -> None:
    finding = "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"
    assert changed(JOBS, created(), {"spec": {"parallelism": -1}})[1] == [finding, finding]


def test_a_job_of_very_many_indexes_is_warned_about_with_its_place() -> None:
    job = created({"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001})
    assert [text.split(",")[0] for text in jobs.KIND.warnings(job, None)] == [
        "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4"]
    assert jobs.KIND.warnings(job, job) == []


def test_a_failure_policy_is_held_to_its_rules() -> None:
    rules = [{"action": "Blow", "onExitCodes": {"operator": "In", "values": [0, 2, 1]}}, {"action": "FailIndex"}]
    assert said(created({"podFailurePolicy": {"rules": rules}})) == [
        'spec.podFailurePolicy.rules[0].action: Unsupported value: "Blow": supported values: "Count", "FailIndex", "FailJob", '
        '"Ignore"',
        "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,2,1]: must be ordered",
        'spec.podFailurePolicy.rules[1].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
        "spec.podFailurePolicy.rules[1]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"]


def test_a_success_policy_needs_indexes_that_are_there() -> None:
    spec = {"completionMode": "Indexed", "completions": 3,
            "successPolicy": {"rules": [{"succeededIndexes": "0,5"}, {"succeededIndexes": "0-1", "succeededCount": 3}, {},
                                        {"succeededIndexes": "1,1", "succeededCount": 1}]}}
    assert said(created(spec)) == [
        'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0,5": error parsing succeededIndexes: '
        'too large index: "5"',
        "spec.successPolicy.rules[1].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes "
        "in the specified succeededIndexes field)",
        "spec.successPolicy.rules[2]: Required value: at least one of succeededCount or succeededIndexes must be specified",
        'spec.successPolicy.rules[3].succeededIndexes: Invalid value: "1,1": error parsing succeededIndexes: '
        "non-increasing order, previous: 1, current: 1",
        "spec.successPolicy.rules[3].succeededCount: Invalid value: 1: must be less than or equal to 0 (the number of indexes "
        "in the specified succeededIndexes field)"]


def test_a_job_is_printed_with_its_state_progress_and_duration() -> None:
    job = created({"completions": 4})
    job.status.succeeded, job.status.startTime = 1, Time.of(NOW.replace(minute=0))
    cells = {column.name: column.value(job, NOW) for column in jobs.KIND.columns}
    assert (cells["Status"], cells["Completions"], cells["Duration"]) == ("Running", "1/4", "5m")


def test_negative_numbers_are_found_at_their_places() -> None:
    body = {"metadata": {"name": "j", "uid": "u"}, "spec": {"parallelism": -1, "backoffLimit": -1, "template": {"spec": {
        "restartPolicy": "Always", "containers": [{"name": "c", "image": "i"}]}}}}
    assert findings(JOBS, body) == [
        "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
        'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']


def test_a_job_whose_labels_are_taken_away_has_those_of_its_template() -> None:
    old = created()
    new, wrong = changed(JOBS, old, {"metadata": {"labels": None}}, "status")
    assert (new.metadata.labels, wrong) == (old.spec.template.metadata.labels, [])
