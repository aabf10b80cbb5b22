"""The invariants, looked after at every step. The watchman believes the exchange's books and the letters, nothing else.

He has reckonings of his own: what may be sold and bought comes from the approved plans, what money there is from the
exchange, the trading state from the letters that were handed in and from the losses that a gate's look shows. Numbers
in the names are those of the invariants in docs/architecture.md.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from departments.executive.phases import LIFTS_BY_ITSELF, Ended, Held, HoldReason, Outcome, Phase, Stopping, Verifying
from departments.office.settings import Settings
from messages.broker import SubmitOrder
from messages.control import AbortRun, HaltTrading, ReduceTrading, ReleaseRun, ResumeTrading
from messages.envelope import Envelope
from messages.message import Message
from messages.orders import GateOpened, OrderIntent, OrderStatus
from messages.plans import SubmitPlan, Trade
from messages.snapshots import BrokerStatus
from messages.values import Funding, LegId, RunId, SellShortfall, Side, TradingState
from tests.fakes.mailroom import FakeMailroom
from tests.simulation.exchange import Exchange

ZERO = Decimal(0)
NEVER = {HoldReason.INVARIANT_BROKEN, HoldReason.REPLAY_MISMATCH, HoldReason.FOREIGN_ORDER}
"""Reasons that only a bug of ours, or a lost journal, can bring about."""
TRUTH_OF = {
    OrderStatus.FILLED: BrokerStatus.FILLED,
    OrderStatus.CANCELED: BrokerStatus.CANCELED,
    OrderStatus.REJECTED: BrokerStatus.REJECTED,
    OrderStatus.REPLACED: BrokerStatus.REPLACED,
}


def _waits_for_a_person(phase: Phase) -> frozenset[HoldReason]:
    """What the run is held for that no fact and no other word can lift."""
    reasons = set()
    while isinstance(phase, Held):
        if phase.reason not in LIFTS_BY_ITSELF and phase.reason is not HoldReason.HALTED:
            reasons.add(phase.reason)
        phase = phase.resume_to
    return frozenset(reasons)


class Broken(AssertionError):
    """An invariant does not hold."""


def insist(holds: object, invariant: str, **facts: object) -> None:
    """Break off unless the invariant holds."""
    if not holds:
        told = ", ".join(f"{name}={fact}" for name, fact in facts.items())
        raise Broken(f"{invariant}: {told}")


@dataclass
class Watchman:
    """Watches one story.

    Attributes:
        strangers: Others trade on the account, so its money is not only ours.
        very_late: Names of orders whose POST arrived long after it had been given up.
    """

    exchange: Exchange
    mailroom: FakeMailroom
    settings: Settings
    strangers: bool = False
    was_blocked: bool = False
    very_late: Container[str] = frozenset()
    submissions: dict[RunId, SubmitPlan] = field(default_factory=dict)
    words: list[Message] = field(default_factory=list)
    posts: dict[str, list[tuple[datetime, OrderIntent]]] = field(default_factory=dict)
    cash_at_start_usd: Decimal = ZERO
    cash_before_usd: dict[RunId, Decimal] = field(default_factory=dict)
    filled_before: dict[tuple[RunId, LegId], Decimal] = field(default_factory=dict)
    qty_before: dict[tuple[RunId, LegId], Decimal] = field(default_factory=dict)
    ended: dict[RunId, Ended] = field(default_factory=dict)
    person: dict[RunId, frozenset[HoldReason]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cash_at_start_usd = self.exchange.cash_usd

    # -- letters ---------------------------------------------------------------------------------------------------

    def handed_in(self, message: Message) -> None:
        """Note what people said."""
        self.words.append(message)
        if isinstance(message, SubmitPlan):
            self.submissions.setdefault(message.run_id, message)

    @property
    def trading(self) -> TradingState:
        """What people said last: the strictest word since the last resume."""
        switches = [word for word in self.words if isinstance(word, HaltTrading | ReduceTrading | ResumeTrading)]
        resumes = [at for at, word in enumerate(switches, start=1) if isinstance(word, ResumeTrading)]
        since = switches[resumes[-1] if resumes else 0 :]
        if any(isinstance(word, HaltTrading) for word in since):
            return TradingState.HALTED
        return TradingState.REDUCING if since else TradingState.ACTIVE

    def said(self, kind: type[Message], run_id: RunId) -> bool:
        """Whether somebody wrote such a letter about the run."""
        return any(isinstance(word, kind) and getattr(word, "run_id", None) == run_id for word in self.words)

    # -- a POST leaves ---------------------------------------------------------------------------------------------

    def leaves(self, envelope: Envelope, call: SubmitOrder, now: datetime) -> None:
        """Judge a POST in the instant in which it leaves."""
        intent, run_id = call.intent, call.run_id
        durable = envelope.seq in self.mailroom.store.mail
        insist(durable, "2 the intent is durable before the POST", intent=intent)
        insist(self.trading is not TradingState.HALTED, "7 no POST while halted", intent=intent)
        sells = intent.side is Side.SELL
        insist(sells or self.trading is TradingState.ACTIVE, "7 no BUY leaves while reducing or halted", intent=intent)
        insist(not self.said(AbortRun, run_id), "6 no POST of an aborted run", intent=intent)
        submission = self.submissions.get(run_id)
        insist(submission is not None, "6 every order belongs to an approved plan", intent=intent)
        assert submission is not None
        self._approved(submission, intent, now)
        earlier = self.posts.setdefault(intent.client_order_id, [])
        insist(all(one == intent for _, one in earlier), "2 a resend is the same order", intent=intent)
        insist(not self._seen(intent), "3 what is known to be at the broker is not sent again", intent=intent)
        self.cash_before_usd.setdefault(run_id, self.exchange.cash_usd)
        if intent.side is Side.BUY:
            self._sells_first(submission, intent)
            self._money(submission, intent)
            self._losses(intent, run_id)
        earlier.append((now, intent))

    def _losses(self, intent: OrderIntent, run_id: RunId) -> None:
        """No BUY leaves on a gate's look that shows a loss beyond its limit."""
        gates = [mail.message for mail in self.mailroom.store.mail.values() if mail.correlation_id == run_id]
        account = next(gate.snapshot.account for gate in reversed(gates) if isinstance(gate, GateOpened))
        assert account is not None
        limits = self.settings.hard_constraints.loss_limits
        lost_usd = self.exchange.begun_with_usd - account.equity_usd
        for most in (limits.max_daily_loss_fraction, limits.max_drawdown_fraction):
            within = most is None or lost_usd <= most * self.exchange.begun_with_usd
            insist(within, "7 no BUY leaves on a loss beyond its limit", intent=intent, lost=lost_usd, most=most)

    def _approved(self, submission: SubmitPlan, intent: OrderIntent, now: datetime) -> None:
        trade = next((trade for trade in submission.plan.trades if trade.leg == intent.leg), None)
        insist(trade is not None, "6 every order is a leg of its plan", intent=intent)
        assert trade is not None
        same = (trade.symbol, trade.side) == (intent.symbol, intent.side)
        insist(same, "6 symbol and side are the approved ones", intent=intent)
        fits = intent.qty == trade.qty if trade.side is Side.SELL else intent.qty <= trade.qty
        insist(fits, "5 the quantity is the approved one, or less of a BUY", intent=intent, trade=trade)
        named = f"{submission.run_id}-{trade.leg}-1"
        insist(intent.client_order_id == named, "2 one order a leg and attempt", intent=intent)
        expiries = (submission.approval.expires_at, submission.plan.expires_at)
        insist(all(at is None or now < at for at in expiries), "6 the approval has not expired", intent=intent)

    def _seen(self, intent: OrderIntent) -> bool:
        """Whether Trading has handled an answer that showed this order, durably or not."""
        pending = (unit.handled for unit in self.mailroom._pending if unit.handled is not None)
        for mail in (*self.mailroom.store.handled, *pending):
            shown = getattr(mail.envelope.message, "order", None)
            if getattr(shown, "client_order_id", None) == intent.client_order_id:
                return True
        return False

    def _sells_first(self, submission: SubmitPlan, intent: OrderIntent) -> None:
        """Invariant 1, by the exchange's own books."""
        policy = submission.plan.sell_shortfall or self.settings.executive.sell_shortfall
        decided = policy is SellShortfall.RESIZE or self.said(ReleaseRun, submission.run_id)
        for trade in self._sells(submission):
            name = f"{submission.run_id}-{trade.leg}-1"
            order = self.exchange.by_client_id.get(name)
            if order is None:
                refused = bool(self.exchange.declined.get(name))
                insist(refused and decided, "1 every SELL was sent", sell=name, buy=intent)
                continue
            insist(not order.live, "1 every SELL is terminal", sell=order, buy=intent)
            whole = order.filled_qty == trade.qty
            insist(whole or decided, "1 every SELL is filled, or somebody decided", sell=order, buy=intent)

    def _money(self, submission: SubmitPlan, intent: OrderIntent) -> None:
        """Invariant 5: what is bought is paid for by what was sold, reckoned from the exchange's books."""
        if self._funding(submission) is Funding.BUYING_POWER or self.strangers:
            return
        run_id = submission.run_id
        proceeds = spent = reserved = ZERO
        for trade in self._sells(submission):
            order = self.exchange.by_client_id.get(f"{run_id}-{trade.leg}-1")
            proceeds += ZERO if order is None else order.value_usd
        sent = {name: posts[-1][1] for name, posts in self.posts.items() if posts} | {intent.client_order_id: intent}
        for name, one in sent.items():
            if one.side is not Side.BUY or not name.startswith(run_id):
                continue
            order = self.exchange.by_client_id.get(name)
            spent += ZERO if order is None else order.value_usd
            left = one.qty if order is None else (order.left if order.live else ZERO)
            if order is None and self.exchange.declined.get(name):
                left = ZERO
            reserved += left * self._least_reserve(submission, one)
        allowed = proceeds + max(self.cash_before_usd[run_id], ZERO)
        insist(
            spent + reserved <= allowed,
            "5 the BUYs' reserved value stays within the funding",
            spent=spent,
            reserved=reserved,
            allowed=allowed,
            buy=intent,
        )

    def _funding(self, submission: SubmitPlan) -> Funding:
        return submission.plan.funding or self.settings.executive.funding

    def _least_reserve(self, submission: SubmitPlan, intent: OrderIntent) -> Decimal:
        """USD a share that must have been reserved at the very least."""
        if intent.limit_price_usd is not None:
            return intent.limit_price_usd
        trade = next(trade for trade in submission.plan.trades if trade.leg == intent.leg)
        price = max(self.exchange.cheapest_usd[intent.symbol], trade.reference_price_usd)
        return price * (1 + self.settings.compliance.prices.price_cushion_fraction)

    @staticmethod
    def _sells(submission: SubmitPlan) -> tuple[Trade, ...]:
        return tuple(trade for trade in submission.plan.trades if trade.side is Side.SELL)

    # -- a step is done --------------------------------------------------------------------------------------------

    def restarted(self) -> None:
        """What was not durable is forgotten: views may be older again."""
        self.filled_before.clear()
        self.qty_before.clear()
        self.person.clear()

    def look(self, runs: Mapping[RunId, Phase]) -> None:
        """Hold the CEO's view of every run against the exchange's books."""
        for run_id, phase in runs.items():
            if isinstance(phase, Ended):
                self.ended.setdefault(run_id, phase)
            self._decided(run_id, phase)
            held = phase
            while isinstance(held, Held):
                insist(held.reason not in NEVER, "no bug of ours holds a run", reason=held.reason, detail=held.detail)
                held = held.resume_to
            for leg in phase.run.legs:
                self._leg(run_id, leg)
        if not self.strangers and all(
            self._funding(one) is not Funding.BUYING_POWER for one in self.submissions.values()
        ):
            floor = min(self.cash_at_start_usd, ZERO)
            insist(
                self.exchange.cash_usd >= floor, "5 a margin debt never grows", cash=self.exchange.cash_usd, floor=floor
            )

    def _decided(self, run_id: RunId, phase: Phase) -> None:
        """What waits for a person goes on by a person's word only."""
        before, self.person[run_id] = self.person.get(run_id, frozenset()), _waits_for_a_person(phase)
        stops = isinstance(phase, Stopping | Verifying) and phase.outcome in {Outcome.ABORTED, Outcome.EXPIRED}
        if before - self.person[run_id] and not (stops or isinstance(phase, Ended)):
            insist(self.said(ReleaseRun, run_id), "a person's hold needs a person's word", was=before, phase=phase)

    def _leg(self, run_id: RunId, leg: Any) -> None:
        key = (run_id, leg.leg)
        insist(leg.qty <= self.qty_before.get(key, leg.trade.qty), "5 quantities never grow", leg=leg)
        self.qty_before[key] = leg.qty
        if leg.order is None:
            return
        insist(leg.filled_qty >= self.filled_before.get(key, ZERO), "5 filled never falls", leg=leg)
        self.filled_before[key] = leg.filled_qty
        name = leg.order.client_order_id
        truth = self.exchange.by_client_id.get(name)
        insist(leg.filled_qty <= (ZERO if truth is None else truth.filled_qty), "5 no fill is made up", leg=leg)
        insist(leg.filled_qty <= leg.qty, "5 never more than ordered", leg=leg)
        if not leg.terminal:
            return
        if leg.order.status is OrderStatus.REFUSED:
            insist(self.exchange.declined.get(name), "3 only a refusal is a refusal", leg=leg)
            insist(truth is None, "3 a refused order is not at the broker", leg=leg, truth=truth)
            return
        insist(truth is not None, "3 an end needs an order", leg=leg)
        assert truth is not None
        insist(not truth.live, "3 what ended in our books ended at the broker", leg=leg, truth=truth)
        expected = TRUTH_OF.get(leg.order.status)
        insist(expected in {None, truth.status}, "3 each end means what it says", leg=leg, truth=truth)
        if leg.confirmed:
            insist(leg.filled_qty == truth.filled_qty, "1 proved fills are the fills", leg=leg, truth=truth)

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The last comparison: every ended run's view against the exchange."""
        for run_id, submission in self.submissions.items():
            ended = self.ended.get(run_id)
            insist(ended is not None, "10 every run ends", run=run_id)
            assert ended is not None
            self._rejected_for_a_reason(submission, ended)
            known = {leg.leg: leg for leg in ended.run.legs}
            for trade in submission.plan.trades:
                leg = known[trade.leg]
                truth = self.exchange.by_client_id.get(f"{run_id}-{trade.leg}-1")
                if truth is None:
                    insist(leg.filled_qty == ZERO, "5 no fill is made up", leg=leg)
                    continue
                insist(truth.filled_qty <= trade.qty, "5 never more than approved", truth=truth)
                if leg.absent or leg.order is None:
                    insist(
                        truth.client_order_id in self.very_late,
                        "3 an order is not given up while it is there",
                        leg=leg,
                        truth=truth,
                    )
                    continue
                insist(not truth.live, "an ended run has nothing open", leg=leg, truth=truth)
                insist(leg.filled_qty == truth.filled_qty, "the view is the truth", leg=leg, truth=truth)
        for symbol, held in self.exchange.holdings.items():
            insist(held.qty >= 0, "5 sold no more than held", symbol=symbol, qty=held.qty)

    def _rejected_for_a_reason(self, submission: SubmitPlan, ended: Ended) -> None:
        """Invariant 11: what is held, free, tradable and approved is sold, whatever its size."""
        if ended.outcome is not Outcome.REJECTED:
            return
        sells = self._sells(submission)
        dead = any(trade.symbol in self.exchange.dead_assets for trade in sells)
        expired = (ended.reason or "").startswith(("the approval expired", "the plan expired"))
        insist(
            dead or expired or self.strangers or self.was_blocked,
            "11 no sizing rule blocks a SELL",
            reason=ended.reason,
        )
