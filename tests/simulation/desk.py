"""The broker desk in one thread: what `departments/trading/desk.py` promises; the wire's troubles are drawn by luck."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from departments.office.settings import Settings
from departments.rulebook.hours import look_again_in_s, why_closed
from departments.trading.door import judge
from departments.trading.looks import live_orders, live_orders_of_others, orders_of_run
from messages.broker import (
    CancelAnswered,
    CancelOrder,
    CancelOutcome,
    DoorClosed,
    FetchFailed,
    FetchOrder,
    FetchOrders,
    FetchSnapshot,
    OrderAnswered,
    OrderMissing,
    OrderRefused,
    OrdersFetched,
    OutcomeUnknown,
    SnapshotFetched,
    StopWatching,
    SubmitOrder,
)
from messages.envelope import Envelope, Outgoing
from messages.message import Message
from messages.orders import SnapshotPurpose
from messages.snapshots import History, OrderFacts, PositionFacts, Snapshot, SnapshotPart
from messages.values import Recipient, RunId
from tests.fakes.mailroom import FakeMailroom
from tests.simulation.agenda import Agenda
from tests.simulation.exchange import Declined, Exchange
from tests.simulation.luck import Luck
from tests.simulation.past import past_of

SLACK = timedelta(seconds=5)
TIMEOUT_S = 10.0
CANCEL_TRIED_FOR_S = 30.0


class Desk:
    """Carries one incarnation's calls. What already left goes on in the world when the firm dies."""

    def __init__(
        self,
        *,
        mailroom: FakeMailroom,
        exchange: Exchange,
        agenda: Agenda,
        luck: Luck,
        settings: Settings,
        deliver: Callable[[Envelope], None],
        alive: Callable[[], bool],
        leaves: Callable[[Envelope, SubmitOrder], None],
        very_late: set[str],
    ) -> None:
        self._mailroom = mailroom
        self._exchange = exchange
        self._agenda = agenda
        self._luck = luck
        self._settings = settings
        self._sha256 = settings.sha256()
        self._deliver = deliver
        self._alive = alive
        self._leaves = leaves
        self.very_late = very_late
        self._accepted: set[int] = set()
        self._told: set[int] = set()
        self._waiting: dict[RunId, Envelope] = {}
        self.barrier: Callable[[int], None] = mailroom.ensure_durable

    def submit(self, envelope: Envelope) -> None:
        """Take mail to the desk, once."""
        if envelope.seq in self._accepted:
            return
        self._accepted.add(envelope.seq)
        call = envelope.message
        match call:
            case SubmitOrder() | CancelOrder() if envelope.redelivered:
                self._answer(envelope, _unknown(call, "interrupted"))
            case SubmitOrder():
                self._soon(lambda: self._post(envelope, call))
            case CancelOrder():
                begun_at = self._agenda.now()
                self._soon(lambda: self._cancel(envelope, call, begun_at))
            case FetchOrder() | FetchOrders():
                self._soon(lambda: self._read(envelope, call))
            case FetchSnapshot(purpose=SnapshotPurpose.OPEN):
                self._waiting[call.run_id] = envelope
                self._soon(lambda: self._await_open(envelope, call))
            case StopWatching():
                self._waiting.pop(call.run_id, None)
                self._done(envelope)
            case FetchSnapshot():
                self._look(envelope, call)
            case _:
                raise TypeError(f"expected a call to the broker, was {type(call).__name__}")

    # -- POST ------------------------------------------------------------------------------------------------------

    def _post(self, envelope: Envelope, call: SubmitOrder) -> None:
        self.barrier(envelope.seq)
        refusal = judge(
            self._mailroom.door(run_id=call.run_id, call_seq=envelope.seq),
            call,
            epoch=self._mailroom.epoch,
            now=self._agenda.now(),
            intent_ttl_s=self._settings.trading.intent_ttl_s,
        )
        intent = call.intent
        if refusal is not None:
            closed = DoorClosed(
                run_id=call.run_id,
                leg=intent.leg,
                client_order_id=intent.client_order_id,
                resend=call.resend,
                reason=refusal.reason,
                detail=refusal.detail,
            )
            self._answer(envelope, closed)
            return
        if self._luck.strikes("post.unavailable"):
            self._later(1.0, lambda: self._post(envelope, call))
            return
        self._leaves(envelope, call)
        if self._luck.strikes("post.lost_on_the_way"):
            self._later(TIMEOUT_S, lambda: self._answer(envelope, _unknown(call, "timeout")))
            return
        way_s = self._luck.seconds(1, 4) if self._luck.strikes("post.slow") else self._luck.seconds(0.001, 0.02)
        if self._luck.strikes("post.very_late"):
            way_s = self._luck.seconds(12, 45)
            self.very_late.add(call.intent.client_order_id)
            self._later(TIMEOUT_S, lambda: self._answer(envelope, _unknown(call, "timeout")))
        self._agenda.after(way_s, lambda: self._taken(envelope, call))

    def _taken(self, envelope: Envelope, call: SubmitOrder) -> None:
        """The POST arrives, whoever is still there to hear the answer."""
        try:
            order = self._exchange.submit(call.intent)
        except Declined as no:
            self._declined(envelope, call, no)
            return
        if self._luck.strikes("post.answer_lost"):
            self._later(self._luck.seconds(0.01, 3), lambda: self._answer(envelope, _unknown(call, "http 504")))
            return
        facts = order.facts()
        answered = OrderAnswered(run_id=call.run_id, leg=call.intent.leg, order=facts)
        self._later(self._luck.seconds(0.001, 0.3), lambda: self._answer(envelope, answered))

    def _declined(self, envelope: Envelope, call: SubmitOrder, no: Declined) -> None:
        if self._luck.strikes("post.answer_lost"):
            self._later(0.5, lambda: self._answer(envelope, _unknown(call, "connection reset")))
            return
        if "unique" in no.message:
            self._later(0.02, lambda: self._answer(envelope, _unknown(call, f"the id is taken: {no.message}")))
            return
        refused = OrderRefused(
            run_id=call.run_id,
            leg=call.intent.leg,
            client_order_id=call.intent.client_order_id,
            resend=call.resend,
            status_code=no.status_code,
            code=no.code,
            message=no.message,
        )
        self._later(0.02, lambda: self._answer(envelope, refused))

    # -- DELETE ----------------------------------------------------------------------------------------------------

    def _cancel(self, envelope: Envelope, call: CancelOrder, begun_at: datetime) -> None:
        self.barrier(envelope.seq)
        if self._luck.strikes("cancel.unavailable"):
            if self._agenda.now() - begun_at < timedelta(seconds=CANCEL_TRIED_FOR_S):
                self._later(1.0, lambda: self._cancel(envelope, call, begun_at))
            else:
                self._answer(envelope, _unknown(call, "not reached"))
            return
        if self._luck.strikes("cancel.lost_on_the_way"):
            self._later(TIMEOUT_S, lambda: self._answer(envelope, _unknown(call, "timeout")))
            return
        self._agenda.after(self._luck.seconds(0.001, 0.5), lambda: self._canceled(envelope, call))

    def _canceled(self, envelope: Envelope, call: CancelOrder) -> None:
        outcome, words = CancelOutcome.ACCEPTED, ""
        try:
            self._exchange.cancel(call.order_id)
        except Declined as no:
            outcome, words = CancelOutcome.NOT_CANCELABLE, no.message
        except KeyError:
            outcome = CancelOutcome.MISSING
        answer: Message = CancelAnswered(
            run_id=call.run_id, leg=call.leg, client_order_id=call.client_order_id, outcome=outcome, message=words
        )
        if self._luck.strikes("cancel.answer_lost"):
            answer = _unknown(call, "http 500")
        self._later(self._luck.seconds(0.001, 0.2), lambda: self._answer(envelope, answer))

    # -- reads -----------------------------------------------------------------------------------------------------

    def _read(self, envelope: Envelope, call: FetchOrder | FetchOrders) -> None:
        """The exchange is read now; the answer takes its time."""
        delay_s = self._luck.seconds(0.001, 3) if self._luck.strikes("read.slow") else self._luck.seconds(0.001, 0.02)
        answer: Message
        name = "order" if isinstance(call, FetchOrder) else "orders"
        if self._luck.strikes("read.fails"):
            leg = call.leg if isinstance(call, FetchOrder) else None
            answer = FetchFailed(run_id=call.run_id, call=name, leg=leg, why="http 500")
        elif isinstance(call, FetchOrder):
            found = next((o for o in self._exchange.visible() if o.client_order_id == call.client_order_id), None)
            if found is None:
                answer = OrderMissing(run_id=call.run_id, leg=call.leg, client_order_id=call.client_order_id)
            else:
                answer = OrderAnswered(run_id=call.run_id, leg=call.leg, order=found.facts())
        else:
            listed = self._listed(call.after)
            answer = OrdersFetched(
                run_id=call.run_id,
                run_orders=orders_of_run(listed, call.run_id),
                other_orders=live_orders_of_others(listed, call.run_id, call.symbols),
            )
        self._later(delay_s, lambda: self._answer(envelope, answer))

    def _look(self, envelope: Envelope, call: FetchSnapshot) -> None:
        """Each part is read at a moment of its own: the world moves in between."""
        parts: dict[str, Any] = {}
        missing = set(call.parts)
        failed = self._luck.strikes("snapshot.fails")
        span = 2.0 if self._luck.strikes("snapshot.spread") else 0.02
        begun_at = self._agenda.now()

        def read(part: SnapshotPart) -> None:
            parts.update(self._part(call, part))
            missing.discard(part)
            if missing:
                return
            answer: Message = SnapshotFetched(
                run_id=call.run_id,
                ask=call.ask,
                purpose=call.purpose,
                snapshot=Snapshot(begun_at=begun_at, **parts),
                history=self._past(call, parts.get("positions") or ()),
            )
            if failed:
                answer = FetchFailed(
                    run_id=call.run_id, call="snapshot", ask=call.ask, purpose=call.purpose, why="timeout"
                )
            self._later(self._luck.seconds(0.001, 0.02), lambda: self._answer(envelope, answer))

        for part in call.parts:
            self._later(self._luck.seconds(0.001, span), lambda part=part: read(part))

    def _await_open(self, envelope: Envelope, call: FetchSnapshot) -> None:
        """Look at the clock again and again; one that fails is one among many. A later call of the run takes over."""
        if self._waiting.get(call.run_id) is not envelope:
            self._done(envelope)
            return
        executive, clock = self._settings.executive, self._exchange.clock()
        unread = self._luck.strikes("read.fails")
        if unread or why_closed(clock, executive.min_time_to_close_s) is not None:
            wait_s = executive.market_poll_s if unread else look_again_in_s(clock, executive.market_poll_s)
            self._later(wait_s, lambda: self._await_open(envelope, call))
            return
        self._waiting.pop(call.run_id)
        snapshot = Snapshot(begun_at=self._agenda.now(), clock=clock)
        fetched = SnapshotFetched(run_id=call.run_id, ask=call.ask, purpose=call.purpose, snapshot=snapshot)
        self._later(self._luck.seconds(0.001, 0.02), lambda: self._answer(envelope, fetched))

    def _part(self, call: FetchSnapshot, part: SnapshotPart) -> dict[str, Any]:
        exchange = self._exchange
        match part:
            case SnapshotPart.ACCOUNT:
                return {"account": exchange.account_facts()}
            case SnapshotPart.POSITIONS:
                return {"positions": exchange.positions()}
            case SnapshotPart.ORDERS:
                listed = self._listed(call.run_orders_after)
                return {"open_orders": live_orders(listed), "run_orders": orders_of_run(listed, call.run_id)}
            case SnapshotPart.CLOCK:
                return {"clock": exchange.clock()}
            case SnapshotPart.ASSETS:
                return {"assets": exchange.assets(call.symbols)}
            case SnapshotPart.QUOTES:
                return {"quotes": exchange.quotes(call.symbols)}

    def _past(self, call: FetchSnapshot, positions: tuple[PositionFacts, ...]) -> History | None:
        symbols = (*call.symbols, *(position.symbol for position in positions))
        return past_of(self._exchange, call.history, symbols, self._agenda.now())

    def _listed(self, after: datetime) -> tuple[OrderFacts, ...]:
        return tuple(
            order.facts() for order in self._exchange.visible() if order.live or order.submitted_at > after - SLACK
        )

    # -- pieces ----------------------------------------------------------------------------------------------------

    def _soon(self, what: Callable[[], None]) -> None:
        self._later(self._luck.seconds(0.0001, 0.005), what)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        """Go on later, if the firm is still there."""
        self._agenda.after(seconds, lambda: what() if self._alive() else None)

    def _answer(self, envelope: Envelope, message: Message) -> None:
        """Record what became of a call, and tell; only the first answer counts."""
        if not self._alive() or envelope.seq in self._told:
            return
        self._told.add(envelope.seq)
        for letter in self._record(envelope, [Outgoing(Recipient.TRADING, message)]):
            self._deliver(letter)

    def _done(self, envelope: Envelope) -> None:
        """Nobody need hear of it."""
        if self._alive():
            self._record(envelope, [])

    def _record(self, envelope: Envelope, outgoing: list[Outgoing]) -> tuple[Envelope, ...]:
        return self._mailroom.record(
            handled=envelope, at=self._agenda.now(), settings_sha256=self._sha256, outgoing=outgoing
        )


def _unknown(call: SubmitOrder | CancelOrder, why: str) -> OutcomeUnknown:
    name, of = ("submit", call.intent) if isinstance(call, SubmitOrder) else ("cancel", call)
    return OutcomeUnknown(run_id=call.run_id, leg=of.leg, client_order_id=of.client_order_id, call=name, why=why)
