"""Decisions stay synchronous even when another server has to be asked: they are made again with its answer.

`Authorizer.authorize` raises `Undecided` where only a webhook knows. Whoever awaits anyway runs the decision by `settled`,
which asks and runs it again; what it does must change nothing before it has decided. Without a webhook that costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from typing import Protocol, TypeVar

from sampan.apiserver.auth.base import Decision

T = TypeVar("T")
MOST_QUESTIONS = 1000
_ANSWERS: ContextVar[dict[Hashable, Decision] | None] = ContextVar("answers", default=None)


class Question(Protocol):
    """What another server is to be asked."""

    @property
    def key(self) -> Hashable: ...

    async def ask(self) -> Decision:
        """The answer; a server that can't be asked has one too."""
        ...


class Undecided(Exception):
    """The decision waits for another server's."""

    def __init__(self, question: Question) -> None:
        super().__init__("only a webhook knows")
        self.question = question


def answered(key: Hashable) -> Decision | None:
    """The answer that `settled` has got for the decision that runs, None where it has none."""
    answers = _ANSWERS.get()
    return None if answers is None else answers.get(key)


async def settled(work: Callable[[], Awaitable[T]], first: Undecided | None = None) -> T:
    """What `work` comes to; while it raises `Undecided`, ask and let it begin again. `first`: it has been begun already."""
    if first is None:
        try:
            return await work()
        except Undecided as error:
            first = error
    question = first.question
    answers = dict(_ANSWERS.get() or {})
    token = _ANSWERS.set(answers)
    try:
        for _ in range(MOST_QUESTIONS):
            answers[question.key] = await question.ask()
            try:
                return await work()
            except Undecided as more:
                question = more.question
    finally:
        _ANSWERS.reset(token)
    raise RuntimeError(f"a decision asked more than {MOST_QUESTIONS} questions")


async def decided(work: Callable[[], T], first: Undecided | None = None) -> T:
    """The same for work that awaits nothing."""
    if first is None:
        try:
            return work()
        except Undecided as error:
            first = error

    async def run() -> T:
        return work()
    return await settled(run, first)
