"""What holds for Trading whatever arrives, in whatever order, however often.

Each property is a function `check_...` over a list of mail; Hypothesis feeds it, and a planted fault makes it fail.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from departments.trading import placing, reconcile, rounds, unknowns
from departments.trading.department import TradingDepartment
from departments.trading.orders import Absent, update_of
from departments.trading.state import TradingState
from messages.broker import (
    BrokerJudged,
    CancelAnswered,
    CancelOutcome,
    DoorClosed,
    FetchFailed,
    FetchOrder,
    FetchOrders,
    OrderAnswered,
    OrderMissing,
    OrderRefused,
    OrdersFetched,
    OrderStreamed,
    StreamConnected,
    StreamLost,
    SubmitOrder,
)
from messages.codec import decode, encode
from messages.control import AccountDeadlinePassed, Deadline, DeadlinePassed
from messages.envelope import Envelope, Outgoing
from messages.message import AccountMessage, Message, RunMessage
from messages.orders import (
    TERMINAL,
    Evidence,
    OrderIntent,
    OrderStatus,
    OrderUpdated,
    RunEnded,
    SnapshotPurpose,
    StreamHealth,
)
from messages.snapshots import BrokerStatus, OrderFacts
from messages.values import LegId, Recipient, RunId
from tests.builders import trading as t

S1 = t.an_intent("S01")
LEGS = ("S01", "S02", "B01")
Mail = Sequence[tuple[Message, float]]
"""Messages, and the seconds that pass before each."""

given_settings = settings(deadline=None, max_examples=100, database=None)
a_while = st.sampled_from([0, 0, 0.02, 0.5, 1, 3, 5, 11, 40])


# --- what may arrive ------------------------------------------------------------------------------------------------


def looks_at(intent: OrderIntent) -> list[OrderFacts]:
    """Every kind of look at an order of ours, consistent with itself or not."""
    return [
        t.facts(intent, status, filled, at_s=at_s, **({"filled_avg_price_usd": price} if filled else {}))
        for status in BrokerStatus
        for filled, price in ((0, ""), (1, "64.65"), (40, "64.64"), (40, "10"), (100, "64.64"))
        for at_s in (1, 3, 6)
    ]


LOOKS = {
    (run, leg, attempt): looks_at(t.an_intent(leg, run=run, attempt=attempt))
    for run in (t.RUN, t.OTHER_RUN)
    for leg in LEGS
    for attempt in (1, 2)
}


def run_mail(
    run: RunId = t.RUN, legs: Sequence[str] = LEGS, attempts: Sequence[int] = (1, 2)
) -> st.SearchStrategy[RunMessage]:
    """Any mail of a run: what the CEO asks, what the desk answers, what the stream tells, timers of any age."""
    intents = [t.an_intent(leg, run=run, attempt=attempt) for leg in legs for attempt in attempts]
    looks = st.sampled_from([look for leg in legs for attempt in attempts for look in LOOKS[run, leg, attempt]])
    fixed: list[RunMessage] = [
        RunEnded(run_id=run, outcome="aborted", reason=None),
        *(t.cancel(leg, run=run) for leg in LEGS),
        *(t.ask(number, run=run) for number in (1, 2, 3)),
        *(
            FetchFailed(run_id=run, call=call, leg=LegId("S01"), ask=1, why="w")
            for call in ("order", "orders", "snapshot")
        ),
    ]
    about_one: list[RunMessage] = []
    for one in intents:
        taken = t.refused(one, status_code=422, message="client_order_id must be unique", run=run)
        about_one += [t.place(one, run=run), t.place(one, t.an_intent("S03", run=run), run=run), taken]
        about_one += [t.refused(one, resend=flag, run=run) for flag in (True, False)]
        about_one += [t.door_closed(one, resend=flag, run=run) for flag in (True, False)]
        about_one += [t.unknown(one, call, run=run) for call in ("submit", "cancel")]
        about_one += [t.missing(one, run=run)] * 2
        about_one += [
            CancelAnswered(run_id=run, leg=one.leg, client_order_id=one.client_order_id, outcome=outcome)
            for outcome in CancelOutcome
        ]
    timers: list[RunMessage] = [
        DeadlinePassed(run_id=run, deadline=deadline, token=token, due_at=t.NOON)
        for deadline in (Deadline.RECONCILE, Deadline.LOOK_UP, Deadline.SNAPSHOT_RETRY, Deadline.SILENCE)
        for token in range(1, 10)
    ]
    events = st.sampled_from(["new", "fill", "partial_fill", "trade_bust", "order_cancel_rejected", "?"])
    some = st.lists(looks, max_size=3).map(tuple)
    return st.one_of(
        st.sampled_from(about_one),
        st.sampled_from(timers),
        st.sampled_from(fixed),
        looks.map(lambda look: t.answered(look, run=run)),
        st.builds(lambda look, event: t.streamed(look, event, execution=event, qty=40, run=run), looks, events),
        some.map(lambda shown: t.fetched(*shown, others=[t.a_strangers_order()], run=run)),
        st.builds(
            lambda shown, purpose: t.brought(t.a_snapshot(run_orders=shown, open_orders=shown), 1, purpose, run=run),
            some,
            st.sampled_from(SnapshotPurpose),
        ),
    )


@st.composite
def account_mail(draw: Any) -> AccountMessage:
    """Any mail of the account stream that comes from outside."""
    choices: list[AccountMessage] = [
        StreamConnected(),
        StreamLost(detail="gone"),
        t.stranger(t.a_strangers_order(draw(st.sampled_from(["CTVA", "DVN"])))),
        AccountDeadlinePassed(deadline=Deadline.WATCH, token=draw(st.integers(1, 5)), due_at=t.NOON),
        BrokerJudged(stream=draw(st.sampled_from(StreamHealth)), rest_ok=draw(st.booleans()), detail="d"),
    ]
    return draw(st.sampled_from(choices))


def with_times(mail: st.SearchStrategy[Message], size: int = 30) -> st.SearchStrategy[list[tuple[Message, float]]]:
    return st.lists(st.tuples(mail, a_while), max_size=size)


any_mail = st.one_of(run_mail(), run_mail(), run_mail(run=t.OTHER_RUN), account_mail())


def handled(mail: Mail) -> t.Desk:
    desk = t.Desk()
    for message, after_s in mail:
        desk.give(message, after_s=after_s)
    return desk


def breaks_somewhere(strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> bool:
    """Whether Hypothesis finds a case that the check refuses; seeded, so that a planted fault shows always."""

    def breaks(case: Any) -> bool:
        try:
            check(case)
        except AssertionError:
            return True
        return False

    thorough = settings(given_settings, max_examples=2000, phases=[Phase.generate])
    find(strategy, breaks, settings=thorough, random=random.Random(20251110))
    return True


# --- nothing that arrives breaks it ---------------------------------------------------------------------------------


@given_settings
@given(with_times(any_mail, 40))
def test_any_mail_in_any_state_is_handled_and_what_is_sent_can_be_kept(mail):
    desk = handled(mail)

    for _, message in desk.sent + [(Recipient.TRADING, timer) for _, timer in desk.timers]:
        kept = encode(message)
        assert decode(kept.type, kept.version, kept.body, kept.documents.__getitem__) == message


@given_settings
@given(with_times(any_mail))
def test_handling_twice_the_same_gives_the_same(mail):
    first, second = handled(mail), handled(mail)

    assert first.state == second.state
    assert first.sent == second.sent


# --- the order of arrival doesn't matter ----------------------------------------------------------------------------


def check_arrival(shown: Sequence[tuple[OrderFacts, bool]], shuffled: Sequence[tuple[OrderFacts, bool]]) -> None:
    """Two arrivals of the same looks, doubled or not, end in the same table."""
    assert set(map(str, shown)) == set(map(str, shuffled))

    def told(looks_in_order: Sequence[tuple[OrderFacts, bool]]) -> tuple[object, ...]:
        desk = t.Desk()
        desk.give(t.place(S1))
        for facts, by_rest in looks_in_order:
            desk.give(t.answered(facts) if by_rest else t.streamed(facts, "some event"))
        update = update_of(desk.record(S1), desk.now)
        assert update is not None
        return (update.status, update.evidence, update.filled_qty, update.filled_avg_price_usd, update.cancel_pending)

    assert told(shown) == told(shuffled)


@st.composite
def two_arrivals(draw: Any) -> tuple[list[tuple[OrderFacts, bool]], list[tuple[OrderFacts, bool]]]:
    looks = st.sampled_from(LOOKS[t.RUN, "S01", 1])
    shown = draw(st.lists(st.tuples(looks, st.booleans()), min_size=1, max_size=8))
    doubled = shown + draw(st.lists(st.sampled_from(shown), max_size=4))
    return shown, draw(st.permutations(doubled))


@given_settings
@given(two_arrivals())
def test_late_doubled_and_reordered_looks_end_in_the_same_table(arrivals):
    check_arrival(*arrivals)


def test_planted_fault_the_last_look_is_believed(monkeypatch):
    monkeypatch.setattr(reconcile, "join", lambda _, view: view)
    early, late = (t.facts(S1, "partially_filled", 40), True), (t.facts(S1, "filled", 100, at_s=3), True)

    with pytest.raises(AssertionError):
        check_arrival([early, late], [late, early])
    assert breaks_somewhere(two_arrivals(), lambda arrivals: check_arrival(*arrivals))


# --- a faithful broker, an unfaithful stream ------------------------------------------------------------------------


@st.composite
def lives(draw: Any) -> list[OrderFacts]:
    """An order's true life: cumulative looks, from new to its end."""
    fills = sorted(draw(st.sets(st.integers(1, 99), max_size=4)))
    end = draw(st.sampled_from(["filled", "canceled", "expired", "rejected", "replaced", "done_for_day"]))
    life = [t.facts(S1, draw(st.sampled_from(["pending_new", "accepted", "new"])), at_s=1)]
    life += [t.facts(S1, "partially_filled", filled, at_s=2 + step) for step, filled in enumerate(fills)]
    life.append(t.facts(S1, end, 100 if end == "filled" else (fills or [0])[-1], at_s=10))
    return life


def check_life(life: Sequence[OrderFacts], frames: Sequence[OrderFacts], polls: int) -> None:
    """Whatever the stream lost, doubled or mixed up: the rounds end in the truth, by REST."""
    desk = t.Desk()
    desk.give(t.place(S1), t.unknown(S1))
    for frame in frames:
        desk.give(t.streamed(frame, "some event"), after_s=0.1)
    truth = iter([*life[:polls], *[life[-1]] * 100])

    def broker(call: Message) -> list[Message]:
        if isinstance(call, FetchOrders):
            return [t.fetched(next(truth))]
        return [t.answered(next(truth))] if isinstance(call, FetchOrder) else []

    desk.wait(60, broker)

    update = desk.last_update(S1)
    expected = OrderStatus.EXPIRED if life[-1].status is BrokerStatus.DONE_FOR_DAY else life[-1].status.value
    assert (update.status, update.filled_qty) == (expected, life[-1].filled_qty)
    assert update.evidence is Evidence.REST
    assert desk.run.is_settled
    assert desk.timers == []


@given_settings
@given(
    lives().flatmap(lambda life: st.tuples(st.just(life), st.lists(st.sampled_from(life), max_size=8))),
    st.integers(0, 3),
)
def test_whatever_the_stream_does_the_rounds_find_the_truth(life_and_frames, polls):
    check_life(*life_and_frames, polls)


# --- what the CEO is told -------------------------------------------------------------------------------------------


def check_updates(mail: Mail) -> None:
    """Filled never falls, an end is an end, REST is only claimed for what REST showed."""
    desk = t.Desk()
    proved: dict[str, set[tuple[str, object]]] = defaultdict(set)
    told: dict[str, OrderUpdated] = {}
    for message, after_s in mail:
        for shown in _shown_by_rest(message):
            proved[shown.client_order_id].add((shown.status.value, shown.filled_qty))
        for update in t.of_kind(desk.give(message, after_s=after_s), OrderUpdated):
            before = told.get(update.client_order_id)
            told[update.client_order_id] = update
            assert 0 <= update.filled_qty <= 100
            if update.evidence is Evidence.REST and update.status in TERMINAL and update.order_id is not None:
                assert _claimed(update) & proved[update.client_order_id] or _joined_of(update, proved)
            if before is None or before.order_id is None:
                continue
            assert update.filled_qty >= before.filled_qty
            assert update.order_id == before.order_id
            assert update.as_of >= before.as_of
            assert before.status not in TERMINAL or update.status in TERMINAL
            assert before.status is not OrderStatus.FILLED or update.status is OrderStatus.FILLED
            assert update != before


def _shown_by_rest(message: Message) -> tuple[OrderFacts, ...]:
    match message:
        case OrderAnswered(order=order):
            return (order,)
        case OrdersFetched(run_orders=orders):
            return orders
        case _:
            snapshot = getattr(message, "snapshot", None)
            return () if snapshot is None else (snapshot.run_orders or ()) + (snapshot.open_orders or ())


def _claimed(update: OrderUpdated) -> set[tuple[str, object]]:
    names = {"expired", "done_for_day"} if update.status is OrderStatus.EXPIRED else {update.status.value}
    return {(name, update.filled_qty) for name in names}


def _joined_of(update: OrderUpdated, proved: dict[str, set[tuple[str, object]]]) -> bool:
    """REST showed the end in one look and the fills in another."""
    shown = proved[update.client_order_id]
    ends = {name for name, _ in _claimed(update)}
    return any(name in ends for name, _ in shown) and any(filled == update.filled_qty for _, filled in shown)


one_legs_life = with_times(run_mail(legs=("S01",)).filter(lambda message: not isinstance(message, RunEnded)), 40)


@given_settings
@given(one_legs_life)
def test_fills_never_fall_ends_stay_ends_and_rest_is_never_claimed_in_vain(mail):
    check_updates(mail)


def test_planted_fault_the_stream_counts_as_proof(monkeypatch):
    real = reconcile.view_of
    monkeypatch.setattr(reconcile, "see", _seeing_by_rest(reconcile.see))
    mail = [(t.place(S1), 0), (t.streamed(t.facts(S1, "filled", 100), "fill"), 0)]

    with pytest.raises(AssertionError):
        check_updates(mail)
    assert reconcile.view_of is real


def _seeing_by_rest(see: Callable[..., Any]) -> Callable[..., Any]:
    return lambda sheet, facts, _: see(sheet, facts, Evidence.REST)


# --- one order a leg and attempt ------------------------------------------------------------------------------------


def check_submits(mail: Mail) -> None:
    """The same id leaves again only after a shut door (then as new) or as absent (then as a resend)."""
    desk = t.Desk()
    standing: dict[str, str] = {}
    for message, after_s in mail:
        if isinstance(message, DoorClosed) and standing.get(message.client_order_id) == "sent":
            standing[message.client_order_id] = "shut"
        for sent in desk.give(message, after_s=after_s):
            if isinstance(sent[1], SubmitOrder):
                name = sent[1].intent.client_order_id
                before = standing.get(name)
                assert before in {None, "shut", "absent"}
                assert sent[1].resend is (before == "absent")
                standing[name] = "sent" if before != "absent" else "sent again"
            if isinstance(sent[1], OrderUpdated):
                status = sent[1].status
                standing[sent[1].client_order_id] = "absent" if status is OrderStatus.ABSENT else status.value


@given_settings
@given(one_legs_life)
def test_the_same_id_leaves_again_only_where_that_is_safe(mail):
    check_submits(mail)


def test_planted_fault_any_known_order_may_be_sent_again(monkeypatch):
    monkeypatch.setattr(placing, "_resend_forbidden", lambda *_: None)

    with pytest.raises(AssertionError):
        check_submits([(t.place(S1), 0), (t.unknown(S1), 0), (t.place(S1), 0)])
    assert breaks_somewhere(one_legs_life, check_submits)


# --- absence --------------------------------------------------------------------------------------------------------


def check_absence(mail: Mail) -> None:
    """Absent is never said before the quiet time has passed and three look-ups have found nothing since."""
    desk = t.Desk()
    unknown_since: dict[str, datetime] = {}
    misses: dict[str, int] = defaultdict(int)
    for message, after_s in mail:
        if isinstance(message, OrderMissing):
            misses[message.client_order_id] += 1
        for update in t.of_kind(desk.give(message, after_s=after_s), OrderUpdated):
            name = update.client_order_id
            if update.status is OrderStatus.UNKNOWN:
                unknown_since[name], misses[name] = desk.now, 0
            elif update.status is OrderStatus.ABSENT and not isinstance(message, DoorClosed):
                assert desk.now - unknown_since[name] >= timedelta(seconds=10)
                assert misses[name] >= 3


absence_mail = st.one_of(
    st.sampled_from(
        [
            t.place(S1),
            t.unknown(S1),
            t.refused(S1, resend=True),
            t.door_closed(S1, resend=True),
            t.answered(t.facts(S1)),
        ]
    ),
    st.just(t.missing(S1)),
    st.integers(1, 12).map(
        lambda token: DeadlinePassed(run_id=t.RUN, deadline=Deadline.LOOK_UP, token=token, due_at=t.NOON)
    ),
)


@given_settings
@given(with_times(absence_mail, 40))
def test_absence_takes_time_and_three_misses(mail):
    check_absence([(t.place(S1), 0), (t.unknown(S1), 0), *mail])


def absence_story() -> Mail:
    look_again = [
        DeadlinePassed(run_id=t.RUN, deadline=Deadline.LOOK_UP, token=token, due_at=t.NOON) for token in range(1, 9)
    ]
    story: list[tuple[Message, float]] = [(t.place(S1), 0), (t.unknown(S1), 0)]
    for timer in look_again:
        story += [(t.missing(S1), 0.5), (timer, 0.5)]
    return story


def test_planted_fault_the_quiet_time_is_not_waited_for(monkeypatch):
    real = unknowns.missing
    monkeypatch.setattr(
        unknowns, "missing", lambda sheet, record, message, _: real(sheet, record, message, timedelta(0))
    )

    with pytest.raises(AssertionError):
        check_absence(absence_story())


def test_planted_fault_absence_at_the_first_miss(monkeypatch):
    monkeypatch.setattr(unknowns, "MISSES_FOR_ABSENCE", 1)

    with pytest.raises(AssertionError):
        check_absence([(t.place(S1), 0), (t.unknown(S1), 0), (t.missing(S1), 20)])


# --- the account and the runs are apart -----------------------------------------------------------------------------


Journal = Sequence[tuple[Message, datetime, tuple[Outgoing, ...]]]


def fold(journal: Journal) -> TradingState:
    """Fold mail as it was handled; what it sends must be what is on record."""
    state = TradingDepartment().initial()
    for seq, (message, now, recorded) in enumerate(journal):
        envelope = Envelope(
            seq=seq, message_id=str(seq), sender="x", recipient=Recipient.TRADING, sent_at=now, message=message
        )
        handled_again = TradingDepartment().handle(state, envelope, now, t.SETTINGS)
        assert handled_again.outgoing == recorded
        state = handled_again.state
    return state


def check_separation(mail: Mail) -> None:
    """Folding without a run's mail changes nothing about the account, the other runs, and what was sent for them."""
    journal = handled(mail).journal
    whole = fold(journal)
    without = fold([one for one in journal if getattr(one[0], "run_id", None) != t.RUN])

    assert without.account == whole.account
    assert without.runs == {run: entry for run, entry in whole.runs.items() if run != t.RUN}


@given_settings
@given(with_times(any_mail, 40))
def test_a_closed_runs_mail_can_be_left_out_of_the_fold(mail):
    check_separation(mail)


@given_settings
@given(with_times(any_mail, 30), account_mail())
def test_account_mail_leaves_every_run_alone_and_a_runs_mail_the_account(mail, last):
    desk = handled(mail)
    before = desk.state

    envelope = Envelope(seq=1, message_id="1", sender="x", recipient=Recipient.TRADING, sent_at=desk.now, message=last)
    after = TradingDepartment().handle(before, envelope, desk.now, t.SETTINGS).state

    assert after.runs == before.runs


def test_planted_fault_a_runs_mail_writes_on_the_account(monkeypatch):
    real = TradingDepartment.handle

    def handle(self: Any, state: TradingState, envelope: Envelope, now: datetime, given: Any) -> Any:
        came = real(self, state, envelope, now, given)
        if isinstance(envelope.message, OrderRefused):
            account = replace(came.state.account, rest_ok=False)
            return replace(came, state=replace(came.state, account=account))
        return came

    monkeypatch.setattr(TradingDepartment, "handle", handle)

    with pytest.raises(AssertionError):
        check_separation([(t.place(S1), 0), (t.refused(S1), 0)])


def test_planted_fault_account_mail_reads_the_runs(monkeypatch):
    real = TradingDepartment.handle

    def handle(self: Any, state: TradingState, envelope: Envelope, now: datetime, given: Any) -> Any:
        came = real(self, state, envelope, now, given)
        if isinstance(envelope.message, StreamConnected):
            lists = tuple(Outgoing(Recipient.BROKER, rounds.list_of(run)) for run in state.runs.values())
            return replace(came, outgoing=(*came.outgoing, *lists))
        return came

    monkeypatch.setattr(TradingDepartment, "handle", handle)

    with pytest.raises(AssertionError):
        check_separation([(t.place(S1), 0), (StreamConnected(), 0)])


def test_an_absent_order_stays_watched_when_its_runs_mail_is_left_out():
    desk = handled([(t.place(S1), 0), (t.unknown(S1), 0), (t.missing(S1), 0)])
    desk.wait(15, lambda call: [t.missing(S1)] if isinstance(call, FetchOrder) else [])
    assert isinstance(desk.record(S1).standing, Absent)
    desk.give(RunEnded(run_id=t.RUN, outcome="aborted", reason=None))

    without = fold([one for one in desk.journal if getattr(one[0], "run_id", None) != t.RUN])

    assert list(without.account.watched) == [S1.client_order_id]
    assert without == desk.state


def test_frames_of_executions_are_counted_by_their_id():
    frame = t.streamed(t.facts(S1, "partially_filled", 40), "partial_fill", execution="e1", qty=40)
    desk = handled([(t.place(S1), 0), (frame, 0), (frame, 0)])

    assert isinstance(frame, OrderStreamed)
    assert sum(desk.record(S1).executions.values()) == 40
