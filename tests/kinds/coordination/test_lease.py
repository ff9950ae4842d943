"""Leases."""

from __future__ import annotations

from datetime import UTC, datetime

from kinds.core.making import created, findings
from sampan.api.resources import LEASES
from sampan.kinds.coordination import lease


def test_a_lease_runs_out_its_duration_after_it_was_renewed() -> None:
    held = created(LEASES, {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15}})
    assert lease.expires(held.spec) == datetime(2026, 1, 1, 0, 0, 15, tzinfo=UTC)
    assert lease.expires(created(LEASES, {"spec": {}}).spec) is None


def test_durations_are_positive_and_transitions_not_negative() -> None:
    assert findings(LEASES, {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"]


def test_fields_behind_a_closed_gate_are_dropped() -> None:
    assert created(LEASES, {"spec": {"strategy": "OldestEmulationVersion", "preferredHolder": "x"}}).spec.strategy is None
