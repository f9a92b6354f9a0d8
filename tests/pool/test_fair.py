"""The queue alone, driven by a clock of its own: what it promises, for any users and costs."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jupyter_astroml.pool.fair import FairQueue

QUANTUM = 0.05
# A busy machine takes its time.
calm = settings(deadline=None, max_examples=60)


@dataclass(eq=False)
class Piece:
    """A unit with a cost that is known: ``fixed + each · n`` seconds."""

    user: str
    n: int = 1
    fixed: float = 0.0
    each: float = 0.1
    kind: str = "one"
    mergeable: bool = False
    more: float = 0
    batch_seconds: float = 0.1
    number: int = 0
    truly: float = 0.0
    seconds: float = field(init=False)

    def __post_init__(self):
        self.seconds = self.fixed + self.added
        self.truly = self.truly or self.seconds

    def __len__(self):
        return self.n

    @property
    def added(self):
        return self.each * self.n

    @property
    def seconds_in_all(self):
        return self.seconds * (1 + self.more)

    def following(self):
        if not self.more:
            return None
        more, number = self.more - 1, self.number + 1
        return Piece(
            self.user, self.n, self.fixed, self.each, self.kind, self.mergeable, more,
            self.batch_seconds, number, self.truly,
        )  # fmt: skip


costs = st.floats(0.004, 0.3)
many = st.lists(costs, min_size=2, max_size=8)


def queue_of(pieces, shares=None):
    shares = shares or {}
    queue = FairQueue(quantum=QUANTUM, share=lambda user: shares.get(user, 1.0))
    for piece in pieces:
        queue.put(piece)
    return queue


def served(queue, seconds):
    """Worker time of each user after one worker was busy for so long."""
    clock, times = 0.0, defaultdict(float)
    while clock < seconds:
        for piece in queue.take(objects=64):
            times[piece.user] += piece.truly
            clock += piece.truly
            queue.charge(piece.user, piece.truly - piece.seconds)
    return times


@calm
@given(many)
def test_users_who_always_wait_get_the_same_time_whatever_their_units_cost(each):
    users = {f"u{i}": cost for i, cost in enumerate(each)}
    queue = queue_of(Piece(u, each=c, more=float("inf")) for u, c in users.items())

    times = served(queue, 30.0)

    apart = max(times.values()) - min(times.values())
    assert apart <= 2 * max(each) + QUANTUM


@calm
@given(many, st.data())
def test_time_is_shared_as_the_shares_say(each, data):
    shares = {f"u{i}": data.draw(st.floats(0.25, 8.0)) for i in range(len(each))}
    queue = queue_of(
        (Piece(u, each=c, more=float("inf")) for u, c in zip(shares, each, strict=True)), shares
    )

    times = served(queue, 60.0)

    turns = [times[user] / share for user, share in shares.items()]
    assert max(turns) - min(turns) <= 2 * max(each) / min(shares.values()) + 2 * QUANTUM


@calm
@given(many, st.data())
def test_wrong_expectations_are_made_good_by_what_units_truly_took(each, data):
    pieces = [
        Piece(f"u{i}", each=cost, truly=cost * data.draw(st.floats(0.3, 3.0)), more=float("inf"))
        for i, cost in enumerate(each)
    ]

    times = served(queue_of(pieces), 40.0)

    longest = max(max(p.truly, p.seconds) for p in pieces)
    assert max(times.values()) - min(times.values()) <= 3 * longest + QUANTUM


@calm
@given(many, costs)
def test_nobody_starves_however_many_others_always_wait(each, mine):
    queue = queue_of(Piece(f"u{i}", each=c, more=float("inf")) for i, c in enumerate(each))
    served(queue, 5.0)
    queue.put(Piece("late", each=mine))

    waited = 0.0
    while "late" in queue.users:
        waited += sum(piece.seconds for piece in queue.take() if piece.user != "late")

    # Everybody has at most as much as I ask for, and what a turn and a unit are too long.
    assert waited <= len(each) * (mine + 2 * QUANTUM + max(each))


def test_who_was_idle_has_no_claim_on_the_past():
    queue = queue_of([Piece("busy", more=float("inf"))])
    served(queue, 100.0)
    queue.put(Piece("late", more=float("inf")))

    times = served(queue, 10.0)

    assert times["late"] == pytest.approx(times["busy"], abs=0.3)


@pytest.mark.parametrize("truly", [0.1, 1.0, 4.0])
def test_who_asks_for_one_thing_at_a_time_pays_for_what_it_truly_took(truly):
    queue = queue_of([Piece("bulk", more=float("inf"))])
    times = defaultdict(float)

    while sum(times.values()) < 200:
        if "single" not in queue.users:
            # Each looks cheap, and leaves an empty line behind.
            queue.put(Piece("single", each=0.02, truly=truly))
        for piece in queue.take():
            times[piece.user] += piece.truly
            queue.charge(piece.user, piece.truly - piece.seconds)

    assert times["single"] <= 0.5 * 200 + 2 * truly


def test_debts_are_forgotten_when_nobody_waits():
    queue = queue_of([Piece("debtor", each=0.02), Piece("other", each=0.02)])
    while taken := queue.take():
        queue.charge(taken[0].user, 50.0 if taken[0].user == "debtor" else 0.0)
    for _ in range(5):
        queue.put(Piece("debtor"))
        queue.put(Piece("other"))

    first = [queue.take()[0].user for _ in range(4)]

    assert sorted(first) == ["debtor", "debtor", "other", "other"]


sizes = st.integers(1, 40)
requests = st.lists(
    st.tuples(
        st.sampled_from("abcd"), sizes, st.sampled_from(("one", "two")), st.booleans(), costs
    ),
    max_size=30,
)


@calm
@given(requests, st.integers(1, 100), st.floats(0.01, 2.0))
def test_a_batch_is_of_one_kind_and_no_larger_or_longer_than_allowed(asked, objects, seconds):
    cost = {"one": (0.014, 0.005), "two": (0.0, 0.02)}
    pieces = [
        Piece(u, n, *cost[kind], kind=kind, mergeable=merge, batch_seconds=seconds)
        for u, n, kind, merge, _ in asked
    ]
    queue = queue_of(pieces)
    taken = 0
    while batch := queue.take(objects=objects):
        taken += len(batch)
        n = sum(map(len, batch))
        assert len({piece.kind for piece in batch}) == 1
        if len(batch) > 1:
            fixed, each = cost[batch[0].kind]
            assert all(piece.mergeable for piece in batch)
            assert n <= objects
            assert fixed + each * n <= seconds + 1e-9

    assert taken == len(pieces)


def test_small_requests_of_many_users_go_together_as_far_as_their_added_time_allows():
    # Alone each would take 19 ms: five of them fill 0.1 s.  Together it is 14 + 5 n ms: seventeen.
    queue = queue_of(Piece(f"u{i}", 1, 0.014, 0.005, mergeable=True) for i in range(30))

    assert len(queue.take(objects=256)) == 17


@calm
@given(requests, st.integers(1, 100))
def test_the_units_of_a_user_keep_their_order(asked, objects):
    pieces = [
        Piece(u, n, 0.0, cost, kind, merge, more=i % 3, batch_seconds=1.0, number=100 * i)
        for i, (u, n, kind, merge, cost) in enumerate(asked)
    ]
    queue = queue_of(pieces)
    found = defaultdict(list)
    while batch := queue.take(objects=objects):
        for piece in batch:
            found[piece.user].append(piece.number)

    assert all(numbers == sorted(numbers) for numbers in found.values())


waiting = st.lists(st.tuples(costs, st.integers(0, 30)), min_size=1, max_size=6)


@calm
@given(waiting, st.tuples(costs, st.integers(0, 10)), st.floats(0.25, 8.0))
def test_what_is_ahead_is_no_less_than_what_comes_and_it_falls(others, mine, share):
    assume(mine[0] > 0)
    pieces = [Piece(f"u{i}", each=cost, more=more) for i, (cost, more) in enumerate(others)]
    queue = queue_of([*pieces, Piece("me", each=mine[0], more=mine[1])], {"me": share})
    told = [queue.ahead("me", queue.waiting())]
    came = 0.0
    while "me" in queue.users:
        came += sum(piece.seconds for piece in queue.take() if piece.user != "me")
        told.append(queue.ahead("me", queue.waiting()))

    # Turns are whole units: each of the others may be one ahead of the shares.
    slack = sum(cost for cost, _ in others) + QUANTUM * len(others) * (1 + mine[1] / share)
    assert came <= told[0] + slack
    assert all(later <= sooner + 1e-9 for sooner, later in pairwise(told))
    assert told[-1] == 0.0


@calm
@given(requests, st.sampled_from("abcd"))
def test_what_is_not_wanted_any_more_is_taken_out_and_nothing_else(asked, gone):
    pieces = [Piece(u, n, each=cost) for u, n, _, _, cost in asked]
    queue = queue_of(pieces)

    dropped = queue.drop(lambda piece: piece.user == gone)

    assert {piece.user for piece in dropped} <= {gone}
    assert len(dropped) + len(queue) == len(pieces)
    assert gone not in queue.users
