"""When a server asks a client to come back later: 429 and the 5xx answers that carry `Retry-After`.

Owns which answers ask for it, how long they are believed and how often a request is made again, whatever its verb: the server has not
acted upon it. Leaves connections that break, and what else may be tried again, to whoever calls. Source: client-go `rest/with_retry.go`
(checkWait), `rest/request.go` (ten retries).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sampan.aio.clock import AsyncClock

log = logging.getLogger(__name__)

A = TypeVar("A")
MOST_RETRIES = 10
MOST_WAIT_SECONDS = 60
"""The longest that one request waits in all: who is asked for more gets the error at once and can decide."""
TOO_MANY_REQUESTS, SERVER_ERRORS = 429, 500
_SECONDS = re.compile(r"[+-]?\d{1,9}", re.ASCII).fullmatch  # a date, which HTTP allows as well, is no number to upstream either


def wait_seconds(code: int, retry_after: str) -> int | None:
    """How long the server asks to wait before the same request is made again; None: it does not ask for that. Pure."""
    if (code != TOO_MANY_REQUESTS and code < SERVER_ERRORS) or not _SECONDS(retry_after):
        return None
    return max(0, int(retry_after))


async def insist(answer: A, again: Callable[[], Awaitable[A]], asked: Callable[[A], int | None], clock: AsyncClock) -> A:
    """Make the request again while its answers ask for that: the last answer, which may still be a refusal.

    Args:
        answer: What came of it first.
        again: Makes the request once more.
        asked: What `wait_seconds` says of an answer.
        clock: Whose time is waited.
    """
    left = MOST_WAIT_SECONDS
    for attempt in range(MOST_RETRIES):
        seconds = asked(answer)
        if seconds is None or seconds > left:
            break
        left -= seconds
        log.debug("the server asks to come back later", extra={"seconds": seconds, "attempt": attempt + 1})
        await clock.sleep(seconds)
        answer = await again()
    return answer
