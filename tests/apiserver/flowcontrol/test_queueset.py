"""One level's seats and queues: transcripts, and what must hold whatever happens."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.apiserver.flowcontrol.estimate import ONE_SEAT, Work
from sampan.apiserver.flowcontrol.queueset import (
    DONE,
    EXECUTING,
    LINGERING,
    MOST_SPENT,
    UNIT,
    WAITING,
    QueueSet,
    Queuing,
    Ticket,
)
from sampan.apiserver.flowcontrol.tally import SchemaTally
from sampan.testing.datadriven import Block, run, transcripts


class Play:
    """`name[:number][/seats[+final@seconds]]`: requests with the same name before the colon are one flow."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tickets: dict[str, Ticket] = {}
        self.entropies: dict[str, int] = {}

    def handle(self, block: Block) -> str:
        return str(getattr(self, block.name.replace("-", "_"))(block))

    @staticmethod
    def queuing(block: Block) -> Queuing:
        return Queuing(block.number("queues"), block.number("hand", 1), block.number("length"))

    def level(self, block: Block) -> str:
        self.now, self.tickets, self.entropies = 0.0, {}, {}
        self.tally = SchemaTally("level", "schema")
        self.set = QueueSet(self.queuing(block), block.number("seats"), self.now)
        return "ok"

    def start(self, block: Block) -> str:
        lines = []
        for word in block.words:
            flow = word.partition("/")[0].partition(":")[0]
            rejected = dict(self.tally.rejected)
            ticket = self.set.start(self.tally, self.entropies.setdefault(flow, len(self.entropies)), flow, self.now, work(word))
            self.set.take_dispatched()
            if ticket is None:
                reason = next(iter((Counter(self.tally.rejected) - Counter(rejected)).elements()))
                lines.append(f"{word} rejected: {reason}")
                continue
            self.tickets[word] = ticket
            lines.append(f"{word} {ticket.state}")
        return "\n".join(lines)

    def told(self) -> str:
        out = self.set.take_dispatched()
        return "\n".join(f"{self.name(ticket)} executing" for ticket in out) or "nobody"

    def name(self, ticket: Ticket) -> str:
        return next(name for name, known in self.tickets.items() if known is ticket)

    def finish(self, block: Block) -> str:
        self.set.finish(self.tickets[block.words[0]], self.now)
        return self.told()

    def cancel(self, block: Block) -> str:
        self.set.cancel(self.tickets[block.words[0]], self.now)
        return self.told()

    def wait(self, block: Block) -> str:
        self.now += float(block.get("seconds"))
        self.set.advance(self.now)
        return self.told()

    def release(self, _: Block) -> str:
        at = self.set.next_release
        return "never" if at is None else f"in {at - self.now:g} s"

    def configure(self, block: Block) -> str:
        self.set.configure(self.queuing(block), block.number("seats"), self.now)
        return self.told()

    def finish_in_turn(self, block: Block) -> str:
        """Each takes so long; the order in which those that wait are served."""
        order = []
        while executing := [ticket for ticket in self.tickets.values() if ticket.state == EXECUTING]:
            self.now += float(block.get("seconds"))
            self.set.finish(executing[0], self.now)
            order += [self.name(ticket) for ticket in self.set.take_dispatched()]
        return " ".join(order)

    def queues(self, _: Block) -> str:
        return str(len(self.set.queues))


def work(word: str) -> Work:
    seats, _, final = word.partition("/")[2].partition("+")
    width, _, seconds = final.partition("@")
    return Work(int(seats or 1), int(width or 0), float(seconds or 0)) if seats else ONE_SEAT


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcripts(path: Path) -> None:
    run(path, Play().handle)


STEPS = st.lists(st.tuples(st.sampled_from(("start", "finish", "cancel", "wait", "configure")), st.integers(0, 7), st.integers(1, 6),
                           st.floats(0, 0.5)), max_size=120)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, seats=st.integers(1, 6), queues=st.integers(1, 6), length=st.integers(0, 4))
def test_books_are_kept_bounds_are_kept_and_nobody_is_forgotten(
        steps: list[tuple[str, int, int, float]], seats: int, queues: int, length: int) -> None:
    tally, now, tickets = SchemaTally("level", "schema"), 0.0, list[Ticket]()
    queue_set = QueueSet(Queuing(queues, min(2, queues), length), seats, now)
    for what, number, width, seconds in steps:
        now += seconds
        of = {state: [one for one in tickets if one.state == state] for state in (WAITING, EXECUTING)}
        if what == "start":
            cost = Work(width, width if number > 4 else 0, seconds if number > 4 else 0.0)
            ticket = queue_set.start(tally, number, str(number), now, cost)
            tickets += [ticket] if ticket is not None else []
        elif what == "finish" and of[EXECUTING]:
            queue_set.finish(of[EXECUTING][number % len(of[EXECUTING])], now)
        elif what == "cancel" and of[WAITING]:
            queue_set.cancel(of[WAITING][number % len(of[WAITING])], now)
        elif what == "configure":
            queue_set.configure(Queuing(width, 1, length), number + 1, now)
        else:
            queue_set.advance(now)
        hold(queue_set, tickets, tally)
    # and when all go, one after the other, everybody who waited has been served
    while queue_set.executing or queue_set.next_release is not None:
        now = max(now, queue_set.next_release or now)
        queue_set.advance(now)
        for ticket in [one for one in tickets if one.state == EXECUTING][:1]:
            queue_set.finish(ticket, now)
        hold(queue_set, tickets, tally)
    assert queue_set.idle
    assert all(one.state in (DONE, LINGERING) for one in tickets)


def hold(queue_set: QueueSet, tickets: list[Ticket], tally: SchemaTally) -> None:
    """What the counters say is what the tickets are."""
    by_state = Counter(one.state for one in tickets)
    assert (queue_set.waiting, queue_set.executing) == (by_state[WAITING], by_state[EXECUTING]) == (tally.waiting, tally.executing)
    in_use = sum(one.seats for one in tickets if one.state in (EXECUTING, LINGERING))
    assert queue_set.seats_in_use == in_use == tally.seats
    assert queue_set.seats_waiting == sum(one.seats for one in tickets if one.state == WAITING) == tally.seats_waiting
    for index, queue in enumerate(queue_set.queues):
        assert queue.index == index
        assert queue.waiting_work == sum(one.work for one in queue.waiting)
        assert queue.seats == sum(one.seats for one in tickets if one.queue is queue and one.state in (EXECUTING, LINGERING))
    if queue_set.waiting:
        # nobody waits while there is a seat: only what is too wide for the free ones holds the others up
        assert queue_set.seats_in_use >= queue_set.limit or any(
            not queue_set._fits(queue.waiting[0].seats) for queue in queue_set.queues if queue.waiting)


@settings(max_examples=60, deadline=None)
@given(noise=st.integers(3, 40), seats=st.integers(1, 4), seconds=st.sampled_from((0.001, 0.003, 0.05, 1.0)))
def test_a_flow_that_asks_little_is_served_as_if_the_noisy_one_had_only_its_share(noise: int, seats: int, seconds: float) -> None:
    # given two flows in queues of their own, one of which always has many waiting
    tally, now, running, served = SchemaTally("level", "schema"), 0.0, list[tuple[float, Ticket]](), Counter[str]()
    queue_set = QueueSet(Queuing(2, 1, 1000), seats, now)
    for _ in range(200):
        while queue_set.waiting < noise:
            ask(queue_set, tally, 0, "noisy", now, running, seconds)
        if not any(ticket.distinguisher == "quiet" for ticket in queue_set.queues[1].waiting):
            ask(queue_set, tally, 1, "quiet", now, running, seconds)
        # when time goes by and requests end
        running.sort(key=lambda one: one[0])
        now, ticket = running.pop(0)
        queue_set.finish(ticket, now)
        served[ticket.distinguisher] += 1
        running += [(now + seconds, one) for one in queue_set.take_dispatched()]
    # then the one that never has more than one waiting has had half of the server
    assert served["quiet"] >= 0.45 * served.total()


def ask(queue_set: QueueSet, tally: SchemaTally, entropy: int, name: str, now: float, running: list[tuple[float, Ticket]], seconds: float) -> None:
    ticket = queue_set.start(tally, entropy, name, now)
    assert ticket is not None
    if ticket.state == EXECUTING:
        queue_set.take_dispatched()
        running.append((now + seconds, ticket))


def test_a_quiet_flow_overtakes_a_thousand_of_a_noisy_one() -> None:
    tally = SchemaTally("level", "schema")
    queue_set = QueueSet(Queuing(128, 6, 1000), 1, 0.0)
    first = queue_set.start(tally, 11, "noisy", 0.0)
    assert first is not None
    for _ in range(1000):
        queue_set.start(tally, 11, "noisy", 0.0)
    quiet = queue_set.start(tally, 2**40 + 7, "quiet", 0.0)
    assert quiet is not None
    executing, served = first, 0
    while quiet.state == WAITING:
        queue_set.finish(executing, 0.0)
        executing, = queue_set.take_dispatched()
        served += 1
    # its hand of six queues may hold one of the noisy flow's, never all of them
    assert served <= 7


def test_where_the_meter_stands_and_who_is_next_can_be_seen() -> None:
    tally = SchemaTally("level", "schema")
    queue_set = QueueSet(Queuing(2, 1, 10), 1, 0.0)
    assert queue_set.next_starts() == (0, 0)
    for entropy, now in ((0, 0.0), (0, 1.0), (1, 1.0)):
        queue_set.start(tally, entropy, "", now)
    # one seat, so R went as fast as time; the first was expected to last three milliseconds
    assert (queue_set.r, queue_set.dispatch_r, queue_set.latest_s) == (UNIT, 0, 0)
    assert queue_set.next_starts() == (UNIT, UNIT)
    assert queue_set.next_starts(discounted=True) == (UNIT - 300_000, UNIT)


def test_time_is_booked_by_what_was_in_use() -> None:
    tally = SchemaTally("level", "schema")
    queue_set = QueueSet(Queuing(1, 1, 10), 1, 0.0)
    ticket = queue_set.start(tally, 0, "", 1.0)
    queue_set.start(tally, 0, "", 1.5)
    assert ticket is not None
    assert queue_set.take_spent(2.0) == {(0, 0, 0, 0): 1.0, (1, 1, 0, 0): 0.5, (1, 1, 1, 1): 0.5}
    queue_set.finish(ticket, 2.25)
    assert queue_set.take_spent(3.0) == {(1, 1, 1, 1): 0.25, (1, 1, 0, 0): 0.75}


def test_a_set_says_when_its_books_should_be_taken_away() -> None:
    # given a level with one seat, and ever more requests that wait for it
    tally = SchemaTally("level", "schema")
    queue_set = QueueSet(Queuing(1, 1, 2 * MOST_SPENT), 1, 0.0)
    started = 0
    while not queue_set.full:
        started += 1
        queue_set.start(tally, 0, "", float(started))
    # then it is full with as many states as it counts apart
    assert len(queue_set.spent) == MOST_SPENT
    # and taking them loses nothing and makes room
    assert sum(queue_set.take_spent(float(started)).values()) == started
    assert not queue_set.full
