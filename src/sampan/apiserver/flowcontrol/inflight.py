"""What bounds requests without priority and fairness; what a client is told that is turned away.

Source: `k8s.io/apiserver/pkg/server/filters/maxinflight.go`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.apiserver.flowcontrol.estimate import ONE_SEAT
from sampan.apiserver.flowcontrol.queueset import DONE, EXECUTING, Ticket
from sampan.apiserver.flowcontrol.tally import SchemaTally
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, text_answer
from sampan.lib.errors import ConfigError

NOT_MUTATING = frozenset(("get", "list", "watch", "head", "options"))
TOO_MANY = "Too many requests, please try again later.\n"


@dataclass(frozen=True)
class FlowSettings:
    """`reads` and `writes` at a time are the server's seats, together; without `fair` each bounds its own kind (0: unbounded)."""

    fair: bool = True
    reads: int = 400
    writes: int = 200


def flow_settings(*, fair: bool, reads: int, writes: int) -> FlowSettings:
    """What the flags say.

    Raises:
        ConfigError: They leave no request a seat.
    """
    if reads < 0 or writes < 0:
        raise ConfigError(f"--max-requests-inflight {reads} and --max-mutating-requests-inflight {writes} can't be negative")
    if fair and reads + writes == 0:
        raise ConfigError("--max-requests-inflight and --max-mutating-requests-inflight can't both be 0 with priority and fairness",
                          hint="give at least one of them, or --enable-priority-and-fairness=false")
    return FlowSettings(fair, reads, writes)


class InFlight:
    """Without fairness: how many are worked on at a time, reads and writes apart; administrators always are.

    Keeps the contract of `FlowControl` as far as a request's way goes.
    """

    def __init__(self, settings: FlowSettings) -> None:
        self._free = {False: settings.reads or None, True: settings.writes or None}

    def enter(self, info: RequestInfo) -> Ticket | None:
        """See `FlowControl.enter`."""
        mutating = info.verb not in NOT_MUTATING
        ticket = Ticket(_NO_TALLY, "", ONE_SEAT, 0.0, 0)
        ticket.about = info
        free = self._free[mutating]
        ticket.state = DONE
        if info.verb == "watch" or free is None:
            return ticket
        if free <= 0:
            return ticket if "system:masters" in info.user.groups else None
        self._free[mutating] = free - 1
        ticket.state = EXECUTING
        return ticket

    def refusal(self, _: RequestInfo) -> Answer:
        """See `FlowControl.refusal`."""
        return too_many(1)

    @staticmethod
    def waits(_: Ticket) -> bool:
        """Nobody ever does."""
        return False

    async def turn(self, _: Ticket) -> bool:
        """See `FlowControl.turn`."""
        return True

    def leave(self, ticket: Ticket) -> None:
        """See `FlowControl.leave`."""
        if ticket.state == EXECUTING:
            ticket.state = DONE
            mutating = ticket.about.verb not in NOT_MUTATING
            self._free[mutating] = (self._free[mutating] or 0) + 1


_NO_TALLY = SchemaTally("", "")


def too_many(seconds: int) -> Answer:
    """Upstream's 429, which is no Status."""
    return text_answer(TOO_MANY, 429, headers=[(b"retry-after", str(seconds).encode())])
