"""Whatever the weather does on the way, the end is that of a quiet run: 5 seeds in `make test`, 50 in `make soak`.

A fifth of all calls fail, some of them after they took effect; watches end and bring their events late; every controller, the scheduler
and the nodes' agents are killed and begin anew. What is compared and what must never be is in `state`, what happens in `script`.
"""

from __future__ import annotations

import os

import pytest

from chaos.runs import Outcome, differences, repeatable

pytestmark = [pytest.mark.slow, pytest.mark.soak]
SEEDS = range(1, 51) if os.environ.get("SAMPAN_SOAK") else (1, 8, 18, 39, 46)


@pytest.fixture(scope="module")
def quiet() -> Outcome:
    return repeatable(0, bad=False)


def test_a_quiet_run_leaves_nothing_wrong(quiet: Outcome) -> None:
    assert quiet.wrong == []
    assert quiet.counts == {}
    assert sum(line.startswith("Pod ") and line.endswith(".status.phase = 'Running'") for line in quiet.state) > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_the_end_is_that_of_a_quiet_run(seed: int, quiet: Outcome) -> None:
    stormy = repeatable(seed)
    assert {"failed call", "lost answer", "failed watch", "cut watch", "late event", "kill"} <= set(stormy.counts)
    assert differences(quiet, stormy) == []
