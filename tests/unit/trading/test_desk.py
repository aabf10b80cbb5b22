"""The desk over a fake broker and a fake mailroom: what leaves, in which order, and what is recorded of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from departments.office.settings import TradingSettings
from departments.trading import desk as desk_module
from departments.trading import turns as turns_module
from departments.trading.broker import (
    BrokerRefused,
    BrokerUnavailable,
    KeysRefused,
    OutcomeUnknown,
    RateLimited,
)
from departments.trading.desk import BrokerDesk
from messages import broker as mail
from messages.control import HaltTrading, ReduceTrading
from messages.envelope import Envelope
from messages.mailroom.port import LeaseLost, StoreUnavailable
from messages.message import Message
from messages.orders import GateOpened, NotSentReason, OrderIntent, SnapshotPurpose
from messages.snapshots import BrokerStatus, Snapshot, SnapshotPart
from messages.values import LegId, OrderId, Recipient, Side, client_order_id_for
from tests.builders.plans import NOW, a_plan, a_submission, some_settings
from tests.fakes.broker import FakeExchange
from tests.fakes.mailroom import FakeMailroom

LIMIT_S = 10.0
SUBMISSION = a_submission()
RUN = SUBMISSION.run_id
ALL_PARTS = tuple(SnapshotPart)


@dataclass
class Office:
    """A desk, its surroundings, and the answers that came."""

    mailroom: FakeMailroom
    exchange: FakeExchange
    desk: BrokerDesk = field(init=False)
    answers: list[Message] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    now: datetime = NOW
    came: threading.Condition = field(default_factory=threading.Condition)

    def deliver(self, envelope: Envelope) -> None:
        with self.came:
            self.answers.append(envelope.message)
            self.came.notify_all()

    def fail(self, error: BaseException) -> None:
        with self.came:
            self.failures.append(error)
            self.came.notify_all()

    def write(self, message: Message, recipient: Recipient = Recipient.BROKER) -> Envelope:
        envelope = self.mailroom.receive(sender="trading", recipient=recipient, message=message, at=self.now)
        assert envelope is not None
        return envelope

    def ask(self, message: Message) -> Message:
        """Hand one call over and wait for its answer."""
        before = len(self.answers)
        self.desk.submit(self.write(message))
        return self.wait(before + 1)[before]

    def wait(self, count: int) -> list[Message]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.answers) >= count or bool(self.failures), LIMIT_S)
            assert len(self.answers) >= count, self.failures
            return list(self.answers)

    def wait_failure(self) -> BaseException:
        with self.came:
            assert self.came.wait_for(lambda: bool(self.failures), LIMIT_S)
            return self.failures[0]


@contextmanager
def an_office(
    *, exchange: FakeExchange | None = None, warm=False, warm_history=(), start=True, **trading
) -> Iterator[Office]:
    settings = some_settings(trading=TradingSettings(**trading))
    exchange = exchange or FakeExchange(
        prices={name: Decimal(100) for name in ("SA", "SB", "BA", "BB", "BC")},
        shares={"SA": Decimal(10), "SB": Decimal(10)},
    )
    mailroom = FakeMailroom()
    mailroom.remember_settings(settings.sha256(), settings.document())
    office = Office(mailroom=mailroom, exchange=exchange)
    office.desk = desk = BrokerDesk(
        make_broker=exchange.client,
        mailroom=mailroom,
        deliver=office.deliver,
        clock=lambda: office.now,
        settings=settings,
        on_failure=office.fail,
        warm=warm,
        warm_history=warm_history,
    )
    office.write(SUBMISSION, Recipient.EXECUTIVE)
    if start:
        desk.start()
    try:
        yield office
    finally:
        assert desk.close(LIMIT_S)


def an_intent(leg="S01", attempt=1, **changes) -> OrderIntent:
    trade = next(trade for trade in SUBMISSION.plan.trades if trade.leg == leg)
    fields = {
        "leg": LegId(leg),
        "client_order_id": client_order_id_for(RUN, leg, attempt),
        "symbol": trade.symbol,
        "side": trade.side,
        "qty": trade.qty,
    }
    return OrderIntent(**(fields | changes))


def a_submit(leg="S01", *, intended_at=NOW, resend=False, **changes) -> mail.SubmitOrder:
    return mail.SubmitOrder(run_id=RUN, intent=an_intent(leg, **changes), intended_at=intended_at, resend=resend)


def a_cancel(order_id, leg="S01") -> mail.CancelOrder:
    return mail.CancelOrder(
        run_id=RUN, leg=LegId(leg), client_order_id=client_order_id_for(RUN, leg, 1), order_id=OrderId(order_id)
    )


def a_look_up(leg="S01") -> mail.FetchOrder:
    return mail.FetchOrder(run_id=RUN, leg=LegId(leg), client_order_id=client_order_id_for(RUN, leg, 1))


def a_look(*parts, ask=1, purpose=SnapshotPurpose.RECEIVED, symbols=("SA", "BA"), after=NOW) -> mail.FetchSnapshot:
    return mail.FetchSnapshot(
        run_id=RUN, ask=ask, purpose=purpose, parts=parts or ALL_PARTS, symbols=symbols, run_orders_after=after
    )


def open_the_gate(office: Office) -> None:
    """Sell everything and record the gate as the CEO would."""
    for leg in ("S01", "S02"):
        office.exchange.place(an_intent(leg))
    office.write(an_open_gate(RUN, tuple(office.exchange.orders.values())), Recipient.EXECUTIVE)


def an_open_gate(run_id, run_orders) -> GateOpened:
    return GateOpened(
        run_id=run_id,
        snapshot=Snapshot(begun_at=NOW, run_orders=run_orders),
        sells=(),
        shortfall_decision=None,
        proceeds_usd=Decimal(2000),
        cash_before_usd=Decimal(0),
        cash_at_gate_usd=Decimal(2000),
    )


# Orders


def test_a_sell_leaves_and_its_order_comes_back():
    with an_office() as office:
        answer = office.ask(a_submit())

        assert isinstance(answer, mail.OrderAnswered)
        assert (answer.leg, answer.order.symbol, answer.order.side) == ("S01", "SA", Side.SELL)
        assert office.exchange.count("submit") == 1


def test_an_answer_is_recorded_as_the_handling_of_its_call():
    with an_office() as office:
        envelope = office.write(a_submit())
        office.desk.submit(envelope)
        office.wait(1)

        (handled,) = office.mailroom.handled(Recipient.BROKER)
        assert handled.envelope.seq == envelope.seq
        assert [out.recipient for out in handled.outgoing] == [Recipient.TRADING]


def test_an_order_leaves_only_after_its_row_is_durable():
    with an_office() as office:
        envelope = office.write(a_submit())
        durable = []
        office.exchange.before = lambda _name, _about: durable.append(envelope.seq in office.mailroom.store.mail)
        assert envelope.seq not in office.mailroom.store.mail

        office.desk.submit(envelope)
        office.wait(1)

        assert durable == [True]


def test_a_buy_does_not_leave_before_the_gate():
    with an_office() as office:
        answer = office.ask(a_submit("B01"))

        assert isinstance(answer, mail.DoorClosed)
        assert answer.reason is NotSentReason.GATE_CLOSED
        assert office.exchange.count("submit") == 0


def test_a_buy_leaves_after_the_gate():
    with an_office() as office:
        open_the_gate(office)

        assert isinstance(office.ask(a_submit("B01")), mail.OrderAnswered)


def test_a_halt_that_nobody_has_handled_yet_stops_the_next_order_and_no_cancel():
    with an_office() as office:
        order = office.exchange.place(an_intent("S02"), fills=False)
        office.write(HaltTrading(reason="x", by="mara"), Recipient.EXECUTIVE)

        closed = office.ask(a_submit())
        canceled = office.ask(a_cancel(order.order_id, "S02"))

        assert closed.reason is NotSentReason.HALTED
        assert canceled.outcome is mail.CancelOutcome.ACCEPTED


def test_cancels_pass_while_reducing():
    with an_office() as office:
        order = office.exchange.place(an_intent("S02"), fills=False)
        office.write(ReduceTrading(reason="x", by="mara"), Recipient.EXECUTIVE)

        assert office.ask(a_cancel(order.order_id, "S02")).outcome is mail.CancelOutcome.ACCEPTED


def test_a_reduction_that_nobody_has_handled_yet_stops_the_next_buy_and_no_sell():
    with an_office() as office:
        open_the_gate(office)
        office.write(ReduceTrading(reason="x", by="mara"), Recipient.EXECUTIVE)

        buy, sell = office.ask(a_submit("B01")), office.ask(a_submit())

        assert buy.reason is NotSentReason.REDUCING
        assert not isinstance(sell, mail.DoorClosed)
        assert office.exchange.count("submit") == 1


def test_an_intent_that_grew_old_in_the_queue_does_not_leave():
    with an_office() as office:
        office.now = NOW + timedelta(seconds=31)

        answer = office.ask(a_submit())

        assert answer.reason is NotSentReason.INTENT_STALE
        assert office.exchange.calls == []


def test_a_closed_door_says_whether_it_was_a_resend():
    with an_office() as office:
        assert office.ask(a_submit("B01", resend=True)).resend is True


@pytest.mark.parametrize("resend", [True, False])
def test_a_refusal_comes_back_in_the_brokers_words(resend):
    with an_office() as office:
        office.exchange.plan("submit", BrokerRefused(403, 40310000, "insufficient buying power"))

        answer = office.ask(a_submit(resend=resend))

        assert isinstance(answer, mail.OrderRefused)
        assert (answer.status_code, answer.code, answer.message, answer.resend) == (
            403,
            40310000,
            "insufficient buying power",
            resend,
        )


def test_refused_keys_are_a_refusal_of_the_order():
    with an_office() as office:
        office.exchange.plan("submit", KeysRefused(401, "unauthorized."))

        answer = office.ask(a_submit())

        assert (answer.status_code, answer.code) == (401, None)
        assert office.desk.health().consecutive_failures == 1


def test_an_id_that_is_taken_is_unknown_and_no_refusal():
    with an_office() as office:
        office.exchange.place(an_intent(), fills=False)

        answer = office.ask(a_submit())

        assert isinstance(answer, mail.OutcomeUnknown)
        assert "unique" in answer.why


def test_a_lost_answer_is_unknown_and_the_order_is_sent_once():
    with an_office() as office:
        office.exchange.plan("submit", OutcomeUnknown("timeout"), taken=True)

        answer = office.ask(a_submit())

        assert isinstance(answer, mail.OutcomeUnknown)
        assert (answer.call, answer.why) == ("submit", "timeout")
        assert office.exchange.count("submit") == 1


def test_a_429_is_waited_out_and_the_same_order_goes_again():
    with an_office() as office:
        office.exchange.plan("submit", RateLimited("http 429", 0.05), times=3)

        answer = office.ask(a_submit())

        ids = {about.client_order_id for name, about in office.exchange.calls if name == "submit"}
        assert isinstance(answer, mail.OrderAnswered)
        assert office.exchange.count("submit") == 4
        assert len(ids) == 1


def test_a_broker_that_can_not_be_reached_is_tried_until_the_intent_is_too_old():
    with an_office() as office:
        tries = []

        def on_call(name, _about):
            tries.append(name)
            if len(tries) == 2:
                office.now = NOW + timedelta(seconds=31)

        office.exchange.before = on_call
        office.exchange.plan("submit", BrokerUnavailable("connection refused"), times=100)

        answer = office.ask(a_submit())

        assert isinstance(answer, mail.DoorClosed)
        assert answer.reason is NotSentReason.INTENT_STALE
        assert len(tries) == 2


def test_a_halt_between_two_tries_stops_the_second():
    with an_office() as office:
        office.exchange.plan("submit", RateLimited("http 429", 0.05))
        office.exchange.before = lambda _n, _a: office.write(HaltTrading(reason="x", by="m"), Recipient.EXECUTIVE)

        answer = office.ask(a_submit())

        assert answer.reason is NotSentReason.HALTED
        assert office.exchange.count("submit") == 1


def test_a_reduction_between_two_tries_of_a_buy_stops_the_second():
    with an_office() as office:
        open_the_gate(office)
        office.exchange.plan("submit", RateLimited("http 429", 0.05))
        office.exchange.before = lambda _n, _a: office.write(ReduceTrading(reason="x", by="m"), Recipient.EXECUTIVE)

        answer = office.ask(a_submit("B01"))

        assert answer.reason is NotSentReason.REDUCING
        assert office.exchange.count("submit") == 1


@pytest.mark.parametrize("call", [a_submit(), a_cancel("order-1")])
def test_a_changing_call_that_was_out_when_the_firm_died_is_unknown_and_not_made_again(call):
    with an_office() as office:
        office.desk.submit(replace(office.write(call), redelivered=True))
        (answer,) = office.wait(1)

        assert isinstance(answer, mail.OutcomeUnknown)
        assert answer.why == "interrupted"
        assert answer.call == ("submit" if isinstance(call, mail.SubmitOrder) else "cancel")
        assert office.exchange.calls == []


def test_a_read_that_was_out_when_the_firm_died_is_asked_again():
    with an_office() as office:
        office.desk.submit(replace(office.write(a_look_up()), redelivered=True))

        assert isinstance(office.wait(1)[0], mail.OrderMissing)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_crash_with_orders_out_ends_in_unknown_not_in_a_second_post():
    """The whole story over one store: sent, killed before the answer was durable, started again."""
    with an_office() as office:
        sent, die = threading.Event(), threading.Event()

        def hang(_name, _about):
            sent.set()
            assert die.wait(LIMIT_S)

        office.exchange.before = hang
        office.desk.submit(office.write(a_submit()))
        assert sent.wait(LIMIT_S)
        again = office.mailroom.crash()
        die.set()
        assert isinstance(office.wait_failure(), StoreUnavailable)

        unhandled = again.unhandled(Recipient.BROKER)
        settings = some_settings()
        again.remember_settings(settings.sha256(), settings.document())
        told = []
        desk = BrokerDesk(
            make_broker=office.exchange.client,
            mailroom=again,
            deliver=told.append,
            clock=lambda: NOW,
            settings=settings,
        )
        for envelope in unhandled:
            desk.submit(envelope)

        assert [type(envelope.message) for envelope in told] == [mail.OutcomeUnknown]
        assert office.exchange.count("submit") == 1
    assert len(office.exchange.orders) == 1


def test_the_same_mail_twice_is_one_call():
    with an_office() as office:
        envelope = office.write(a_submit())
        office.desk.submit(envelope)
        office.desk.submit(envelope)
        office.wait(1)
        office.ask(a_look_up())

        assert office.exchange.count("submit") == 1
        assert len(office.answers) == 2


# Cancels


def test_a_cancel_is_answered_as_the_broker_says():
    with an_office() as office:
        live = office.exchange.place(an_intent("S01"), fills=False)
        over = office.exchange.place(an_intent("S02"))

        outcomes = [office.ask(a_cancel(name)).outcome for name in (live.order_id, over.order_id, "nobody")]

        assert outcomes == [
            mail.CancelOutcome.ACCEPTED,
            mail.CancelOutcome.NOT_CANCELABLE,
            mail.CancelOutcome.MISSING,
        ]


def test_a_lost_answer_to_a_cancel_is_unknown():
    with an_office() as office:
        office.exchange.plan("cancel", OutcomeUnknown("http 504"))

        answer = office.ask(a_cancel("order-1"))

        assert (answer.call, answer.why) == ("cancel", "http 504")


@pytest.mark.parametrize("error", [BrokerRefused(403, None, "no"), KeysRefused(401, "unauthorized.")])
def test_a_cancel_that_is_declined_is_never_taken_for_done(error):
    with an_office() as office:
        office.exchange.plan("cancel", error)

        answer = office.ask(a_cancel("order-1"))

        assert isinstance(answer, mail.OutcomeUnknown) or answer.outcome is mail.CancelOutcome.NOT_CANCELABLE


# Order of leaving


def test_cancels_and_sells_overtake_what_waits():
    with an_office(start=False, workers=1) as office:
        order = office.exchange.place(an_intent("S02"), fills=False)
        office.exchange.shares["SA"] = Decimal(10)
        calls = [a_look(SnapshotPart.ACCOUNT), a_look_up(), a_submit("S01"), a_cancel(order.order_id, "S02")]
        for call in calls:
            office.desk.submit(office.write(call))
        office.desk.start()
        office.wait(4)

        assert [name for name, _ in office.exchange.calls] == ["cancel", "submit", "order", "account"]


def test_orders_of_one_side_leave_in_the_order_they_were_written():
    with an_office(start=False, workers=1) as office:
        open_the_gate(office)
        for leg in ("B01", "B02", "B03"):
            office.desk.submit(office.write(a_submit(leg)))
        office.desk.start()
        office.wait(3)

        legs = [about.leg for name, about in office.exchange.calls if name == "submit"]
        assert legs == ["B01", "B02", "B03"]


def a_list_of_orders(office, side):
    """Twelve orders of one side, all approved and, for BUYs, with an open gate; their legs."""
    submission = a_submission(a_plan(sells=12 * (side is Side.SELL), buys=12 * (side is Side.BUY)))
    run_id = submission.run_id
    office.write(submission, Recipient.EXECUTIVE)
    office.write(an_open_gate(run_id, ()), Recipient.EXECUTIVE)
    for trade in submission.plan.trades:
        office.exchange.prices[trade.symbol] = Decimal(1)
        office.exchange.shares[trade.symbol] = trade.qty
        intent = OrderIntent(
            leg=trade.leg,
            client_order_id=client_order_id_for(run_id, trade.leg, 1),
            symbol=trade.symbol,
            side=trade.side,
            qty=trade.qty,
        )
        office.desk.submit(office.write(mail.SubmitOrder(run_id=run_id, intent=intent, intended_at=NOW)))
    return [trade.leg for trade in submission.plan.trades]


@pytest.mark.parametrize("workers", [4, 16])
def test_sells_leave_in_order_from_however_many_threads_and_answers_are_waited_for_side_by_side(workers):
    out = threading.Semaphore(0)
    go, overtaken = threading.Event(), threading.Event()

    def hold_answers(_name, _about):
        overtaken.set()
        out.release()
        assert go.wait(LIMIT_S)

    with an_office(start=False, workers=workers) as office:
        office.exchange.before = hold_answers
        legs = a_list_of_orders(office, Side.SELL)
        door = office.mailroom.door

        def slow_at_first(**question):
            overtaken.wait(0.2)  # whoever could overtake the first order has the time to
            return door(**question)

        office.mailroom.door = slow_at_first
        office.desk.start()
        for _ in range(min(workers, len(legs))):  # so many are out at once, none answered
            assert out.acquire(timeout=LIMIT_S)
        go.set()
        office.wait(len(legs))

        assert [about.leg for name, about in office.exchange.calls if name == "submit"] == legs


def test_a_buy_follows_the_answer_of_the_one_before(monkeypatch):
    monkeypatch.setattr(desk_module, "BUY_FOLLOWS_S", LIMIT_S)
    out = []
    together = threading.Event()

    def look_who_is_out(_name, about):
        out.append(about)
        if len(out) > 1:
            together.set()
        together.wait(0.02)  # whoever could leave meanwhile has the time to
        out.remove(about)

    with an_office(start=False) as office:
        office.exchange.before = look_who_is_out
        legs = a_list_of_orders(office, Side.BUY)
        office.desk.start()
        office.wait(len(legs))

        assert [about.leg for name, about in office.exchange.calls if name == "submit"] == legs
        assert not together.is_set()


def test_a_buy_that_is_not_answered_holds_the_next_up_only_for_a_moment():
    hung = threading.Event()

    def hang_at_first(_name, about):
        if about.leg == "B01":
            assert hung.wait(LIMIT_S)

    with an_office(start=False) as office:
        office.exchange.before = hang_at_first
        legs = a_list_of_orders(office, Side.BUY)
        office.desk.start()
        answered = office.wait(len(legs) - 1)
        hung.set()

        assert {answer.leg for answer in answered} == set(legs[1:])
        office.wait(len(legs))


def test_what_is_told_waits_until_the_orders_behind_it_are_out(monkeypatch):
    monkeypatch.setattr(turns_module, "RUSH_S", LIMIT_S)
    with an_office(start=False, workers=1) as office:
        answered_before = []
        office.exchange.before = lambda _name, _about: answered_before.append(len(office.answers))
        legs = a_list_of_orders(office, Side.BUY)
        office.desk.start()
        office.wait(len(legs))

        assert answered_before == [0] * len(legs)
        office.desk.wait_for_calm()  # nothing to wait for


def test_orders_that_hang_hold_news_up_only_for_a_moment():
    hung = threading.Event()

    def hang_at_first(_name, about):
        if about.leg == "B01":
            assert hung.wait(LIMIT_S)

    with an_office(start=False) as office:
        office.exchange.before = hang_at_first
        legs = a_list_of_orders(office, Side.BUY)
        office.desk.start()
        office.desk.wait_for_calm()
        office.wait(len(legs) - 1)

        assert not hung.is_set()
        hung.set()
        office.wait(len(legs))


def test_an_order_that_does_not_leave_holds_nobody_up():
    with an_office(connect_timeout_s=60) as office:
        open_the_gate(office)
        for leg in ("B01", "B02", "B03"):
            stale = leg == "B02"
            call = a_submit(leg, intended_at=NOW - timedelta(hours=1) if stale else NOW)
            office.desk.submit(office.write(call))

        kinds = sorted(type(answer).__name__ for answer in office.wait(3))
        assert kinds == ["DoorClosed", "OrderAnswered", "OrderAnswered"]


def test_reads_that_ate_the_limit_do_not_stop_a_sell():
    with an_office(requests_per_minute=20) as office:
        for _ in range(40):
            office.desk.submit(office.write(a_look_up()))
        office.wait(19)

        answer = office.ask(a_submit())

        assert isinstance(answer, mail.OrderAnswered)
        assert office.exchange.count("order") == 19


# Reads


def test_a_snapshot_is_one_answer_with_every_part():
    with an_office() as office:
        ours = office.exchange.place(an_intent("S01"))
        live = office.exchange.place(an_intent("S02", client_order_id="stranger"), fills=False)

        answer = office.ask(a_look(after=office.exchange.now - timedelta(minutes=1)))

        snapshot = answer.snapshot
        assert (answer.ask, answer.purpose) == (1, SnapshotPurpose.RECEIVED)
        assert [order.order_id for order in snapshot.run_orders] == [ours.order_id]
        assert [order.order_id for order in snapshot.open_orders] == [live.order_id]
        assert {asset.symbol for asset in snapshot.assets} == {"SA", "BA"}
        assert {quote.symbol for quote in snapshot.quotes} == {"SA", "BA"}
        assert snapshot.account is not None
        assert snapshot.clock.is_open
        assert snapshot.positions[0].symbol == "SB"
        assert snapshot.begun_at == NOW


def test_parts_that_were_not_asked_for_are_none_and_empty_ones_are_empty():
    with an_office() as office:
        snapshot = office.ask(a_look(SnapshotPart.ORDERS)).snapshot

        assert snapshot.account is None
        assert snapshot.quotes is None
        assert snapshot.open_orders == ()
        assert snapshot.run_orders == ()


def test_a_snapshot_of_nothing_is_answered_too():
    with an_office() as office:
        look = a_look(SnapshotPart.CLOCK).model_copy(update={"parts": ()})

        assert office.ask(look).snapshot.clock is None
        assert office.exchange.calls == []


@pytest.mark.parametrize("call", ["account", "positions", "orders", "clock", "assets", "quotes"])
def test_one_part_that_can_not_be_read_fails_the_snapshot_with_one_answer(call):
    with an_office() as office:
        symbols = ("SA", "SB", "BA", "BB", "BC")
        office.exchange.plan(call, BrokerUnavailable("http 500"))

        answer = office.ask(a_look(symbols=symbols))
        second = office.ask(a_look(ask=2, symbols=symbols))

        assert isinstance(answer, mail.FetchFailed)
        assert (answer.call, answer.ask, answer.purpose, answer.why) == (
            "snapshot",
            1,
            SnapshotPurpose.RECEIVED,
            "http 500",
        )
        assert isinstance(second, mail.SnapshotFetched)
        assert len(office.answers) == 2


def test_parts_are_read_side_by_side():
    with an_office() as office:
        together = threading.Barrier(4)
        office.exchange.before = lambda _name, _about: together.wait(LIMIT_S)
        parts = (SnapshotPart.ACCOUNT, SnapshotPart.POSITIONS, SnapshotPart.CLOCK, SnapshotPart.QUOTES)

        assert isinstance(office.ask(a_look(*parts)), mail.SnapshotFetched)


def test_a_429_on_a_read_is_asked_again_and_then_given_up_with_its_wait():
    with an_office() as office:
        office.exchange.plan("account", RateLimited("http 429", 0.05), times=2)
        assert isinstance(office.ask(a_look(SnapshotPart.ACCOUNT)), mail.SnapshotFetched)

        office.exchange.plan("order", RateLimited("http 429", 0.05), times=4)
        answer = office.ask(a_look_up())

        assert isinstance(answer, mail.FetchFailed)
        assert (answer.call, answer.leg, answer.retry_after_s) == ("order", "S01", 1)


def test_a_look_up_finds_or_misses():
    with an_office() as office:
        missing = office.ask(a_look_up())
        office.exchange.place(an_intent())
        found = office.ask(a_look_up())

        assert isinstance(missing, mail.OrderMissing)
        assert isinstance(found, mail.OrderAnswered)


def test_a_list_tells_the_runs_orders_from_live_ones_of_others_on_its_symbols():
    with an_office() as office:
        ours = office.exchange.place(an_intent("S01"))
        theirs = office.exchange.place(an_intent("S02", client_order_id="stranger"), fills=False)
        office.exchange.place(an_intent("B01", client_order_id="elsewhere"), fills=False)
        after = office.exchange.now - timedelta(minutes=1)

        answer = office.ask(mail.FetchOrders(run_id=RUN, after=after, symbols=("SA", "SB")))

        assert [order.order_id for order in answer.run_orders] == [ours.order_id]
        assert [order.order_id for order in answer.other_orders] == [theirs.order_id]


def test_a_list_that_fails_says_so():
    with an_office() as office:
        office.exchange.plan("orders", BrokerUnavailable("http 502"))

        answer = office.ask(mail.FetchOrders(run_id=RUN, after=NOW, symbols=("SA",)))

        assert (answer.call, answer.why) == ("orders", "http 502")


def test_every_page_of_orders_is_read():
    exchange = FakeExchange(prices={"SA": Decimal(1)}, shares={}, page_limit=7)
    begun = exchange.now
    for number in range(50):
        exchange.place(an_intent("S01", client_order_id=f"{RUN}-S01-{number + 1}"), fills=False)
    with an_office(exchange=exchange) as office:
        answer = office.ask(mail.FetchOrders(run_id=RUN, after=begun, symbols=("SA",)))

        assert len(answer.run_orders) == 50
        assert len({order.order_id for order in answer.run_orders}) == 50


def test_pages_that_lead_nowhere_are_an_error_and_no_part_of_a_list():
    exchange = FakeExchange(prices={"SA": Decimal(1)}, shares={}, page_limit=3)
    for number in range(4):
        exchange.place(an_intent("S01", client_order_id=f"{RUN}-S01-{number + 1}"), fills=False)
    for name, order in exchange.orders.items():
        exchange.orders[name] = order.model_copy(update={"submitted_at": exchange.now})
    with an_office(exchange=exchange) as office:
        answer = office.ask(mail.FetchOrders(run_id=RUN, after=exchange.now - timedelta(hours=1), symbols=("SA",)))

        assert isinstance(answer, mail.FetchFailed)
        assert "does not lead past" in answer.why


# How many requests


def test_once_warm_a_whole_look_is_five_requests_at_the_first_ask():
    with an_office(warm=True) as office:
        office.ask(a_look(SnapshotPart.ACCOUNT))  # warming came before it
        before = len(office.exchange.calls)

        office.ask(a_look(after=office.exchange.now))

        names = sorted(name for name, _ in office.exchange.calls[before:])
        assert names == ["account", "clock", "orders", "positions", "quotes"]


def test_an_old_live_order_of_a_stranger_is_seen_with_one_list():
    exchange = FakeExchange(prices={"SA": Decimal(1)}, shares={})
    old = exchange.place(an_intent("S01", client_order_id="stranger"), fills=False)
    exchange.now += timedelta(hours=3)
    with an_office(exchange=exchange, warm=True) as office:
        office.ask(a_look(SnapshotPart.ACCOUNT))
        before = exchange.count("orders")

        snapshot = office.ask(a_look(SnapshotPart.ORDERS, after=exchange.now)).snapshot

        assert exchange.count("orders") - before == 1
        assert [order.order_id for order in snapshot.open_orders] == [old.order_id]


def test_a_very_old_live_order_costs_a_second_list():
    exchange = FakeExchange(prices={"SA": Decimal(1)}, shares={})
    old = exchange.place(an_intent("S01", client_order_id="stranger"), fills=False)
    exchange.now += timedelta(days=30)
    with an_office(exchange=exchange, warm=True) as office:
        office.ask(a_look(SnapshotPart.ACCOUNT))
        before = exchange.count("orders")

        snapshot = office.ask(a_look(SnapshotPart.ORDERS, after=exchange.now)).snapshot

        assert exchange.count("orders") - before == 2
        assert [order.order_id for order in snapshot.open_orders] == [old.order_id]


def test_assets_are_asked_for_once_a_day_and_by_name_only_if_not_listed():
    exchange = FakeExchange(
        prices={name: Decimal(1) for name in ("A", "B", "C", "D", "E", "F")}, inactive=frozenset({"F"})
    )
    symbols = ("A", "B", "C", "D", "E", "F", "NOPE")
    with an_office(exchange=exchange) as office:
        first = office.ask(a_look(SnapshotPart.ASSETS, symbols=symbols)).snapshot.assets
        second = office.ask(a_look(SnapshotPart.ASSETS, ask=2, symbols=symbols)).snapshot.assets

        assert {asset.symbol: asset.status for asset in first} == dict.fromkeys("ABCDE", "active") | {"F": "inactive"}
        assert first == second
        assert (exchange.count("assets"), exchange.count("asset")) == (1, 2)

        office.now = NOW + timedelta(days=1)
        office.ask(a_look(SnapshotPart.ASSETS, ask=3, symbols=symbols))
        assert exchange.count("assets") == 2


def test_a_few_assets_are_asked_for_by_name():
    with an_office() as office:
        office.ask(a_look(SnapshotPart.ASSETS, symbols=("SA", "BA")))

        assert (office.exchange.count("assets"), office.exchange.count("asset")) == (0, 2)


def test_warming_that_fails_stops_nothing():
    exchange = FakeExchange(prices={"SA": Decimal(1)}, shares={"SA": Decimal(10)})
    exchange.plan("warm", BrokerUnavailable("connection refused"), times=4)
    exchange.plan("clock", BrokerUnavailable("http 500"))
    exchange.plan("assets", BrokerUnavailable("http 500"))
    with an_office(exchange=exchange, warm=True) as office:
        assert isinstance(office.ask(a_submit()), mail.OrderAnswered)


# The desk itself


def test_failures_in_a_row_are_counted_until_one_call_succeeds():
    with an_office() as office:
        office.exchange.plan("order", BrokerUnavailable("http 500"), times=3)
        for _ in range(3):
            office.ask(a_look_up())
        worst = office.desk.health()
        office.ask(a_look_up())

        assert (worst.consecutive_failures, worst.last_failure) == (3, "http 500")
        assert office.desk.health().consecutive_failures == 0


def test_a_refusal_is_an_answer_and_no_failure():
    with an_office() as office:
        office.exchange.plan("submit", BrokerRefused(403, 40310000, "no"))
        office.ask(a_submit())

        assert office.desk.health().consecutive_failures == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lost_lease_stops_the_desk_before_anything_leaves():
    with an_office() as office:
        envelope = office.write(a_submit())
        office.mailroom.ensure_durable(envelope.seq)
        office.mailroom.store.epoch += 1

        office.desk.submit(envelope)

        assert isinstance(office.wait_failure(), LeaseLost)
        assert office.exchange.count("submit") == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_stops_the_desk_loudly_and_once():
    with an_office() as office:

        def bug(_name, _about):
            raise ZeroDivisionError("a bug")

        office.exchange.before = bug
        for _ in range(4):
            office.desk.submit(office.write(a_look_up()))

        assert isinstance(office.wait_failure(), ZeroDivisionError)
        assert office.desk.close(LIMIT_S)
        assert len(office.failures) == 1


def test_after_close_nothing_is_taken_and_what_is_out_comes_back():
    with an_office() as office:
        out, go = threading.Event(), threading.Event()

        def hang(_name, _about):
            out.set()
            assert go.wait(LIMIT_S)

        office.exchange.before = hang
        office.desk.submit(office.write(a_submit("S01")))
        assert out.wait(LIMIT_S)
        ended_early = office.desk.close(0.01)
        office.desk.submit(office.write(a_submit("S02")))
        go.set()

        assert not ended_early
        assert office.desk.close(LIMIT_S)
        assert [type(answer) for answer in office.answers] == [mail.OrderAnswered]
        assert office.exchange.count("submit") == 1


def test_mail_that_is_no_call_is_turned_away():
    with an_office() as office, pytest.raises(TypeError, match="expected a call to the broker"):
        office.desk.submit(office.write(SUBMISSION))


def test_clients_are_made_on_the_thread_that_starts_one_a_worker():
    made = []
    exchange = FakeExchange()

    def make():
        made.append(threading.current_thread())
        return exchange.client()

    settings = some_settings(trading=TradingSettings(workers=3))
    desk = BrokerDesk(
        make_broker=make,
        mailroom=FakeMailroom(),
        deliver=lambda _: None,
        clock=lambda: NOW,
        settings=settings,
        warm=False,
    )
    desk.start()

    assert desk.close(LIMIT_S)
    assert made == [threading.main_thread()] * 3


def test_an_unknown_status_in_a_list_fails_nothing():
    with an_office() as office:
        order = office.exchange.place(an_intent("S01"), fills=False)
        office.exchange.change(order.client_order_id, status=BrokerStatus.UNKNOWN)

        snapshot = office.ask(a_look(SnapshotPart.ORDERS, after=office.exchange.now - timedelta(hours=1))).snapshot

        assert [order.status for order in snapshot.open_orders] == [BrokerStatus.UNKNOWN]


# Waiting for the market


def a_wait(ask=1) -> mail.FetchSnapshot:
    return a_look(SnapshotPart.CLOCK, ask=ask, purpose=SnapshotPurpose.OPEN)


def test_waiting_for_the_market_is_one_row_however_long_it_takes():
    with an_office() as office:
        office.exchange.is_open = False
        waiting = office.write(a_wait())
        looked = looks_at_the_clock(office)
        office.desk.submit(waiting)
        assert looked.wait(LIMIT_S)
        office.mailroom.flush()

        assert list(office.mailroom.handled(Recipient.BROKER)) == []
        assert [envelope.seq for envelope in office.mailroom.unhandled(Recipient.BROKER)] == [waiting.seq]

        office.exchange.is_open = True
        answer = office.ask(a_wait(ask=2))

        assert (answer.ask, answer.purpose) == (2, SnapshotPurpose.OPEN)
        assert answer.snapshot.clock.is_open
        assert office.mailroom.unhandled(Recipient.BROKER) == ()
        assert len(office.answers) == 1


def test_a_wait_that_outlived_a_restart_looks_on():
    with an_office() as office:
        office.desk.submit(replace(office.write(a_wait()), redelivered=True))

        (answer,) = office.wait(1)
        assert answer.snapshot.clock.is_open


def test_a_wait_is_ended_by_a_word():
    with an_office() as office:
        office.exchange.is_open = False
        looked = looks_at_the_clock(office)
        office.desk.submit(office.write(a_wait()))
        assert looked.wait(LIMIT_S)
        office.desk.submit(office.write(mail.StopWatching(run_id=RUN)))

        assert office.mailroom.unhandled(Recipient.BROKER) == ()
        assert office.answers == []


def test_a_clock_that_cannot_be_read_is_news_of_the_account():
    with an_office(exchange=FakeExchange(is_open=False)) as office:
        office.exchange.plan("clock", BrokerUnavailable("http 503"), times=2)
        looked = looks_at_the_clock(office)
        office.desk.submit(office.write(a_wait(ask=1)))
        assert looked.wait(LIMIT_S)
        office.desk.submit(office.write(a_wait(ask=2)))

        (judged,) = office.wait(1)
        assert judged == mail.BrokerJudged(stream=None, rest_ok=False, detail="http 503")
        assert [envelope.message for envelope in office.mailroom.unhandled(Recipient.TRADING)] == [judged]


def looks_at_the_clock(office: Office) -> threading.Event:
    """Set once the clock was read."""
    looked = threading.Event()

    def note(name, _about):
        if name == "clock":
            looked.set()

    office.exchange.before = note
    return looked
