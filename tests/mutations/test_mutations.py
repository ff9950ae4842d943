"""Mistakes planted in a copy of the sources are noticed: five in `make test`, all in `make soak`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mutations.plant import ROOT, Plantation, Unplanted
from mutations.planted import ALL, BELOW, CONTROL, CONTROLLERS, SCHEDULER, SERVER, Mutation

pytestmark = [pytest.mark.slow, pytest.mark.soak]
SAMPLE = (CONTROLLERS[0], SCHEDULER[0], CONTROL[0], SERVER[0], BELOW[0])


@pytest.fixture(scope="module")
def plantation(tmp_path_factory: pytest.TempPathFactory) -> Plantation:
    return Plantation(tmp_path_factory.mktemp("planted"))


@pytest.mark.parametrize("mutation", ALL if os.environ.get("SAMPAN_SOAK") else SAMPLE, ids=lambda one: f"{one.file}: {one.instead}")
def test_some_test_fails(mutation: Mutation, plantation: Plantation) -> None:
    assert plantation.outcome(*mutation) == ""


def test_every_text_is_where_it_is_said_to_be() -> None:
    assert len(set(ALL)) >= 40
    wrong = [one for one in ALL if (ROOT / "src" / "sampan" / one.file).read_text().count(one.text) != 1]
    assert wrong == [], "bring tests/mutations/planted.py up to date"


def test_a_text_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unplanted, match=r"store/memory\.py has 'no such text' 0 times, not once"):
        Plantation(tmp_path).outcome("store/memory.py", "no such text", "", ())
