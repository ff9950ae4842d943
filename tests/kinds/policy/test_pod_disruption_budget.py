"""PodDisruptionBudgets."""

from __future__ import annotations

from datetime import UTC, datetime

from kinds.core.making import changed, created, findings
from sampan.api.resources import POD_DISRUPTION_BUDGETS
from sampan.kinds.policy import pod_disruption_budget


def test_both_amounts_at_once_are_refused() -> None:
    assert findings(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "a"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}}) == [
        'spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":1,"UnhealthyPodEvictionPolicy":null}: '
        "minAvailable and maxUnavailable cannot be both set"]


def test_amounts_and_policies_are_checked() -> None:
    spec = {"maxUnavailable": "200%", "unhealthyPodEvictionPolicy": "Never"}
    assert findings(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "a"}, "spec": spec}) == [
        'spec.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
        'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"']


def test_a_status_is_never_negative() -> None:
    old = created(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "a"}, "spec": {"minAvailable": 1}})
    assert changed(POD_DISRUPTION_BUDGETS, old, {"status": {"currentHealthy": -1}}, "status")[1] == [
        "status.currentHealthy: Invalid value: -1: must be greater than or equal to 0"]


def test_a_budget_is_printed_with_the_amount_that_is_not_set_as_not_available() -> None:
    obj = created(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "a"}, "spec": {"minAvailable": "50%"}})
    cells = [column.value(obj, datetime(2026, 1, 1, tzinfo=UTC)) for column in pod_disruption_budget.KIND.columns]
    assert cells[:4] == ["a", "50%", "N/A", 0]


def test_the_name_of_a_budget_is_a_segment_of_a_path_and_no_more() -> None:
    check = pod_disruption_budget.KIND.name_check
    assert list(check("A_b")) == []
    assert list(check("a/b")) == ["may not contain '/'"]
