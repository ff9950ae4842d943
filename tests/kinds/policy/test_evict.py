"""Budgets of disruption: what may go, and what must stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kinds.core.making import created, pod
from sampan.api.core.v1 import PodCondition
from sampan.api.policy.v1 import PodDisruptionBudgetStatus
from sampan.api.resources import POD_DISRUPTION_BUDGETS
from sampan.api.scalars import Time
from sampan.kinds.policy import evict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def budget(spec: dict[str, Any], **status: Any) -> Any:
    pdb = created(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "b"}, "spec": spec})
    pdb.status = PodDisruptionBudgetStatus(**{"observedGeneration": 1} | status)
    return pdb


def running(*, ready: bool) -> Any:
    one = pod()
    one.status.phase = "Running"
    one.status.conditions = [PodCondition(type="Ready", status="True" if ready else "False")]
    return one


def test_pods_that_are_over_or_not_running_yet_have_no_budget() -> None:
    one = running(ready=True)
    assert not evict.ignores_budgets(one)
    one.status.phase = "Succeeded"
    assert evict.ignores_budgets(one)


def test_a_budget_that_the_controller_has_not_seen_says_later() -> None:
    verdict = evict.may_evict(running(ready=True), budget({"minAvailable": 1}, observedGeneration=0, disruptionsAllowed=1))
    assert (verdict.allowed, verdict.retry_after_seconds) == (False, 10)
    assert verdict.cause == "The disruption budget b is still being processed by the server."


def test_a_spent_budget_refuses_and_says_how_many_are_needed() -> None:
    verdict = evict.may_evict(running(ready=True), budget({"minAvailable": 2}, desiredHealthy=2, currentHealthy=2))
    assert not verdict.allowed
    assert verdict.cause == "The disruption budget b needs 2 healthy pods and has 2 currently"


def test_an_unready_pod_goes_when_enough_others_are_healthy_or_the_policy_says_always() -> None:
    spent = {"desiredHealthy": 2, "currentHealthy": 1}
    assert not evict.may_evict(running(ready=False), budget({"minAvailable": 2}, **spent)).allowed
    enough = evict.may_evict(running(ready=False), budget({"minAvailable": 2}, desiredHealthy=2, currentHealthy=2))
    assert (enough.allowed, enough.disrupts) == (True, False)
    always = budget({"minAvailable": 2, "unhealthyPodEvictionPolicy": "AlwaysAllow"}, **spent)
    assert evict.may_evict(running(ready=False), always).allowed


def test_an_eviction_is_counted_in_the_status() -> None:
    pdb = budget({"minAvailable": 1}, disruptionsAllowed=1)
    assert evict.may_evict(running(ready=True), pdb).disrupts
    evict.record(pdb, "p", NOW)
    assert (pdb.status.disruptionsAllowed, pdb.status.disruptedPods) == (0, {"p": Time.of(NOW)})
    assert [(one.type, one.status, one.reason) for one in pdb.status.conditions] == [
        ("DisruptionAllowed", "False", "InsufficientPods")]


@pytest.mark.parametrize(("spec", "pods", "scale", "expected"), [
    ({"minAvailable": 2}, 3, 5, (3, 2)), ({"minAvailable": "50%"}, 3, 5, (5, 3)), ({"maxUnavailable": "50%"}, 3, 5, (5, 2)),
    ({"maxUnavailable": 1}, 3, 5, (5, 4)), ({"maxUnavailable": 9}, 3, 5, (5, 0)), ({}, 3, 5, (3, 0)),
])
def test_how_many_must_stay_healthy(spec: dict[str, Any], pods: int, scale: int, expected: tuple[int, int]) -> None:
    assert evict.wanted_healthy(budget(spec), pods, scale) == expected


def test_what_is_healthy_beyond_need_may_go() -> None:
    assert evict.allowance(5, 3, 4).disruptions_allowed == 1
    assert evict.allowance(5, 3, 2).disruptions_allowed == 0
    assert evict.allowance(0, 0, 0).disruptions_allowed == 0


def test_an_eviction_that_led_to_nothing_is_forgotten_after_two_minutes() -> None:
    assert not evict.disruption_over(Time.of(NOW), NOW + timedelta(minutes=2))
    assert evict.disruption_over(Time.of(NOW), NOW + timedelta(minutes=2, seconds=1))
