"""Looks at the account for no run: they wait for the broker's clock, read whole, and only the newest is answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from departments.office.department import Note
from departments.office.settings import Monitor, OperationsSettings
from departments.operations.holdings import holding_facts
from departments.trading.broker import BrokerUnavailable, KeysRefused
from departments.trading.department import TradingDepartment
from departments.trading.desk import BrokerDesk
from departments.trading.position_look import PositionLook
from messages.broker import AccountFetched, FetchAccount
from messages.codec import decode, encode
from messages.envelope import Envelope
from messages.proposals import AccountLook, AskAccountLook
from messages.snapshots import ClockFacts, EntryFacts, Snapshot
from messages.values import Recipient
from tests.builders.plans import NOW, some_settings
from tests.fakes.broker import OPENED, FakeExchange
from tests.fakes.mailroom import FakeMailroom

LIMIT_S = 10.0
ENTRY = EntryFacts(symbol="SA", qty=Decimal(10), entered_on=date(2026, 10, 5), entered_at=OPENED - timedelta(days=3))


@dataclass
class Office:
    """A desk that asks a fake exchange, and what it said."""

    exchange: FakeExchange
    mailroom: FakeMailroom
    desk: BrokerDesk = field(init=False)
    answers: list[Envelope] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def ask(self, call: FetchAccount) -> Envelope:
        envelope = self.mailroom.receive(sender="trading", recipient=Recipient.BROKER, message=call, at=NOW)
        assert envelope is not None
        self.desk.submit(envelope)
        return envelope

    def deliver(self, envelope: Envelope) -> None:
        with self.came:
            self.answers.append(envelope)
            self.came.notify_all()

    def answer(self) -> AccountFetched:
        with self.came:
            assert self.came.wait_for(lambda: bool(self.answers), LIMIT_S)
            answer = self.answers.pop(0).message
        stored = encode(answer)
        assert decode(stored.type, stored.version, stored.body, lambda name: stored.documents[name]) == answer
        assert isinstance(answer, AccountFetched)
        return answer

    def nothing_waits(self) -> bool:
        return not self.mailroom.unhandled(Recipient.BROKER)


@contextmanager
def an_office(exchange: FakeExchange | None = None, mailroom: FakeMailroom | None = None) -> Iterator[Office]:
    settings = some_settings(operations=OperationsSettings(monitor=Monitor(clock_poll_s=1)))
    exchange = exchange or FakeExchange(
        prices={name: Decimal(100) for name in ("SA", "SB", "BA")}, shares={"SA": Decimal(10), "SB": Decimal(5)}
    )
    office = Office(exchange=exchange, mailroom=mailroom or FakeMailroom())
    office.mailroom.remember_settings(settings.sha256(), settings.document())
    office.desk = BrokerDesk(
        make_broker=exchange.client,
        mailroom=office.mailroom,
        deliver=office.deliver,
        clock=lambda: NOW,
        settings=settings,
        note=office.notes.append,
        warm=False,
        look=PositionLook(holdings=holding_facts, entries=lambda: (ENTRY,)),
    )
    office.desk.start()
    try:
        yield office
    finally:
        assert office.desk.close(LIMIT_S)


def test_a_look_at_once_is_clock_and_calendar():
    with an_office() as office:
        office.ask(FetchAccount(ask=1))

        answer = office.answer()

        assert (answer.ask, answer.holdings, answer.snapshot.positions) == (1, None, None)
        assert answer.snapshot.begun_at == NOW
        assert answer.snapshot.clock is not None
        assert OPENED.date() in {one.day for one in answer.days}
        assert answer.days[-1].opens_at > answer.snapshot.clock.at
        assert office.exchange.count("positions") == 0


def test_positions_come_with_all_that_is_known_of_them():
    with an_office() as office:
        office.ask(FetchAccount(ask=1, positions=True))

        answer = office.answer()

        snapshot = answer.snapshot
        assert None not in {snapshot.account, snapshot.positions, snapshot.open_orders, snapshot.clock}
        assert {one.symbol for one in snapshot.quotes or ()} == {"SA", "SB"}
        assert {one.symbol for one in snapshot.assets or ()} == {"SA", "SB"}
        known = {one.symbol: one for one in answer.holdings or ()}
        assert (known["SA"].entered_at, known["SA"].trading_days) == (ENTRY.entered_at, 3)
        assert known["SB"].entered_at is None


def test_while_the_market_is_closed_positions_are_not_read():
    with an_office() as office:
        office.exchange.is_open = False
        office.ask(FetchAccount(ask=1, positions=True))

        assert office.answer().holdings is None
        assert office.exchange.count("positions") == 0


def test_it_waits_until_the_brokers_clock_has_come_so_far():
    with an_office() as office:
        start = office.exchange.now

        def later(name: str, _about: object) -> None:
            if name == "clock" and office.exchange.count("clock") == 3:
                office.exchange.now = start + timedelta(hours=1)

        office.exchange.before = later
        office.ask(FetchAccount(ask=1, not_before=start + timedelta(milliseconds=40)))

        clock = office.answer().snapshot.clock

        assert clock is not None
        assert clock.at >= start + timedelta(hours=1)
        assert office.exchange.count("clock") == 3
        assert office.nothing_waits()


def test_a_newer_ask_puts_an_older_one_away_unanswered():
    with an_office() as office:
        office.ask(FetchAccount(ask=1, not_before=office.exchange.now + timedelta(days=1)))
        office.ask(FetchAccount(ask=2))

        assert office.answer().ask == 2
        ends = threading.Event()
        office.exchange.before = lambda *_: ends.set()
        office.ask(FetchAccount(ask=3, not_before=office.exchange.now + timedelta(seconds=2)))
        assert ends.wait(LIMIT_S)
        office.exchange.now += timedelta(seconds=5)
        assert office.answer().ask == 3
        assert office.nothing_waits()
        assert office.answers == []


@pytest.mark.parametrize("error", [BrokerUnavailable("http 500"), KeysRefused(401, "unauthorized.")])
@pytest.mark.parametrize("call", ["clock", "positions", "trading_days", "daily_bars"])
def test_a_read_that_fails_is_made_again_and_said_once(call, error):
    with an_office() as office:
        office.exchange.plan(call, error)
        office.ask(FetchAccount(ask=1, positions=True))

        assert office.answer().holdings is not None
        assert [note.fields for note in office.notes if note.event == "broker.read_failed"] == [
            {"call": "account", "why": str(error)}
        ]


def test_what_was_waited_for_is_waited_for_after_a_restart():
    with an_office() as office:
        office.ask(FetchAccount(ask=1, not_before=office.exchange.now + timedelta(hours=1)))
        office.mailroom.flush()
    again = office.mailroom.crash()
    office.exchange.now += timedelta(hours=2)

    with an_office(office.exchange, again) as later:
        (left,) = again.unhandled(Recipient.BROKER)
        later.desk.submit(left)

        assert later.answer().ask == 1


def test_trading_only_passes_on_what_is_asked_and_answered():
    trading = TradingDepartment()
    at = datetime(2026, 10, 8, 14, 0, tzinfo=NOW.tzinfo)
    asked = AskAccountLook(ask=4, not_before=at, positions=True)
    clock = ClockFacts(at=at, is_open=True, next_open=at, next_close=at)
    fetched = AccountFetched(ask=4, snapshot=Snapshot(begun_at=NOW, clock=clock), days=(), holdings=())

    def sent(message):
        envelope = Envelope(
            seq=1, message_id="1", sender="x", recipient=Recipient.TRADING, sent_at=NOW, message=message
        )
        state = trading.initial()
        step = trading.handle(state, envelope, NOW, some_settings())
        assert step.state == state
        return [(mail.recipient, mail.message) for mail in step.outgoing]

    assert sent(asked) == [(Recipient.BROKER, FetchAccount(ask=4, not_before=at, positions=True))]
    assert sent(fetched) == [
        (Recipient.OPERATIONS, AccountLook(ask=4, snapshot=fetched.snapshot, days=(), holdings=()))
    ]
