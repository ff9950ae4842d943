"""Budgets of disruption: what may go, and what must stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kinds.core.making import created
from sampan.api.policy.v1 import PodDisruptionBudgetStatus
from sampan.api.resources import POD_DISRUPTION_BUDGETS
from sampan.api.scalars import Time
from sampan.kinds.policy import evict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def budget(spec: dict[str, Any], **status: Any) -> Any:
    pdb = created(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "b"}, "spec": spec})
    pdb.status = PodDisruptionBudgetStatus(**{"observedGeneration": 1} | status)
    return pdb


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
