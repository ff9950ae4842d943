"""Waiting in tests."""

from __future__ import annotations

import asyncio

import pytest

from sampan.testing import waiting


def test_the_answer_is_what_was_true_at_last() -> None:
    answers = iter([0, "", None, "yes"])

    async def asked() -> object:
        return next(answers)

    assert waiting.run(waiting.until(asked, "yes")) == "yes"
    later = iter([0, 7])
    assert waiting.run(waiting.until(lambda: next(later))) == 7
    soon = iter([[], [1]])
    assert waiting.until_true(lambda: next(soon), "something") == [1]


def test_what_never_happens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="within 0 s this did not happen: the pod runs"):
        asyncio.run(waiting.until(lambda: False, "the pod runs"))
    with pytest.raises(AssertionError, match="the pod runs"):
        waiting.until_true(lambda: False, "the pod runs")
    with pytest.raises(TimeoutError):
        waiting.run(asyncio.sleep(1))
