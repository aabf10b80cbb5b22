"""The broker desk: carries Trading's calls to the broker and brings the answers, on a few threads.

A call that changes something leaves only after its row is durable and the last door let it pass; it leaves once, and
what came of it is recorded before anybody hears of it. A call that was out when the firm died is answered "unknown",
never made again by the desk. Reads are simply asked.

The order in which calls leave: cancels, SELLs, the gate's look, proofs, BUYs, other reads, what can wait; all within
the limits (`pacing.py`). Orders of one side leave in the order in which they were written. A SELL follows as soon as
the one before has left whole. A BUY follows the answer of the one before, so that the best one is the first at the
broker's, too: requests that leave a millisecond apart on two connections arrive as they like. After `BUY_FOLLOWS_S` it
goes without that answer.

A 429, or a broker that can't be reached, is no answer: nothing was taken, so the same call waits and goes again - an
order through the door again, whose `intent_ttl_s` ends that.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue

from departments.office.department import Note
from departments.office.done import Done
from departments.office.settings import Settings
from departments.trading.account_looks import AccountLooks
from departments.trading.broker import (
    Broker,
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    KeysRefused,
    OutcomeUnknown,
    RateLimited,
)
from departments.trading.door import judge
from departments.trading.opening import Opening
from departments.trading.paced import PacedReader
from departments.trading.pacing import Kind
from departments.trading.position_look import PositionLook
from departments.trading.reads import Reads
from departments.trading.turns import DeskHealth, Job, Leaving, Turns
from messages import broker as mail
from messages.envelope import Envelope, Outgoing
from messages.mailroom.port import Mailroom
from messages.message import Message
from messages.orders import SnapshotPurpose
from messages.snapshots import HistoryPart
from messages.values import Recipient, Side

FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 4.0
CANCEL_TRIED_FOR_S = 30.0
"""After so long a cancel that never reached the broker is reported as unknown; Trading decides."""
BUY_FOLLOWS_S = 0.05
_CLOSING_SLACK_S = 1.0


def _ignore(_: object) -> None:
    """Tell nobody."""


class BrokerDesk:
    """The desk.

    Args:
        make_broker: Makes one client; called once a thread, on the thread that calls `start`.
        mailroom: Keeps calls and answers.
        deliver: Hands an answer to its recipient once it is recorded.
        clock: Store's clock, UTC.
        settings: `trading` is read (workers, limits, timeouts, `intent_ttl_s`), and `monitor.clock_poll_s`.
        note: Where lines for the log go.
        on_failure: Told once when a thread died of a broken store, a lost lease or a bug: the firm must stop.
        monotonic: Seconds of a clock that never jumps.
        warm: Read the broker's clock, live orders and assets when started.
        warm_history: The parts of the history to read then, too.
        look: Reads positions for looks that belong to no run; None: nothing is known of any position then.
    """

    def __init__(
        self,
        *,
        make_broker: Callable[[], Broker],
        mailroom: Mailroom,
        deliver: Callable[[Envelope], None],
        clock: Callable[[], datetime],
        settings: Settings,
        note: Callable[[Note], None] = _ignore,
        on_failure: Callable[[BaseException], None] = _ignore,
        monotonic: Callable[[], float] = time.monotonic,
        warm: bool = True,
        warm_history: tuple[HistoryPart, ...] = (),
        look: PositionLook | None = None,
    ) -> None:
        self._make_broker = make_broker
        self._mailroom = mailroom
        self._deliver = deliver
        self._clock = clock
        self._trading = settings.trading
        self._settings_sha256 = settings.sha256()
        self._note = note
        self._on_failure = on_failure
        self._monotonic = monotonic
        self._warm = warm
        self._warm_history = warm_history
        self._turns = Turns(requests_per_minute=settings.trading.requests_per_minute, monotonic=monotonic)
        self._account_looks = AccountLooks(
            turns=self._turns,
            answer=self._answer,
            clock=clock,
            note=note,
            poll_s=settings.operations.monitor.clock_poll_s,
            look=look or PositionLook(),
        )
        self._reads = Reads(
            turns=self._turns,
            answer=self._answer,
            clock=clock,
            note=note,
            gate_quote_age=timedelta(seconds=settings.trading.gate_quote_age_s),
        )
        self._opening = Opening(
            turns=self._turns,
            settings=settings,
            now=clock,
            answer=self._answer,
            drop=partial(self._answer, message=None),
            judge=self._judged,
        )
        self._threads: list[threading.Thread] = []
        self._told: SimpleQueue[Envelope | None] = SimpleQueue()
        self._teller = threading.Thread(target=self._tell, name="broker-desk-teller", daemon=True)
        self._lock = threading.Lock()
        self._accepted = Done()
        self._failed = False

    def start(self) -> None:
        """Make the clients and start the threads. Slow libraries are imported here, before there are threads."""
        brokers = [self._make_broker() for _ in range(self._trading.workers)]
        self._teller.start()
        if self._warm:
            self._reads.warm(self._warm_history)
        for number, broker in enumerate(brokers, start=1):
            thread = threading.Thread(target=self._work, args=(broker,), name=f"broker-desk-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, envelope: Envelope) -> None:
        """Take mail to `Recipient.BROKER`. Returns at once; a piece of mail that was taken before is left alone.

        Raises:
            TypeError: Not one of the desk's messages; nothing was done with it.
        """
        message = envelope.message
        if not isinstance(message, _CALLS):
            raise TypeError(f"expected a call to the broker, was {type(message).__name__}")
        with self._lock:
            if envelope.seq in self._accepted or self._turns.closed:
                return
            self._accepted.add(envelope.seq)
        match message:
            case mail.SubmitOrder() | mail.CancelOrder() if envelope.redelivered:
                self._answer(envelope, _unknown(message, "interrupted"))
            case mail.SubmitOrder():
                kind = Kind.SELL if message.intent.side is Side.SELL else Kind.BUY
                self._turns.put(kind, partial(self._submit, envelope, message))
            case mail.CancelOrder():
                first_s = self._monotonic()
                self._turns.put(Kind.CANCEL, partial(self._cancel, envelope, message, first_s))
            case mail.FetchOrder():
                self._reads.order(envelope, message)
            case mail.FetchOrders():
                self._reads.orders(envelope, message)
            case mail.FetchSnapshot(purpose=SnapshotPurpose.OPEN):
                self._opening.wait(envelope, message)
            case mail.StopWatching():
                self._opening.stop(envelope, message)
            case mail.FetchSnapshot():
                self._reads.snapshot(envelope, message)
            case mail.FetchAccount():
                self._account_looks.take(envelope, message)

    def background_reader(self) -> PacedReader:
        """Reads for work that can wait, on a client and a thread of its caller's, within the same limit."""
        return PacedReader(self._turns, self._make_broker())

    def health(self) -> DeskHealth:
        """How the desk gets on with the broker."""
        return self._turns.health()

    def close(self, timeout_s: float | None = None) -> bool:
        """Take no more work and let calls that are out come back.

        Args:
            timeout_s: Longest wait; None: as long as a call may take.

        Returns:
            Whether all threads ended. What they leave unanswered is redelivered at the next start.
        """
        self._turns.close()
        if timeout_s is None:
            timeout_s = self._trading.connect_timeout_s + 2 * self._trading.read_timeout_s + _CLOSING_SLACK_S
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            return False
        self._told.put(None)  # what came back before is told before
        if self._teller.is_alive():
            self._teller.join(max(0.0, deadline_s - time.monotonic()))
        return not self._teller.is_alive()

    def wait_for_calm(self) -> None:
        """As `Turns.wait_for_calm`, for whoever brings news that can wait."""
        self._turns.wait_for_calm()

    # On the desk's threads

    def _work(self, broker: Broker) -> None:
        ended_well = False
        try:
            if self._warm:
                self._connect(broker)
            while (job := self._turns.next()) is not None:
                job.work(broker, job)
            ended_well = True
        finally:
            if not ended_well:
                self._die(sys.exc_info()[1])
            broker.close()

    def _connect(self, broker: Broker) -> None:
        try:
            broker.warm()
        except BrokerUnavailable as error:
            self._note(Note("broker.not_warm", {"what": "connection", "why": str(error)}, "warning"))

    def _die(self, error: BaseException | None) -> None:
        """Stop everything: a desk with a broken store, a lost lease or a bug may not call anybody."""
        self._turns.close()
        with self._lock:
            first, self._failed = not self._failed, True
        if first and error is not None:
            self._on_failure(error)

    def _submit(self, envelope: Envelope, call: mail.SubmitOrder, broker: Broker, job: Job) -> None:
        leaving = job.leaving or Leaving()
        try:
            self._mailroom.ensure_durable(envelope.seq)
            if job.before is not None:  # one that is stuck on its way may hold the next up, but not for long
                job.before.departed.wait(self._trading.connect_timeout_s + _CLOSING_SLACK_S)
                if call.intent.side is Side.BUY:
                    job.before.answered.wait(BUY_FOLLOWS_S)
            self._send(envelope, call, broker, job, leaving)
        finally:
            leaving.over()
            self._turns.left(job)

    def _send(
        self,
        envelope: Envelope,
        call: mail.SubmitOrder,
        broker: Broker,
        job: Job,
        leaving: Leaving,
    ) -> None:
        refusal = judge(
            self._mailroom.door(run_id=call.run_id, call_seq=envelope.seq),
            call,
            epoch=self._mailroom.epoch,
            now=self._clock(),
            intent_ttl_s=self._trading.intent_ttl_s,
        )
        intent = call.intent
        if refusal is not None:
            self._turns.give_back(job)
            closed = mail.DoorClosed(
                run_id=call.run_id,
                leg=intent.leg,
                client_order_id=intent.client_order_id,
                resend=call.resend,
                reason=refusal.reason,
                detail=refusal.detail,
            )
            self._answer(envelope, closed)
            return
        try:
            order = self._turns.ask(job, broker, lambda client: client.submit(intent, leaving.departed.set))
        except BrokerUnavailable as error:
            self._later(job, error)
        except KeysRefused as error:
            self._note(Note("broker.keys_refused", {"why": str(error)}, "error"))
            self._answer(envelope, _refused(call, error.status_code, None, error.message))
        except BrokerRefused as error:
            if error.says_id_is_taken:
                self._answer(envelope, _unknown(call, f"the id is taken: {error.message}"))
            else:
                self._answer(envelope, _refused(call, error.status_code, error.code, error.message))
        except OutcomeUnknown as error:
            self._answer(envelope, _unknown(call, error.why))
        else:
            leaving.answered.set()
            self._answer(envelope, mail.OrderAnswered(run_id=call.run_id, leg=intent.leg, order=order))

    def _cancel(self, envelope: Envelope, call: mail.CancelOrder, first_s: float, broker: Broker, job: Job) -> None:
        self._mailroom.ensure_durable(envelope.seq)
        answered = partial(mail.CancelAnswered, run_id=call.run_id, leg=call.leg, client_order_id=call.client_order_id)
        try:
            reply = self._turns.ask(job, broker, lambda client: client.cancel(call.order_id))
        except BrokerUnavailable as error:
            if self._monotonic() - first_s < CANCEL_TRIED_FOR_S:
                self._later(job, error)
            else:
                self._answer(envelope, _unknown(call, f"not reached: {error}"))
        except BrokerRefused as error:
            self._answer(envelope, answered(outcome=mail.CancelOutcome.NOT_CANCELABLE, message=error.message))
        except KeysRefused as error:
            self._note(Note("broker.keys_refused", {"why": str(error)}, "error"))
            self._answer(envelope, _unknown(call, str(error)))
        except OutcomeUnknown as error:
            self._answer(envelope, _unknown(call, error.why))
        else:
            self._answer(envelope, answered(outcome=reply.outcome, message=reply.message))

    def _later(self, job: Job, error: BrokerError) -> None:
        """Try the same call again: it was not taken. After a 429 the pacing alone decides when."""
        delay_s = min(FIRST_RETRY_S * 2 ** min(job.tries, 8), LONGEST_RETRY_S)
        self._note(Note("broker.tries_again", {"why": str(error), "tries": job.tries + 1}, "warning"))
        self._turns.again(job, 0.0 if isinstance(error, RateLimited) else delay_s)

    def _tell(self) -> None:
        """Tell what became of orders, once those behind them are on their way."""
        ended_well = False
        try:
            while (answer := self._told.get()) is not None:
                self._turns.wait_for_calm()
                self._deliver(answer)
            ended_well = True
        finally:
            if not ended_well:
                self._die(sys.exc_info()[1])

    def _judged(self, judged: mail.BrokerJudged) -> None:
        told = self._mailroom.receive(
            sender=Recipient.BROKER.value, recipient=Recipient.TRADING, message=judged, at=self._clock()
        )
        if told is not None:
            self._deliver(told)

    def _answer(self, envelope: Envelope, message: Message | None) -> None:
        """Record what became of a call, then tell; None: nobody wants to know any more."""
        for answer in self._record(envelope, [] if message is None else [Outgoing(Recipient.TRADING, message)]):
            if isinstance(envelope.message, mail.SubmitOrder) and not envelope.redelivered:
                self._told.put(answer)
            else:
                self._deliver(answer)

    def _record(self, envelope: Envelope, outgoing: Sequence[Outgoing]) -> Sequence[Envelope]:
        return self._mailroom.record(
            handled=envelope, at=self._clock(), settings_sha256=self._settings_sha256, outgoing=outgoing
        )


_CALLS = (
    mail.SubmitOrder,
    mail.CancelOrder,
    mail.FetchOrder,
    mail.FetchOrders,
    mail.FetchSnapshot,
    mail.FetchAccount,
    mail.StopWatching,
)


def _unknown(call: mail.SubmitOrder | mail.CancelOrder, why: str) -> mail.OutcomeUnknown:
    name, of = ("submit", call.intent) if isinstance(call, mail.SubmitOrder) else ("cancel", call)
    return mail.OutcomeUnknown(
        run_id=call.run_id, leg=of.leg, client_order_id=of.client_order_id, call=name, why=why[:300]
    )


def _refused(call: mail.SubmitOrder, status_code: int, code: int | None, message: str) -> mail.OrderRefused:
    return mail.OrderRefused(
        run_id=call.run_id,
        leg=call.intent.leg,
        client_order_id=call.intent.client_order_id,
        resend=call.resend,
        status_code=status_code,
        code=code,
        message=message,
    )
