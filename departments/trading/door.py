"""The last door: what must hold in the instant before an order leaves the house. Pure.

This is code apart from the planner's. It trusts no state of Trading's or the CEO's: it reads the approval, the gate's
recorded evidence and the call itself, as they are committed, and works everything out again. Every check stands alone
and is needed: `CHECKS` is the whole list, in the order of what an operator wants to hear first.

What it can't know - whether two attempts at one leg together exceed what was approved - is kept by the rule that a new
attempt begins only when the old order is terminal (`orders.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from messages.broker import SubmitOrder
from messages.mailroom.port import DoorFacts, LeaseLost
from messages.orders import TERMINAL, GateOpened, NotSentReason, SellEvidence
from messages.plans import SubmitPlan, Trade
from messages.snapshots import TERMINAL_BROKER_STATUSES, BrokerStatus, OrderFacts
from messages.values import CLIENT_ORDER_ID_MAX_LENGTH, Side, TimeInForce, TradingState, run_id_for, sha256_hex

CLOCK_SLACK = timedelta(seconds=1)
"""An intent may seem to come from this far in the future (two threads read one clock)."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """The order doesn't leave, and why."""

    reason: NotSentReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that is judged by."""

    facts: DoorFacts
    call: SubmitOrder
    now: datetime
    intent_ttl_s: int

    @property
    def submitted(self) -> SubmitPlan | None:
        """The approved plan as it was handed in; None if that mail isn't there."""
        approval = self.facts.approval
        return approval.message if approval is not None and isinstance(approval.message, SubmitPlan) else None

    @property
    def trade(self) -> Trade | None:
        """The approved leg that the call is about; None unless there is exactly one."""
        submitted = self.submitted
        if submitted is None:
            return None
        found = [trade for trade in submitted.plan.trades if trade.leg == self.call.intent.leg]
        return found[0] if len(found) == 1 else None

    @property
    def gate(self) -> GateOpened | None:
        """The gate's recorded evidence; None while it is shut."""
        gate = self.facts.gate
        return gate.message if gate is not None and isinstance(gate.message, GateOpened) else None


def judge(facts: DoorFacts, call: SubmitOrder, *, epoch: int, now: datetime, intent_ttl_s: int) -> NotSent | None:
    """Decide whether an order may leave, now.

    Args:
        facts: Read in one query, immediately before.
        call: The order's row.
        epoch: Ours.
        now: Store's clock.
        intent_ttl_s: Longest age of an intent, seconds.

    Returns:
        None: it may. Else why not; nothing has left.

    Raises:
        LeaseLost: Somebody else has the account.
    """
    if facts.epoch != epoch:
        raise LeaseLost(f"expected epoch {epoch}, was {facts.epoch}")
    case = Case(facts=facts, call=call, now=now, intent_ttl_s=intent_ttl_s)
    for check in CHECKS:
        refusal = check(case)
        if refusal is not None:
            return refusal
    return None


# Whether anything may leave


def state_allows(case: Case) -> NotSent | None:
    """Nothing new leaves a halted house, and only SELLs one that reduces."""
    match case.facts.trading:
        case TradingState.ACTIVE:
            return None
        case TradingState.REDUCING if case.call.intent.side is Side.SELL:
            return None
        case TradingState.REDUCING:
            return NotSent(NotSentReason.REDUCING, "trading is reducing: only SELLs leave")
        case TradingState.HALTED:
            return NotSent(NotSentReason.HALTED, "trading is halted")


def not_aborted(case: Case) -> NotSent | None:
    """An abort counts from the moment it is asked for, handled or not."""
    return NotSent(NotSentReason.RUN_ENDED, "the run is being aborted") if case.facts.abort_asked else None


def run_open(case: Case) -> NotSent | None:
    """A closed run sends nothing."""
    return NotSent(NotSentReason.RUN_ENDED, "the run has ended") if case.facts.run_closed else None


def call_durable(case: Case) -> NotSent | None:
    """An order that a crash could forget must not leave."""
    if case.facts.call_committed:
        return None
    return NotSent(NotSentReason.INTENT_STALE, "the intent is not committed")


def intent_young(case: Case) -> NotSent | None:
    """The world that an intent was made for must still be the world (trading_config.yaml: intent_ttl_s)."""
    age = case.now - case.call.intended_at
    if -CLOCK_SLACK <= age <= timedelta(seconds=case.intent_ttl_s):
        return None
    return NotSent(
        NotSentReason.INTENT_STALE, f"expected an intent of at most {case.intent_ttl_s} s, was {age.total_seconds()} s"
    )


# Whether a person approved this


def approved(case: Case) -> NotSent | None:
    """There is an approval at all."""
    return None if case.submitted is not None else _not_approved("the run has no approval")


def approval_names_these_bytes(case: Case) -> NotSent | None:
    """The approval, the plan and the text that was executed are one."""
    submitted = case.submitted
    if submitted is None:
        return None
    actual = _sha256_of_text(submitted.plan_text)
    if submitted.approval.plan_sha256 == submitted.plan.plan_sha256 == actual:
        return None
    return _not_approved(f"expected the approval of {actual}, was of {submitted.approval.plan_sha256}")


def approval_names_this_run(case: Case) -> NotSent | None:
    """The run's id derives from the account and the bytes that were approved."""
    submitted = case.submitted
    if submitted is None:
        return None
    account = submitted.approval.account
    expected = run_id_for(account, submitted.approval.plan_sha256)
    if submitted.plan.account == account and expected == case.call.run_id:
        return None
    return _not_approved(f"expected run {expected} on account {account}, was {case.call.run_id}")


def approval_in_time(case: Case) -> NotSent | None:
    """The approval hasn't expired."""
    submitted = case.submitted
    if submitted is None or case.now < submitted.approval.expires_at:
        return None
    expired_at = submitted.approval.expires_at.isoformat()
    return NotSent(NotSentReason.APPROVAL_EXPIRED, f"the approval expired at {expired_at}")


def plan_in_time(case: Case) -> NotSent | None:
    """The plan hasn't expired."""
    submitted = case.submitted
    if submitted is None or submitted.plan.expires_at is None or case.now < submitted.plan.expires_at:
        return None
    return NotSent(NotSentReason.APPROVAL_EXPIRED, f"the plan expired at {submitted.plan.expires_at.isoformat()}")


def leg_approved(case: Case) -> NotSent | None:
    """The plan has this leg, once."""
    if case.submitted is None or case.trade is not None:
        return None
    return _not_approved(f"expected one leg {case.call.intent.leg} in the plan, was none or several")


def same_symbol(case: Case) -> NotSent | None:
    """The symbol is the approved one."""
    trade, intent = case.trade, case.call.intent
    if trade is None or intent.symbol == trade.symbol:
        return None
    return _not_approved(f"{trade.leg}: expected {trade.symbol}, was {intent.symbol}")


def same_side(case: Case) -> NotSent | None:
    """The side is the approved one."""
    trade, intent = case.trade, case.call.intent
    if trade is None or intent.side is trade.side:
        return None
    return _not_approved(f"{trade.leg}: expected {trade.side}, was {intent.side}")


def same_terms(case: Case) -> NotSent | None:
    """Order type, limit, time in force and protection are the approved ones."""
    trade, intent = case.trade, case.call.intent
    if trade is None:
        return None
    expected = (
        trade.order_type,
        trade.limit_price_usd,
        trade.time_in_force,
        trade.stop_loss_usd,
        trade.take_profit_usd,
    )
    was = (
        intent.order_type,
        intent.limit_price_usd,
        intent.time_in_force,
        intent.stop_loss_usd,
        intent.take_profit_usd,
    )
    if was == expected:
        return None
    return _not_approved(f"{trade.leg}: expected {_words(expected)}, was {_words(was)}")


def qty_approved(case: Case) -> NotSent | None:
    """A SELL sells what was approved; a BUY, and a later attempt at a SELL, never more than that."""
    trade, intent = case.trade, case.call.intent
    if trade is None:
        return None
    first_sell = trade.side is Side.SELL and _attempt(intent.client_order_id) == 1
    if intent.qty == trade.qty or (intent.qty < trade.qty and not first_sell):
        return None
    return _not_approved(f"{trade.leg}: expected {trade.qty} shares, was {intent.qty}")


def id_derived(case: Case) -> NotSent | None:
    """The client_order_id derives from run, leg and attempt, so that one attempt can never be two orders."""
    intent, run_id = case.call.intent, case.call.run_id
    attempt = _attempt(intent.client_order_id)
    derived = attempt is not None and intent.client_order_id == f"{run_id}-{intent.leg}-{attempt}"
    if derived and len(intent.client_order_id) <= CLIENT_ORDER_ID_MAX_LENGTH:
        return None
    return _not_approved(f"expected an id of {run_id}-{intent.leg}-ATTEMPT, was {intent.client_order_id}")


# Whether the SELLs are done


def gate_opened(case: Case) -> NotSent | None:
    """A BUY needs a gate that was opened in its run and committed before it."""
    if case.call.intent.side is not Side.BUY:
        return None
    gate = case.gate
    if gate is not None and gate.run_id == case.call.run_id:
        return None
    return _gate_closed("the gate has not been opened")


def gate_shows_orders(case: Case) -> NotSent | None:
    """The gate's snapshot looked at the run's orders; a look that wasn't taken proves nothing."""
    gate = _gate_of_buy(case)
    if gate is None or gate.snapshot.run_orders is not None:
        return None
    return _gate_closed("the gate's snapshot has no orders")


def gate_orders_match(case: Case) -> NotSent | None:
    """What the gate took for SELLs of this plan are orders of that symbol and side, and of no more shares."""
    for trade, orders in _sells_at_gate(case):
        for order in orders:
            fits = order.symbol == trade.symbol and order.side is Side.SELL
            if not fits or order.qty is None or order.qty > trade.qty:
                return _gate_closed(
                    f"{trade.leg}: expected sell {trade.qty} {trade.symbol}, "
                    f"was {order.side} {order.qty} {order.symbol} ({order.client_order_id})"
                )
    return None


def gate_sells_terminal(case: Case) -> NotSent | None:
    """Every order of every SELL is terminal at the broker, one by one."""
    for trade, orders in _sells_at_gate(case):
        for order in orders:
            if not _is_over(order):
                return _gate_closed(f"{trade.leg}: expected a terminal order, was {order.raw_status}")
    return None


def gate_sells_accounted(case: Case) -> NotSent | None:
    """A SELL without an order was declined at its POST: recorded as such, and decided upon."""
    gate = _gate_of_buy(case)
    for trade, orders in _sells_at_gate(case):
        if orders or gate is None:
            continue
        recorded = [sell for sell in gate.sells if sell.leg == trade.leg]
        if len(recorded) != 1 or not _over_without_order(recorded[0]):
            return _gate_closed(f"{trade.leg}: expected an order at the broker, was none")
    return None


def gate_sells_filled(case: Case) -> NotSent | None:
    """Every SELL filled whole - or a declared policy or an operator decided to go on without."""
    gate = _gate_of_buy(case)
    if gate is None or gate.shortfall_decision is not None:
        return None
    for trade, orders in _sells_at_gate(case):
        filled = sum((order.filled_qty for order in orders), Decimal(0))
        if filled != trade.qty or not any(order.status is BrokerStatus.FILLED for order in orders):
            return _gate_closed(f"{trade.leg}: expected {trade.qty} filled, was {filled}; nobody decided on it")
    return None


CHECKS: tuple[Callable[[Case], NotSent | None], ...] = (
    state_allows,
    not_aborted,
    run_open,
    call_durable,
    approved,
    approval_names_these_bytes,
    approval_names_this_run,
    approval_in_time,
    plan_in_time,
    leg_approved,
    same_symbol,
    same_side,
    same_terms,
    id_derived,
    qty_approved,
    gate_opened,
    gate_shows_orders,
    gate_orders_match,
    gate_sells_terminal,
    gate_sells_accounted,
    gate_sells_filled,
    intent_young,
)
"""All of them count; the first that refuses is told. Age comes last: a stale intent may be made anew, the rest not."""


def _not_approved(detail: str) -> NotSent:
    return NotSent(NotSentReason.NOT_APPROVED, detail)


def _gate_closed(detail: str) -> NotSent:
    return NotSent(NotSentReason.GATE_CLOSED, detail)


def _words(terms: tuple[object, ...]) -> str:
    return " ".join("-" if term is None else str(term) for term in terms)


@lru_cache(maxsize=8)
def _sha256_of_text(plan_text: str) -> str:
    """Hash a plan once a run, not once an order."""
    return sha256_hex(plan_text.encode())


def _attempt(client_order_id: str) -> int | None:
    """Read the attempt, from 1, off the end of an id; None if there is none."""
    text = client_order_id.rpartition("-")[2]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) >= 1 else None


def _gate_of_buy(case: Case) -> GateOpened | None:
    """The gate, where the call is a BUY."""
    return case.gate if case.call.intent.side is Side.BUY else None


def _sells_at_gate(case: Case) -> tuple[tuple[Trade, tuple[OrderFacts, ...]], ...]:
    """Every approved SELL with its orders as the gate's snapshot shows them; nothing unless the call is a BUY."""
    gate, submitted = _gate_of_buy(case), case.submitted
    if gate is None or submitted is None:
        return ()
    shown = gate.snapshot.run_orders or ()
    sells = (trade for trade in submitted.plan.trades if trade.side is Side.SELL)
    return tuple(
        (trade, tuple(order for order in shown if order.client_order_id.startswith(f"{case.call.run_id}-{trade.leg}-")))
        for trade in sells
    )


def _is_over(order: OrderFacts) -> bool:
    """Whether nothing more can fill; `done_for_day` ends a DAY order, not a GTC one."""
    if order.status is BrokerStatus.DONE_FOR_DAY:
        return order.time_in_force == TimeInForce.DAY
    return order.status in TERMINAL_BROKER_STATUSES


def _over_without_order(sell: SellEvidence) -> bool:
    return sell.status in TERMINAL and sell.filled_qty == 0
