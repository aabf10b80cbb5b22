"""What the CEO knows of one run, whatever its phase: the plan, the policy, its legs and their orders. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from messages.control import DayTally, OrdersSent
from messages.new_york import day_in_new_york
from messages.orders import TERMINAL, Evidence, OrderIntent, OrderStatus, OrderUpdated, ShortfallDecision
from messages.plans import Approval, Plan, Trade
from messages.reviews import Decision, LegDecision, Money, Today, Violation
from messages.snapshots import History, Snapshot
from messages.values import (
    ClientOrderId,
    Funding,
    LegId,
    RunId,
    SellShortfall,
    Side,
    TradingState,
    client_order_id_for,
    stricter,
)

ZERO = Decimal(0)
TRADING_REDUCING = "TRADING_REDUCING"
"""The code of BUYs that don't leave because the account only reduces positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg's story.

    Attributes:
        qty: Shares that may be sent; the plan's, or what a review or the fit left of it. 0 once dropped.
        violations: Why it was cut or dropped, oldest first.
        placed: Handed to Trading and not handed back.
        resends: How often the same client_order_id was sent again after it could not be found.
        resending: It was sent again, and Trading has not told yet what came of that.
        given_up: Its order could not be found and does not fit any more: not sent again, only watched.
        order: The last that Trading told of it; None before.
        submitted_at: When the broker first took it, broker's time.
        timed: Its `sell_timeout_s` is running.
    """

    trade: Trade
    qty: Decimal
    violations: tuple[Violation, ...] = ()
    attempt: int = 1
    placed: bool = False
    resends: int = 0
    resending: bool = False
    given_up: bool = False
    order: OrderUpdated | None = None
    submitted_at: datetime | None = None
    timed: bool = False

    @property
    def leg(self) -> LegId:
        """The leg's name, `S01`, `B01` ..."""
        return self.trade.leg

    @property
    def dropped(self) -> bool:
        """True once nothing of it may be sent."""
        return self.qty == ZERO

    @property
    def sendable(self) -> bool:
        """True while it waits to be handed to Trading."""
        waits = not self.placed and not self.given_up and not self.dropped
        return waits and (self.order is None or not self.terminal)

    @property
    def sent(self) -> bool:
        """True if an order of it left, or may have left."""
        return self.placed or self.order is not None

    @property
    def terminal(self) -> bool:
        """True if its order can't fill any more, on whatever evidence."""
        return self.order is not None and self.order.status in TERMINAL

    @property
    def confirmed(self) -> bool:
        """True if it is terminal by REST."""
        return self.terminal and self.order is not None and self.order.evidence is Evidence.REST

    @property
    def filled(self) -> bool:
        """True if every share that was to be sent is filled."""
        return self.order is not None and self.order.status is OrderStatus.FILLED and self.filled_qty == self.qty

    @property
    def absent(self) -> bool:
        """True if its order was looked up again and again and never found; no longer once it was sent again."""
        return self.order is not None and self.order.status is OrderStatus.ABSENT and not self.resending

    @property
    def live(self) -> bool:
        """True if an order of it is, or may be, at the broker."""
        return self.sent and not self.terminal

    @property
    def filled_qty(self) -> Decimal:
        """Shares filled so far."""
        return ZERO if self.order is None else self.order.filled_qty

    @property
    def filled_value_usd(self) -> Decimal:
        """USD of its executions, quantity times average price."""
        if self.order is None or self.order.filled_avg_price_usd is None:
            return ZERO
        return self.order.filled_qty * self.order.filled_avg_price_usd

    def handed_over(self) -> "Leg":
        """The leg once it is Trading's."""
        return replace(self, placed=True, resending=self.order is not None)

    def intent(self, run_id: RunId) -> OrderIntent:
        """The order that would place this leg."""
        trade = self.trade
        return OrderIntent(
            leg=self.leg,
            client_order_id=client_order_id_for(run_id, self.leg, self.attempt),
            symbol=trade.symbol,
            side=trade.side,
            qty=self.qty,
            order_type=trade.order_type,
            limit_price_usd=trade.limit_price_usd,
            time_in_force=trade.time_in_force,
            stop_loss_usd=trade.stop_loss_usd,
            take_profit_usd=trade.take_profit_usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """How the gate opened; USD."""

    opened_at: datetime
    snapshot_id: str
    proceeds_usd: Decimal
    cash_before_usd: Decimal
    cash_at_gate_usd: Decimal
    decision: ShortfallDecision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that verification found otherwise than expected."""

    what: str
    expected: str
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """BUYs made ready while the SELLs are out; see `ahead.py`.

    Attributes:
        fit: Which fit Operations was asked for.
        snapshot: What the account should look like at the gate.
        review: Which review Compliance was asked for; None while Operations fits.
        order: The BUYs in the order of sending, once Operations let each pass whole.
        stands: Compliance let each pass whole, too.
    """

    fit: int
    snapshot: Snapshot
    money: Money
    review: int | None = None
    order: tuple[LegId, ...] = ()
    stands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingChange:
    """A change of the account's trading state that reached the run.

    Attributes:
        reason: Why; None for a resume.
        by: Who said so; None where the word didn't tell the run.
    """

    state: TradingState
    reason: str | None
    by: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run.

    Attributes:
        legs: SELLs and BUYs, in file order.
        send_order: BUYs in the order of sending, once fitted.
        ahead: BUYs made ready while the SELLs are out; None once the gate was opened, or where they don't all pass.
        expires_at: The earlier of the approval's and the plan's expiry.
        tick: Raised at each entry into a phase; timers carry it, so an old one means nothing.
        before: The snapshot the run began on; its cash is `cash_before`.
        released: The operator let the run go on after a sell shortfall.
        cash_taken_on_trust: The operator let it go on though the cash was not seen; what is seen still bounds the BUYs.
        history: What went before, read with it; None where no rule asks for one.
        breaches: Limits broken before the run, as Compliance reported them.
        tally: What the firm had done on the day the run began; None where it did not count yet.
        sent_on: Orders handed to Trading, a day each.
        trading: Changes of the trading state while it ran, and the state it began in unless ACTIVE; oldest first.
    """

    run_id: RunId
    plan: Plan
    approval: Approval
    shortfall: SellShortfall
    funding: Funding
    legs: tuple[Leg, ...]
    accepted_at: datetime
    expires_at: datetime
    started_at: datetime | None = None
    tick: int = 0
    counter: int = 0
    before: Snapshot | None = None
    history: History | None = None
    send_order: tuple[LegId, ...] = ()
    ahead: Ahead | None = None
    released: bool = False
    cash_taken_on_trust: bool = False
    gate: GateRecord | None = None
    differences: tuple[Difference, ...] = ()
    verified: bool | None = None
    cash_after_usd: Decimal | None = None
    rejections: tuple[Violation, ...] = ()
    breaches: tuple[Violation, ...] = ()
    trading: tuple[TradingChange, ...] = ()
    waiting: str | None = None
    tally: DayTally | None = None
    sent_on: tuple[OrdersSent, ...] = ()

    def counts(self, now: datetime) -> Today | None:
        """What the rules are told of the day.

        One run is active at a time: on a later day than that on which it began, no other has done anything.
        """
        if self.tally is None:
            return None
        same_day = self.tally.day == day_in_new_york(now)
        return Today(
            plans=self.tally.plans if same_day else 0,
            orders=self.tally.orders if same_day else 0,
            approved_at=self.approval.approved_at,
            asked_at=now,
        )

    def sending(self, orders: int, day: date) -> "Run":
        """The run once so many more orders were handed to Trading that day."""
        before = sum(one.orders for one in self.sent_on if one.day == day)
        others = tuple(one for one in self.sent_on if one.day != day)
        return replace(self, sent_on=(*others, OrdersSent(day=day, orders=before + orders)))

    @property
    def trading_state(self) -> TradingState:
        """The account's, as far as the run has heard."""
        return self.trading[-1].state if self.trading else TradingState.ACTIVE

    def leg(self, leg: LegId) -> Leg | None:
        """Find a leg by name."""
        return next((candidate for candidate in self.legs if candidate.leg == leg), None)

    def of(self, side: Side) -> tuple[Leg, ...]:
        """Legs of a side, in file order."""
        return tuple(leg for leg in self.legs if leg.trade.side is side)

    @property
    def sells(self) -> tuple[Leg, ...]:
        """SELL legs, in file order."""
        return self.of(Side.SELL)

    @property
    def buys(self) -> tuple[Leg, ...]:
        """BUY legs, in file order."""
        return self.of(Side.BUY)

    @property
    def live(self) -> tuple[Leg, ...]:
        """Legs with an order that is, or may be, at the broker."""
        return tuple(leg for leg in self.legs if leg.live)

    @property
    def live_and_found(self) -> tuple[Leg, ...]:
        """Those of them whose order was not given up as absent."""
        return tuple(leg for leg in self.live if not leg.absent)

    @property
    def anything_sent(self) -> bool:
        """True once any order left or may have left."""
        return any(leg.sent for leg in self.legs)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the plan, each once, in file order."""
        return tuple(dict.fromkeys(leg.trade.symbol for leg in self.legs))

    @property
    def proceeds_usd(self) -> Decimal:
        """USD of the SELL executions so far."""
        return sum((leg.filled_value_usd for leg in self.sells), ZERO)

    @property
    def spent_usd(self) -> Decimal:
        """USD of the BUY executions so far."""
        return sum((leg.filled_value_usd for leg in self.buys), ZERO)

    @property
    def cash_before_usd(self) -> Decimal | None:
        """Cash when the run began; None before its first snapshot."""
        if self.before is None or self.before.account is None:
            return None
        return self.before.account.cash_usd

    def with_legs(self, changed: Iterable[Leg]) -> "Run":
        """The run with some legs replaced by name."""
        by_name = {leg.leg: leg for leg in changed}
        return replace(self, legs=tuple(by_name.get(leg.leg, leg) for leg in self.legs))

    def heard(self, state: TradingState, reason: str | None, by: str | None, at: datetime) -> "Run":
        """The run after word of the trading state; one that is no stricter changes nothing, a resume lifts all."""
        known = self.trading_state
        if known is state or (state is not TradingState.ACTIVE and stricter(known, state) is known):
            return self
        change = TradingChange(state=state, reason=reason, by=by, at=at)
        return replace(self, trading=(*self.trading, change))

    def denied(self, legs: Iterable[Leg]) -> "Run":
        """The run without these BUYs, since the account reduces."""
        last = self.trading[-1] if self.trading else None
        because = f": {last.reason}" if last is not None and last.reason else ""
        return self.decided(
            LegDecision(
                leg=leg.leg,
                decision=Decision.DROP,
                planned_qty=leg.trade.qty,
                qty=ZERO,
                violations=(
                    Violation(
                        code=TRADING_REDUCING,
                        leg=leg.leg,
                        rule="trading state",
                        figure=f"{TradingState.REDUCING}{because}",
                        limit=TradingState.ACTIVE,
                    ),
                ),
            )
            for leg in legs
        )

    def decided(self, decisions: Iterable[LegDecision]) -> "Run":
        """The run after a review or a fit: quantities only ever fall, reasons add up, orders are left alone.

        A leg whose order could not be found keeps its quantity, since the same id must mean the same order; if that
        does not fit any more it is given up (and watched), not cut.
        """
        changed = []
        for decision in decisions:
            leg = self.leg(decision.leg)
            if leg is None or leg.placed:
                continue
            if leg.order is not None:
                if decision.qty < leg.qty:
                    changed.append(replace(leg, given_up=True, violations=leg.violations + decision.violations))
                continue
            qty = ZERO if decision.decision is Decision.DROP else min(leg.qty, decision.qty)
            changed.append(replace(leg, qty=qty, violations=leg.violations + decision.violations))
        return self.with_legs(changed)

    def updated(self, *updates: OrderUpdated) -> "Run":
        """The run after word of orders, one a leg; of another client_order_id than the leg's current one, unchanged."""
        changed = []
        for update in updates:
            leg = self.leg(update.leg)
            if leg is None or update.client_order_id != client_order_id_for(self.run_id, leg.leg, leg.attempt):
                continue
            # That an order is absent is told again when the last door hands a resend back: that does not place it.
            placed = leg.placed or update.status is not OrderStatus.ABSENT
            submitted_at = leg.submitted_at or update.submitted_at
            changed.append(replace(leg, order=update, placed=placed, resending=False, submitted_at=submitted_at))
        return self.with_legs(changed) if changed else self

    def handed_back(self, leg_id: LegId) -> "Run":
        """The run after the last door refused a leg: it waits to be handed over again."""
        leg = self.leg(leg_id)
        if leg is None:
            return self
        never_left = leg.order is None or leg.order.status is OrderStatus.INTENDED
        order = None if never_left else leg.order
        return self.with_legs((replace(leg, placed=False, resending=False, order=order),))

    def client_order_id(self, leg: Leg) -> ClientOrderId:
        """The id of a leg's current attempt."""
        return client_order_id_for(self.run_id, leg.leg, leg.attempt)
