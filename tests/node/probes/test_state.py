"""Thresholds of probes."""

from __future__ import annotations

from sampan.api.core.v1 import Probe
from sampan.node.probes.state import initial


def verdicts(probe: Probe, answers: str) -> list[bool | None]:
    state, out = initial(probe), []
    for answer in answers:
        state = state.after(answer == "+")
        out.append(state.verdict)
    return out


def test_three_failures_in_a_row_make_a_failure() -> None:
    assert verdicts(Probe(), "+--+---") == [True, True, True, True, True, True, False]


def test_successes_must_come_in_a_row_too() -> None:
    assert verdicts(Probe(successThreshold=2, failureThreshold=1), "+-++-") == [None, False, False, True, False]
