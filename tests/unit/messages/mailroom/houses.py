"""Mailrooms to be tested alike: SQLite by its own driver, SQLite through SQLAlchemy, and the fake."""

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from messages.control import BeginRun, HaltTrading, ReduceTrading
from messages.envelope import Envelope, Outgoing
from messages.mailroom.counter import SqlCounter
from messages.mailroom.mailroom import SqlMailroom
from messages.mailroom.port import StoreUnavailable
from messages.orders import GateOpened
from messages.plans import Approval, Plan, SubmitPlan, Trade
from messages.snapshots import QuoteFacts, Snapshot
from messages.values import AccountName, LegId, PlanId, Recipient, RunId, Side, sha256_hex
from tests.fakes.mailroom import PAPER, FakeMailroom

NOW = datetime(2025, 11, 10, 15, 9, 12, tzinfo=UTC)
SETTINGS_TEXT = '{"settings": 1}'
SETTINGS = sha256_hex(SETTINGS_TEXT.encode())
RUN = RunId("R" + "1" * 20)
OTHER_RUN = RunId("R" + "2" * 20)
CEO = Recipient.EXECUTIVE
NEVER_MS = 3_600_000


class SqlHouse:
    """A FIRM_HOME with a SQLite store; nothing is committed unless somebody asks."""

    def __init__(self, home: Path, scheme: str, *, lazy_commit_ms: int = NEVER_MS) -> None:
        self.home = home
        self.scheme = scheme
        self.lazy_commit_ms = lazy_commit_ms
        self._mailrooms: list[SqlMailroom] = []
        self._counters: list[SqlCounter] = []

    @property
    def path(self) -> Path:
        return self.home / "firm.db"

    @property
    def url(self) -> str:
        return f"{self.scheme}:///{self.path}"

    def open(self, account: AccountName = PAPER, **more: Any) -> SqlMailroom:
        options = {"lazy_commit_ms": self.lazy_commit_ms, "patience_s": 5.0} | more
        mailroom = SqlMailroom.open(url=self.url, home=self.home, account=account, now=lambda: NOW, **options)
        self._mailrooms.append(mailroom)
        return mailroom

    def counter(self, account: AccountName = PAPER, **more: Any) -> SqlCounter:
        counter = SqlCounter.open(url=self.url, home=self.home, account=account, **more)
        self._counters.append(counter)
        return counter

    def crash(self, mailroom: SqlMailroom) -> SqlMailroom:
        """Drop what is pending, as SIGKILL would, and open again."""
        self.kill(mailroom)
        return self.open()

    def kill(self, mailroom: SqlMailroom) -> None:
        writer = mailroom._writer
        with writer.lock:
            writer._failure = StoreUnavailable("crashed")
            writer._pending.clear()
            writer._stirred.notify_all()
        mailroom._database.close()
        mailroom._lease.release()

    def steal_epoch(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE store SET epoch = epoch + 1")
            connection.commit()

    def break_store(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.execute("ALTER TABLE mail RENAME TO gone")
            connection.commit()

    def close(self) -> None:
        for mailroom in self._mailrooms:
            with contextlib.suppress(StoreUnavailable):
                mailroom.close()
        for counter in self._counters:
            counter.close()


class FakeHouse:
    """The same over the fake."""

    def __init__(self) -> None:
        self._first = FakeMailroom()
        self._first.close()
        self._first.store.epoch = 0
        self._store = self._first.store

    def open(self, account: AccountName = PAPER) -> FakeMailroom:
        return FakeMailroom(account, store=self._store)

    def counter(self) -> Any:
        return self._first.counter()

    def crash(self, mailroom: FakeMailroom) -> FakeMailroom:
        return mailroom.crash()

    def steal_epoch(self) -> None:
        self._store.epoch += 1

    def break_store(self) -> None:
        self._store.broken = True

    def close(self) -> None:
        """Nothing is held open."""


def begin(run_id: RunId = RUN, plan_id: str = "P") -> BeginRun:
    return BeginRun(run_id=run_id, plan_id=PlanId(plan_id))


def to_ceo(*messages: Any) -> list[Outgoing]:
    return [Outgoing(CEO, message) for message in messages]


def a_halt(reason: str = "test") -> HaltTrading:
    return HaltTrading(reason=reason, by="mara")


def a_reduction(reason: str = "test") -> ReduceTrading:
    return ReduceTrading(reason=reason, by="mara")


def a_submission(run_id: RunId = RUN, nonce: str = "1") -> SubmitPlan:
    trade = Trade(
        leg=LegId("S01"), symbol="CTVA", side=Side.SELL, qty=Decimal(190), reference_price_usd=Decimal("64.64")
    )
    return SubmitPlan(
        run_id=run_id,
        plan=Plan(plan_id=PlanId("P"), account=PAPER, plan_sha256="0" * 64, trades=(trade,)),
        approval=Approval(
            plan_sha256="0" * 64,
            account=PAPER,
            approved_by="mara",
            approved_at=NOW,
            expires_at=NOW + timedelta(hours=8),
            nonce=nonce,
        ),
        plan_text="plan_id: P\n",
    )


def a_snapshot(price: str = "64.64") -> Snapshot:
    quote = QuoteFacts(symbol="CTVA", bid_usd=None, ask_usd=None, last_usd=Decimal(price), at=NOW)
    return Snapshot(begun_at=NOW, quotes=(quote,))


def a_gate(run_id: RunId = RUN, price: str = "64.64") -> GateOpened:
    return GateOpened(
        run_id=run_id,
        snapshot=a_snapshot(price),
        sells=(),
        shortfall_decision=None,
        proceeds_usd=Decimal(1),
        cash_before_usd=Decimal(0),
        cash_at_gate_usd=Decimal(1),
    )


def ready(mailroom: Any) -> Any:
    """Remember the settings, so that mail can be recorded as handled."""
    mailroom.remember_settings(SETTINGS, SETTINGS_TEXT)
    return mailroom


def take(mailroom: Any, message: Any, *, recipient: Recipient = CEO, message_id: str | None = None) -> Envelope:
    """Receive mail from outside."""
    envelope = mailroom.receive(sender="operator", recipient=recipient, message=message, at=NOW, message_id=message_id)
    assert envelope is not None
    return envelope


def handle(mailroom: Any, envelope: Envelope, *messages: Any, **more: Any) -> tuple[Envelope, ...]:
    """Record that mail was handled, and that these messages to the CEO came of it."""
    return mailroom.record(handled=envelope, at=NOW, settings_sha256=SETTINGS, outgoing=to_ceo(*messages), **more)


def seqs(envelopes: Any) -> list[int]:
    return [envelope.seq for envelope in envelopes]
