"""`QueueSet`: the seats and queues of one priority level. Requests and the time go in, decisions come out.

Owns who is executed, who waits in which queue and who goes next, by fair queuing in virtual time: each queue has the
reading of the progress meter R at which its next request would start in a perfectly fair server, and the queue whose first
request would be finished first is served. Leaves waking whoever waits to the caller: `take_dispatched` names them.

A ticket's life:

    start ──(no seat, no room)──> None
      │
      ├──> WAITING ──dispatch──> EXECUTING ──finish──> LINGERING (seats kept for a while) ──> DONE
      │        └───cancel──> DONE                └───────────────────────────────────────────> DONE
      └──> EXECUTING

Work is counted in units of 10⁻⁸ seat-seconds, as upstream does; the time is any monotonic clock's, in seconds.
Source: KEP-1040; `k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing/queueset/queueset.go`.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Any

from sampan.apiserver.flowcontrol.estimate import ONE_SEAT, Work
from sampan.apiserver.flowcontrol.shuffle import deal
from sampan.apiserver.flowcontrol.tally import SchemaTally
from sampan.apiserver.flowcontrol.usage import Spent

UNIT = 100_000_000  # of one seat-second
EXPECTED_SECONDS = 0.003
"""How long a request is taken to last before it is known."""
MOST_HANDS = 16_384
"""As many as flows are known: 5,000 nodes, each a flow of its own, ask one after the other."""
MOST_SPENT = 512

WAITING, EXECUTING, LINGERING, DONE = "waiting", "executing", "lingering", "done"
EXEMPT, REJECT = -1, 0


@dataclass(frozen=True, slots=True)
class Queuing:
    """`queues`: how many, or EXEMPT (no limit at all), or REJECT (what finds no seat is turned away)."""

    queues: int = REJECT
    hand_size: int = 1
    length_limit: int = 0


class Ticket:
    """One request. `wake` is the caller's, who sets it while it waits; `about` is for those who look."""

    __slots__ = ("about", "arrived", "arrived_r", "distinguisher", "final_seats", "initial_seats", "latency", "level", "queue", "seats",
                 "started", "state", "tally", "wake", "work")

    def __init__(self, tally: SchemaTally, distinguisher: str, work: Work, now: float, r: int) -> None:
        self.tally, self.distinguisher = tally, distinguisher
        self.initial_seats, self.final_seats, self.latency, self.work = work.initial, work.final, work.latency_seconds, work.units
        self.seats = work.seats
        self.arrived, self.arrived_r, self.started = now, r, now
        self.state = WAITING
        self.queue: Queue | None = None
        self.level: Any = None
        self.about: Any = None
        self.wake: Any = None


class Queue:
    """Requests in the order in which they came."""

    __slots__ = ("executing", "index", "next_r", "seats", "waiting", "waiting_work")

    def __init__(self, index: int) -> None:
        self.index = index
        self.waiting: deque[Ticket] = deque()
        self.waiting_work = 0
        self.executing: dict[Ticket, None] = {}
        self.seats = 0
        self.next_r = 0
        """The reading of R at which the next one starts in the fair server."""

    def bound(self) -> None:
        """Credit of times without requests is not kept: nobody starts before it came."""
        if self.waiting and self.next_r < self.waiting[0].arrived_r:
            self.next_r = self.waiting[0].arrived_r


class QueueSet:
    """One level's. Every call is given the time, which never goes back."""

    def __init__(self, queuing: Queuing, limit: int, now: float) -> None:
        self.queuing, self.limit = queuing, limit
        self.queues = [Queue(index) for index in range(max(queuing.queues, 0))]
        self.r = 0
        self.waiting = self.executing = self.seats_in_use = self.seats_waiting = 0
        self.without_queue: dict[Ticket, None] = {}
        self.dispatched = self.rejected = self.cancelled = 0
        self.dispatch_r = self.latest_s = 0
        """Of the latest one that came from a queue: the reading of R then, and when it would have started in the fair server."""
        self.spent: Spent = {}
        """Seconds by (requests executing, seats in use, requests waiting, seats waited for); taken away by `take_spent`."""
        self.full = False
        """Whether it is time to call `take_spent`: more states are counted with ones like them, which takes long."""
        self.woken: list[Ticket] = []
        """Those that need not wait any longer, until `take_dispatched` takes them."""
        self._last = now
        self._robin = -1
        self._enqueued = 0
        self._active = 0  # queues with requests
        self._with_waiting: dict[Queue, None] = {}
        self._lingering: list[tuple[float, int, Ticket]] = []
        self._order = count()
        self._surplus = False  # more queues than wanted, until they are empty
        self._hands: dict[int, tuple[int, ...]] = {}

    # -- requests -------------------------------------------------------------------------------------------------

    def start(self, tally: SchemaTally, entropy: int, distinguisher: str, now: float, work: Work = ONE_SEAT) -> Ticket | None:
        """A request has come: its ticket, EXECUTING or WAITING, or None: turn it away."""
        if self._lingering:
            self.advance(now)
        else:
            self._tick(now)
        ticket = Ticket(tally, distinguisher, work, now, self.r)
        if self.queuing.queues < 1:
            if self.queuing.queues == REJECT and not self._fits(ticket.seats):
                self.rejected += 1
                tally.reject("concurrency-limit")
                return None
            self._execute(ticket, now)
            return ticket
        queue = self._choose(entropy)
        ticket.queue = queue
        free = self.limit - self.seats_in_use
        if not self.waiting and free > 0 and (ticket.seats <= free or self._fits(ticket.seats)):
            # nobody waits: what enqueuing and dispatching come to
            queue.next_r = self.r if not queue.executing or queue.next_r < self.r else queue.next_r
            tally.first += 1
            self._robin = queue.index
            self._execute(ticket, now)
            return ticket
        if self.seats_in_use >= self.limit and len(queue.waiting) >= self.queuing.length_limit:
            self.rejected += 1
            tally.reject("queue-full")
            return None
        self._enqueue(queue, ticket)
        self._dispatch(now)
        return ticket

    def finish(self, ticket: Ticket, now: float) -> None:
        """An executing request is done; its seats may be kept a while longer."""
        assert ticket.state == EXECUTING, ticket.state
        if self._lingering:
            self.advance(now)
        else:
            self._tick(now)
        self.executing -= 1
        ticket.tally.executing -= 1
        queue = ticket.queue
        if queue is None:
            del self.without_queue[ticket]
        else:
            del queue.executing[ticket]
            if not queue.executing and not queue.waiting:
                self._active -= 1
            queue.next_r -= round(ticket.initial_seats * (EXPECTED_SECONDS - (now - ticket.started)) * UNIT)
            if queue.waiting:
                queue.bound()
        if ticket.latency > 0:
            ticket.state = LINGERING
            heapq.heappush(self._lingering, (now + ticket.latency, next(self._order), ticket))
        else:
            self._release(ticket)
        if self.waiting:
            self._dispatch(now)

    def cancel(self, ticket: Ticket, now: float) -> None:
        """A waiting request is given up."""
        assert ticket.state == WAITING, ticket.state
        self.advance(now)
        if ticket in self.woken:  # seats became free meanwhile
            self.woken.remove(ticket)
            self.finish(ticket, now)
            return
        queue = ticket.queue
        assert queue is not None
        queue.waiting.remove(ticket)
        self._left(queue, ticket)
        queue.bound()
        ticket.state = DONE
        self.rejected += 1
        self.cancelled += 1
        ticket.tally.reject("time-out")
        self._shrink(queue)
        self._dispatch(now)  # a wide one may have held others up; upstream lets them wait for the next event

    def configure(self, queuing: Queuing, limit: int, now: float) -> None:
        """Go on with other queues or another limit; those in queues stay there until they are served."""
        self.advance(now)
        if queuing.queues > 0:
            self.queues += [Queue(index) for index in range(len(self.queues), queuing.queues)]
        if queuing != self.queuing:
            self._hands.clear()
        self.queuing, self.limit = queuing, limit
        self._surplus = len(self.queues) > max(queuing.queues, 0)
        for queue in reversed(self.queues[max(queuing.queues, 0):]):
            self._shrink(queue)
        self._dispatch(now)

    def advance(self, now: float) -> None:
        """The time is `now`: seats whose time is over are free."""
        while self._lingering and self._lingering[0][0] <= now:
            at, _, ticket = heapq.heappop(self._lingering)
            self._tick(at)
            self._release(ticket)
            self._dispatch(at)
        self._tick(now)

    # -- what the caller asks ----------------------------------------------------------------------------------

    def take_dispatched(self) -> list[Ticket]:
        """Those that need not wait any longer, once."""
        out, self.woken = self.woken, []
        return out

    @property
    def next_release(self) -> float | None:
        """When seats become free by themselves that somebody waits for."""
        return self._lingering[0][0] if self.waiting and self._lingering else None

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.executing

    def next_starts(self, *, discounted: bool = False) -> tuple[int, int]:
        """The least and the most of when the first of those that wait would start; less the work in progress if `discounted`."""
        part = EXPECTED_SECONDS * UNIT if discounted else 0.0
        starts = [queue.next_r - round(queue.seats * part) for queue in self._with_waiting]
        return min(starts, default=0), max(starts, default=0)

    @property
    def demand(self) -> int:
        """How many seats are, or would be, in use."""
        return self.seats_in_use + self.seats_waiting

    def take_spent(self, now: float) -> Spent:
        """How the time since the last call was spent."""
        self.advance(now)
        spent, self.spent, self.full = self.spent, {}, False
        self.spent[self.executing, self.seats_in_use, self.waiting, self.seats_waiting] = 0.0
        return spent

    # -- inside ------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        passed = now - self._last
        self._last = now
        seats, asked = self.seats_in_use, self.seats_waiting
        state = (self.executing, seats, self.waiting, asked)
        spent = self.spent
        if state in spent:
            spent[state] += passed
        elif len(spent) < MOST_SPENT:
            spent[state] = passed
            self.full = len(spent) == MOST_SPENT
        else:  # somebody should have taken it long ago: count it with a state that is like it
            nearest = min(spent, key=lambda known: abs(known[1] + known[3] - seats - asked))
            spent[nearest] += passed
        if self._active and passed > 0:
            self.r += round(min(seats + asked, self.limit) / self._active * passed * UNIT)

    def _fits(self, seats: int) -> bool:
        if seats > self.limit:
            return self.executing == 0
        return self.seats_in_use + seats <= self.limit

    def _choose(self, entropy: int) -> Queue:
        """The queue of the flow's hand that has the least work waiting."""
        hand = self._hands.get(entropy)
        if hand is None:
            if len(self._hands) >= MOST_HANDS:
                self._hands.clear()
            hand = self._hands[entropy] = deal(entropy, self.queuing.queues, self.queuing.hand_size)
        # flows whose hands overlap don't begin with the same card
        offset = self._enqueued % len(hand)
        self._enqueued += 1
        best = self.queues[hand[offset]]
        if self.waiting:
            for place in range(offset + 1, offset + len(hand)):
                queue = self.queues[hand[place % len(hand)]]
                if queue.waiting_work < best.waiting_work:
                    best = queue
        return best

    def _enqueue(self, queue: Queue, ticket: Ticket) -> None:
        if not queue.waiting and not queue.executing:
            queue.next_r = self.r
            self._active += 1
        queue.waiting.append(ticket)
        queue.waiting_work += ticket.work
        queue.bound()
        self._with_waiting[queue] = None
        self.waiting += 1
        self.seats_waiting += ticket.seats
        ticket.tally.waiting += 1
        ticket.tally.seats_waiting += ticket.seats
        ticket.tally.lengths.observe(len(queue.waiting))

    def _left(self, queue: Queue, ticket: Ticket) -> None:
        """It is out of the queue's line, executing or given up."""
        queue.waiting_work -= ticket.work
        if not queue.waiting:
            del self._with_waiting[queue]
            if not queue.executing:
                self._active -= 1
        self.waiting -= 1
        self.seats_waiting -= ticket.seats
        ticket.tally.waiting -= 1
        ticket.tally.seats_waiting -= ticket.seats

    def _dispatch(self, now: float) -> None:
        while self.waiting and self.seats_in_use < self.limit:
            queue = self._next()
            ticket = queue.waiting[0]
            if not self._fits(ticket.seats):
                # a wide one is not overtaken for ever: all wait until there is room for it
                ticket.tally.no_accommodation += 1
                return
            queue.waiting.popleft()
            self._left(queue, ticket)
            if ticket.final_seats > self.limit:
                ticket.latency = ticket.final_seats * ticket.latency / self.limit
                ticket.final_seats = self.limit
            self._robin = queue.index
            self._execute(ticket, now)
            queue.bound()
            self.woken.append(ticket)

    def _next(self) -> Queue:
        """The queue whose first request would be finished first; of equals, the next in turn."""
        if len(self._with_waiting) == 1:
            return next(iter(self._with_waiting))
        behind, total = self._robin + 1, len(self.queues)
        return min(self._with_waiting, key=lambda queue: (queue.next_r + queue.waiting[0].work, (queue.index - behind) % total))

    def _execute(self, ticket: Ticket, now: float) -> None:
        ticket.state, ticket.started = EXECUTING, now
        self.executing += 1
        self.dispatched += 1
        self.seats_in_use += ticket.seats
        tally, queue = ticket.tally, ticket.queue
        tally.executing += 1
        tally.seats += ticket.seats
        if queue is None:
            self.without_queue[ticket] = None
            return
        if not queue.executing and not queue.waiting:
            self._active += 1
        queue.executing[ticket] = None
        queue.seats += ticket.seats
        self.dispatch_r, self.latest_s = self.r, queue.next_r
        queue.next_r += ticket.work

    def _release(self, ticket: Ticket) -> None:
        ticket.state = DONE
        self.seats_in_use -= ticket.seats
        ticket.tally.seats -= ticket.seats
        if ticket.queue is not None:
            ticket.queue.seats -= ticket.seats
            if self._surplus:
                self._shrink(ticket.queue)

    def _shrink(self, queue: Queue) -> None:
        """Queues over the number that is wanted go when they are empty."""
        if len(self.queues) <= max(self.queuing.queues, 0) or queue.waiting or queue.executing:
            return
        if queue.index >= len(self.queues) or self.queues[queue.index] is not queue:
            return
        del self.queues[queue.index]
        for index in range(queue.index, len(self.queues)):
            self.queues[index].index = index
        if self._robin >= queue.index:
            self._robin -= 1
        self._surplus = len(self.queues) > max(self.queuing.queues, 0)
        self._hands.clear()
