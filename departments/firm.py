"""The composition root: the only place that wires. Starts mailroom, desk and departments in order; stops in reverse."""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pykka
import structlog
from cryptography.hazmat.primitives.asymmetric import ed25519

from departments.compliance.department import ComplianceDepartment
from departments.executive.bookkeeping import JournalRegister
from departments.executive.department import ExecutiveDepartment
from departments.executive.phases import HoldReason
from departments.office.actor import DepartmentActor, Office, write_note
from departments.office.background import Chore
from departments.office.cabinet import FOLDER, Cabinet
from departments.office.clock import Clock, SystemClock
from departments.office.department import Department
from departments.office.directory import Directory
from departments.office.done import Done
from departments.office.settings import Settings
from departments.office.supervisor import Supervisor
from departments.office.timers import Timers
from departments.operations.department import OperationsDepartment
from departments.operations.holdings import holding_facts
from departments.own_approval import OwnApproval
from departments.portfolio.bookkeeper import Bookkeeper
from departments.portfolio.files import FILE as PORTFOLIO_FILE
from departments.portfolio.known_entries import known_entries
from departments.portfolio.refresh import Refreshed
from departments.rulebook.limits import limits_of
from departments.rulebook.needs import history_needed
from departments.trading.alpaca.endpoints import Endpoints
from departments.trading.alpaca.rest import AlpacaBroker
from departments.trading.alpaca.stream import TradesStream
from departments.trading.broker import Broker
from departments.trading.department import TradingDepartment
from departments.trading.desk import BrokerDesk
from departments.trading.position_look import PositionLook
from messages.control import FirmOpened, HaltTrading, HoldRun
from messages.envelope import Envelope
from messages.mailroom.counter import SqlCounter
from messages.mailroom.mailroom import SqlMailroom
from messages.message import Message
from messages.values import AccountName, Recipient, RunId

SIGNAL_LOOK_S = 0.25
"""How late a signal to stop may be noticed."""
BOOKS_SETTLE_S = 3.0
"""The portfolio database is refreshed so long after the last of several runs."""
BOOKS_RETRY_S = 900.0
BOOKS_STOP_WITHIN_S = 1.0
GARBAGE_THRESHOLDS = (700, 10, 10)
"""Python's own; whoever starts the firm may have raised them for the start."""
THREAD_SWITCH_S = 0.0005
"""How long a thread may keep the interpreter while another waits; the default of 5 ms is a BUY's whole journey."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Alpaca's key pair. Never logged."""

    key_id: str
    secret_key: str

    def __repr__(self) -> str:
        return "Keys(...)"


class WrongMoney(Exception):
    """The keys, or the store, are not those of the account that is meant."""


class Firm:
    """One account's departments, wired and running."""

    ORDER: ClassVar = (Recipient.OPERATIONS, Recipient.COMPLIANCE, Recipient.EXECUTIVE, Recipient.TRADING)

    def __init__(
        self,
        *,
        home: Path,
        store_url: str,
        account: AccountName,
        settings: Settings,
        keys: Keys,
        endpoints: Endpoints,
        clock: Clock | None = None,
        keeps_books: bool = True,
        own_key: ed25519.Ed25519PrivateKey | None = None,
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            home: FIRM_HOME.
            store_url: SQLAlchemy URL of the mailroom.
            account: The account of this firm, named in the settings.
            settings: All of them.
            keys: Alpaca's key pair.
            endpoints: Where Alpaca is.
            clock: The machine's unless given.
            keeps_books: Whether the portfolio database is kept up to date.
            own_key: What the firm signs its exit proposals with, where it may approve them itself.
        """
        self._home = home
        self._store_url = store_url
        self._account = account
        self._settings = settings
        self._sha256 = settings.sha256()
        self._keys = keys
        self._endpoints = endpoints
        self._clock = clock or SystemClock()
        self._keeps_books = keeps_books
        self._own_key = own_key
        self._opened = False
        self._cleanup = ExitStack()
        self._over = threading.Event()
        self._gave_up: str | None = None
        self._log = structlog.get_logger().bind(department="office", account=account)
        self._differs: list[tuple[RunId | None, str]] = []
        self._done = {name: Done() for name in self.ORDER}
        self._books = Chore(
            "bookkeeper",
            self._tend_books,
            failed=self._books_failed,
            settle_s=BOOKS_SETTLE_S,
            retry_s=BOOKS_RETRY_S,
        )

    @property
    def gave_up(self) -> str | None:
        """Why the firm stopped by itself; None if it didn't."""
        return self._gave_up

    def start(self) -> None:
        """Take the account, wake the departments, take up what lies in their inboxes.

        Raises:
            LeaseHeld: Another daemon has the account.
            StoreUnavailable: The mailroom can't be opened.
            BrokerUnavailable: Alpaca can't be reached.
            KeysRefused: Alpaca doesn't take the keys.
            WrongMoney: The keys open another account, or the store is the other money's.
        """
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise

    def _start(self) -> None:
        mailroom = SqlMailroom.open(url=self._store_url, home=self._home, account=self._account, now=self._clock.now)
        self._cleanup.callback(mailroom.close)
        self._mailroom = mailroom
        mailroom.on_failure(lambda error: self._give_up(f"the store's writer died: {error}"))
        self._check_store(mailroom.last_settings())
        mailroom.remember_settings(self._sha256, self._settings.document())
        self._probe()

        self._timers = Timers(self._clock, self._deliver_one)
        self._directory = Directory(self._is_due, self._timers.add)
        desk = BrokerDesk(
            make_broker=self._broker,
            mailroom=mailroom,
            deliver=self._deliver_one,
            clock=self._clock.now,
            settings=self._settings,
            note=partial(write_note, self._log.bind(department="trading")),
            on_failure=lambda error: self._give_up(f"the broker desk died: {error}"),
            warm_history=history_needed(limits_of(self._settings)),
            look=PositionLook(
                holdings=holding_facts,
                entries=partial(known_entries, self._home / PORTFOLIO_FILE, self._account),
            ),
        )
        self._directory.register_desk(desk.submit)
        cabinet = self._cabinet()
        self._directory.register_desk(cabinet.submit, Recipient.CABINET)
        self._supervisor = Supervisor(
            mailroom=mailroom,
            directory=self._directory,
            clock=self._clock,
            hire=self._hire,
            give_up=self._give_up,
        )
        for name in self.ORDER:
            self._directory.register(name, self._hire(name))
        self._cleanup.callback(self._dismiss)
        self._supervisor.start()
        self._cleanup.callback(self._supervisor.stop)
        self._timers.start()
        self._cleanup.callback(self._timers.stop)
        desk.start()
        self._cleanup.callback(desk.close)
        if self._keeps_books:
            self._start_books(desk)
        cabinet.start()
        self._cleanup.callback(cabinet.close)
        for name in (*self.ORDER, Recipient.BROKER, Recipient.CABINET):
            self._directory.deliver(mailroom.unhandled(name))
        self._report_doubts()
        if not self._keeps_books:
            self._open()
        stream = TradesStream(
            url=self._endpoints.stream_url,
            key_id=self._keys.key_id,
            secret_key=self._keys.secret_key,
            on_message=self._streamed,
            hold=desk.wait_for_calm,
            note=partial(write_note, self._log.bind(department="trading")),
            on_failure=lambda error: self._give_up(f"the stream's reader died: {error}"),
        )
        stream.start()
        self._cleanup.callback(stream.stop)
        mailroom.on_letter(self._take_letters)
        self._take_letters()
        gc.collect()
        gc.freeze()  # what lives as long as the firm is not looked at again and again
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        self._log.info("firm.started", home=str(self._home), epoch=mailroom.epoch, alpaca=self._endpoints.rest_url)

    def stop(self) -> None:
        """Stop in reverse order. Whatever was recorded is durable when this returns."""
        self._log.info("firm.stopping")
        self._cleanup.close()
        leftovers = pykka.ActorRegistry.get_all()
        if leftovers:
            self._log.error("firm.leftovers", actors=[str(ref) for ref in leftovers])
        self._log.info("firm.stopped")

    def wait(self) -> None:
        """Block until `ask_to_stop`, or until the firm gives up."""
        while not self._over.wait(SIGNAL_LOOK_S):  # a signal taken by another thread wakes no lock: look now and then
            pass

    def ask_to_stop(self) -> None:
        """Let `wait` return."""
        self._over.set()

    def _broker(self) -> Broker:
        return AlpacaBroker(
            endpoints=self._endpoints,
            key_id=self._keys.key_id,
            secret_key=self._keys.secret_key,
            connect_timeout_s=self._settings.trading.connect_timeout_s,
            read_timeout_s=self._settings.trading.read_timeout_s,
        )

    def _start_books(self, desk: BrokerDesk) -> None:
        """Keep the portfolio database up to date, beside everything: nothing waits for it or stands on it."""
        reader = desk.background_reader()
        self._bookkeeper = Bookkeeper(
            path=self._home / PORTFOLIO_FILE,
            account=self._account,
            reader=reader,
            monotonic_s=self._clock.monotonic_s,
            tell=self._books_refreshed,
        )
        self._books.start()
        self._cleanup.callback(reader.close)
        self._cleanup.callback(self._books.stop, BOOKS_STOP_WITHIN_S)

    def _tend_books(self, asked: bool) -> float:  # noqa: FBT001 - as a chore's work is called
        with closing(SqlCounter.open(url=self._store_url, home=self._home, account=self._account)) as counter:
            return self._bookkeeper.tend(JournalRegister(counter), asked=asked)

    def _open(self) -> None:
        """Let Operations look at the positions, once: what is known of them has been brought up to date."""
        if not self._opened:
            self._opened = True
            self._say(Recipient.OPERATIONS, FirmOpened())

    def _books_refreshed(self, done: Refreshed) -> None:
        if done.made_anew_because is not None:
            self._log.info("books.made_anew", why=done.made_anew_because)
        self._log.info(
            "books.refreshed",
            fills=done.fills,
            new_fills=done.new_fills,
            positions=done.positions,
            entries_unknown=sorted(done.unknown),
        )
        self._open()

    def _books_failed(self, error: Exception) -> None:
        self._log.warning("books.not_refreshed", why=f"{type(error).__name__}: {error}")
        self._open()

    def _probe(self) -> None:
        """Ask Alpaca for the account once, on the main thread: keys and address are right, and alpaca is imported."""
        seen = self._broker().account().account_number
        expected = self._settings.firm.accounts[self._account].account_number
        if expected is not None and seen != expected:
            raise WrongMoney(f"the keys open account {seen}, expected {expected} as in firm.yaml")

    def _check_store(self, before: str | None) -> None:
        """Look at the settings that the store's mail was handled under last: paper and live never share a store."""
        mode = self._settings.firm.mode.value
        used_for = mode if before is None else json.loads(before)["firm"]["mode"]
        if used_for != mode:
            raise WrongMoney(f"the store holds a journal of {used_for} money, expected another store for {mode}")

    def _hire(self, name: Recipient) -> "pykka.ActorRef[Any]":
        """Start a department and wait until it knows its past: side by side they would only hold each other up."""
        folded = threading.Event()
        office = Office(
            mailroom=self._mailroom,
            directory=self._directory,
            clock=self._clock,
            settings=self._settings,
            settings_sha256=self._sha256,
            failed=self._supervisor.failed,
            replay_differs=lambda run_id, how: self._differs.append((run_id, how)),
            done=self._done[name],
            folded=folded.set,
            run_closed=self._books.ask,
        )
        ref = DepartmentActor.start(self._department(name), office)
        folded.wait()
        return ref

    def _department(self, name: Recipient) -> Department[Any]:
        makers: Mapping[Recipient, Callable[[], Department[Any]]] = {
            Recipient.OPERATIONS: lambda: OperationsDepartment(self._account),
            Recipient.COMPLIANCE: ComplianceDepartment,
            Recipient.EXECUTIVE: lambda: ExecutiveDepartment(self._account),
            Recipient.TRADING: TradingDepartment,
        }
        return makers[name]()

    def _dismiss(self) -> None:
        for name in reversed(self.ORDER):
            ref = self._directory.actor(name)
            if ref is not None and ref.is_alive():
                ref.stop()

    def _is_due(self, envelope: Envelope) -> bool:
        return envelope.due_at is None or envelope.due_at <= self._clock.now()

    def _deliver_one(self, envelope: Envelope) -> None:
        self._directory.deliver_one(envelope)

    def _streamed(self, message: Message, message_id: str | None) -> None:
        envelope = self._mailroom.receive(
            sender="stream",
            recipient=Recipient.TRADING,
            message=message,
            at=self._clock.now(),
            message_id=message_id,
        )
        if envelope is not None:
            self._directory.deliver_one(envelope)

    def _take_letters(self) -> None:
        self._directory.deliver(self._mailroom.import_letters(self._clock.now()))

    def _report_doubts(self) -> None:
        """Hold what can't be trusted: a replay that differs from the journal, a tail that was quarantined."""
        doubts = [(run_id, HoldReason.REPLAY_MISMATCH, how) for run_id, how in self._differs]
        doubts += [
            (run_id, HoldReason.REPLAY_MISMATCH, "the journal's tail was broken and is quarantined")
            for run_id in self._mailroom.quarantined
        ]
        for run_id, reason, how in doubts:
            self._log.error("replay.differs", run_id=run_id, detail=how)
            word: Message = HaltTrading(reason=how, by="firm")
            if run_id is not None:
                word = HoldRun(run_id=run_id, reason=reason.value, detail=how)
            self._say(Recipient.EXECUTIVE, word)

    def _say(self, recipient: Recipient, word: Message) -> None:
        """A word of the office's own."""
        envelope = self._mailroom.receive(
            sender="office",
            recipient=recipient,
            message=word,
            at=self._clock.now(),
            message_id=f"office:{uuid4().hex}",
        )
        if envelope is not None:
            self._directory.deliver_one(envelope)

    def _cabinet(self) -> Cabinet:
        may_approve = self._settings.operations.monitor.auto_approve_exits
        return Cabinet(
            folder=self._home / FOLDER,
            mailroom=self._mailroom,
            deliver=self._deliver_one,
            clock=self._clock,
            settings_sha256=self._sha256,
            on_failure=lambda error: self._give_up(f"the cabinet died: {error}"),
            approve=OwnApproval(self._settings, self._own_key, self._clock) if may_approve else None,
        )

    def _give_up(self, reason: str) -> None:
        """Stop, loudly: nothing may leave any more, since nothing can be written down."""
        self._gave_up = reason
        self._log.critical("store.failed", reason=reason)
        self._over.set()


def run(firm: Firm, started: Callable[[], None] = lambda: None) -> str | None:
    """Run a firm in the foreground until SIGTERM or SIGINT.

    Args:
        firm: Not started yet.
        started: Called once it runs.

    Returns:
        None after a clean stop; why it gave up otherwise.

    Raises:
        As `Firm.start`.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: firm.ask_to_stop())
    firm.start()
    sys.setswitchinterval(THREAD_SWITCH_S)  # a start, folding above all, is quicker in longer turns
    started()
    firm.wait()
    if firm.gave_up is not None:
        sys.stderr.write(f"firm: {firm.gave_up}\n")
        sys.stderr.flush()
        os._exit(6)  # a stop in order would wait for a store that is gone
    firm.stop()
    return None
