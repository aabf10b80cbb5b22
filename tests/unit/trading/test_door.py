"""The last door, check by check. Each check is needed: without it, the bad case that it is for would pass."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.trading import door
from departments.trading.door import CHECKS, NotSent, judge
from messages.broker import SubmitOrder
from messages.envelope import Envelope
from messages.mailroom.port import DoorFacts, LeaseLost
from messages.orders import (
    GateOpened,
    NotSentReason,
    OrderIntent,
    OrderStatus,
    SellEvidence,
    ShortfallDecision,
)
from messages.plans import SubmitPlan
from messages.snapshots import BrokerStatus, OrderFacts, Snapshot
from messages.values import (
    ClientOrderId,
    LegId,
    OrderId,
    OrderType,
    Recipient,
    RunId,
    Side,
    TimeInForce,
    TradingState,
    client_order_id_for,
)
from tests.builders.plans import NOW, a_plan, a_submission, a_trade, an_approval

EPOCH = 7
TTL_S = 30


def an_envelope(message, seq=1):
    return Envelope(
        seq=seq,
        message_id=str(seq),
        sender="test",
        recipient=Recipient.EXECUTIVE,
        sent_at=NOW,
        message=message,
    )


def a_sold_order(submission: SubmitPlan, leg: str, **changes) -> OrderFacts:
    trade = next(trade for trade in submission.plan.trades if trade.leg == leg)
    fields = {
        "order_id": OrderId(f"id-{leg}"),
        "client_order_id": client_order_id_for(submission.run_id, leg, 1),
        "symbol": trade.symbol,
        "side": Side.SELL,
        "qty": trade.qty,
        "filled_qty": trade.qty,
        "filled_avg_price_usd": Decimal(100),
        "status": BrokerStatus.FILLED,
        "raw_status": "filled",
        "order_type": "market",
        "time_in_force": "day",
        "submitted_at": NOW,
        "as_of": NOW,
    }
    return OrderFacts(**(fields | changes))


def sold_whole(submission: SubmitPlan) -> tuple[OrderFacts, ...]:
    return tuple(a_sold_order(submission, trade.leg) for trade in submission.plan.trades if trade.side is Side.SELL)


def a_gate(submission: SubmitPlan, run_orders, *, sells=(), decision=None, run_id=None) -> GateOpened:
    return GateOpened(
        run_id=run_id or submission.run_id,
        snapshot=Snapshot(begun_at=NOW, run_orders=run_orders),
        sells=sells,
        shortfall_decision=decision,
        proceeds_usd=Decimal(2000),
        cash_before_usd=Decimal(0),
        cash_at_gate_usd=Decimal(2000),
    )


def facts_for(submission, gate=None, **changes) -> DoorFacts:
    facts = DoorFacts(
        epoch=EPOCH,
        trading=TradingState.ACTIVE,
        abort_asked=False,
        run_closed=False,
        approval=an_envelope(submission) if submission is not None else None,
        gate=an_envelope(gate, 2) if gate is not None else None,
        call_committed=True,
    )
    return replace(facts, **changes)


def a_call(submission: SubmitPlan, leg: str, *, intended_at=NOW, attempt=1, **changes) -> SubmitOrder:
    trade = next(trade for trade in submission.plan.trades if trade.leg == leg)
    fields = {
        "leg": LegId(leg),
        "client_order_id": client_order_id_for(submission.run_id, leg, attempt),
        "symbol": trade.symbol,
        "side": trade.side,
        "qty": trade.qty,
        "order_type": trade.order_type,
        "limit_price_usd": trade.limit_price_usd,
        "time_in_force": trade.time_in_force,
        "stop_loss_usd": trade.stop_loss_usd,
        "take_profit_usd": trade.take_profit_usd,
    }
    return SubmitOrder(run_id=submission.run_id, intent=OrderIntent(**(fields | changes)), intended_at=intended_at)


def verdict(facts, call, now=NOW) -> NotSent | None:
    return judge(facts, call, epoch=EPOCH, now=now, intent_ttl_s=TTL_S)


S = a_submission()
SELL, BUY = a_call(S, "S01"), a_call(S, "B01")
OPEN = facts_for(S, a_gate(S, sold_whole(S)))
REFUSED = SellEvidence(
    leg=LegId("S02"),
    client_order_id=client_order_id_for(S.run_id, "S02", 1),
    status=OrderStatus.REFUSED,
    qty=Decimal(10),
    filled_qty=Decimal(0),
    filled_avg_price_usd=None,
)


def gate_with(order: OrderFacts, **gate) -> DoorFacts:
    """A gate whose second SELL is that order."""
    return facts_for(S, a_gate(S, (a_sold_order(S, "S01"), order), **gate))


def approved_by(submission: SubmitPlan) -> DoorFacts:
    return facts_for(submission, a_gate(S, sold_whole(S)))


def with_plan(**changes) -> SubmitPlan:
    """The same letter with a plan that says something else than the approved bytes."""
    return S.model_copy(update={"plan": S.plan.model_copy(update=changes)})


def with_approval(**changes) -> SubmitPlan:
    return S.model_copy(update={"approval": S.approval.model_copy(update=changes)})


def test_an_approved_sell_leaves():
    assert verdict(facts_for(S), SELL) is None


def test_an_approved_buy_leaves_after_an_open_gate():
    assert verdict(OPEN, BUY) is None


def test_a_smaller_buy_leaves():
    assert verdict(OPEN, a_call(S, "B01", qty=Decimal("0.5"))) is None


def test_a_second_attempt_may_sell_the_rest():
    assert verdict(facts_for(S), a_call(S, "S01", attempt=2, qty=Decimal(4))) is None


def test_a_limit_order_with_protection_leaves_as_approved():
    trade = a_trade(
        "B01",
        "BA",
        Side.BUY,
        order_type=OrderType.LIMIT,
        limit_price_usd=Decimal("9.99"),
        time_in_force=TimeInForce.GTC,
        stop_loss_usd=Decimal(8),
        take_profit_usd=Decimal(12),
    )
    submission = a_submission(a_plan(trades=[trade]))
    facts = facts_for(submission, a_gate(submission, ()))

    assert verdict(facts, a_call(submission, "B01")) is None


def test_a_plan_without_sells_needs_a_gate_nevertheless():
    submission = a_submission(a_plan(sells=0))

    assert verdict(facts_for(submission), a_call(submission, "B01")).reason is NotSentReason.GATE_CLOSED
    assert verdict(facts_for(submission, a_gate(submission, ())), a_call(submission, "B01")) is None


def test_a_decision_lets_buys_go_after_a_refused_sell():
    gate = a_gate(S, (a_sold_order(S, "S01"),), sells=(REFUSED,), decision=ShortfallDecision.OPERATOR)

    assert verdict(facts_for(S, gate), BUY) is None


def test_a_decision_lets_buys_go_after_a_canceled_sell():
    canceled = a_sold_order(S, "S02", status=BrokerStatus.CANCELED, raw_status="canceled", filled_qty=Decimal(3))

    assert verdict(gate_with(canceled, decision=ShortfallDecision.POLICY), BUY) is None


def test_a_day_order_that_is_done_for_the_day_is_over():
    done = a_sold_order(S, "S02", status=BrokerStatus.DONE_FOR_DAY, raw_status="done_for_day", filled_qty=Decimal(3))

    assert verdict(gate_with(done, decision=ShortfallDecision.POLICY), BUY) is None


def test_a_stale_epoch_loses_the_lease():
    with pytest.raises(LeaseLost, match="epoch 7, was 8"):
        verdict(replace(OPEN, epoch=8), SELL)


@pytest.mark.parametrize(
    ("state", "sell", "buy"),
    [
        (TradingState.ACTIVE, None, None),
        (TradingState.REDUCING, None, NotSentReason.REDUCING),
        (TradingState.HALTED, NotSentReason.HALTED, NotSentReason.HALTED),
    ],
)
def test_what_may_leave_in_each_trading_state(state, sell, buy):
    facts = replace(OPEN, trading=state)

    for call, expected in ((SELL, sell), (BUY, buy)):
        found = verdict(facts, call)

        assert (None if found is None else found.reason) is expected


def test_a_reducing_house_still_asks_everything_else_of_a_sell():
    facts = replace(OPEN, trading=TradingState.REDUCING, abort_asked=True)

    assert verdict(facts, SELL).reason is NotSentReason.RUN_ENDED


NOT_MATCHING = {"decision": ShortfallDecision.OPERATOR, "sells": (REFUSED,)}
OTHER_RUN = RunId("R" + "0" * 20)

# check -> a case that only this check refuses, and the reason
BAD_CASES = {
    "state_allows": (replace(OPEN, trading=TradingState.HALTED), SELL, NOW, NotSentReason.HALTED),
    "not_aborted": (replace(OPEN, abort_asked=True), SELL, NOW, NotSentReason.RUN_ENDED),
    "run_open": (replace(OPEN, run_closed=True), SELL, NOW, NotSentReason.RUN_ENDED),
    "call_durable": (replace(OPEN, call_committed=False), SELL, NOW, NotSentReason.INTENT_STALE),
    "intent_young": (
        OPEN,
        a_call(S, "S01", intended_at=NOW - timedelta(seconds=TTL_S, microseconds=1)),
        NOW,
        NotSentReason.INTENT_STALE,
    ),
    "approved": (replace(OPEN, approval=None), SELL, NOW, NotSentReason.NOT_APPROVED),
    "approval_names_these_bytes": (
        approved_by(S.model_copy(update={"plan_text": S.plan_text + " "})),
        SELL,
        NOW,
        NotSentReason.NOT_APPROVED,
    ),
    "approval_names_this_run": (
        OPEN,
        SubmitOrder(
            run_id=OTHER_RUN,
            intent=SELL.intent.model_copy(update={"client_order_id": client_order_id_for(OTHER_RUN, "S01", 1)}),
            intended_at=NOW,
        ),
        NOW,
        NotSentReason.NOT_APPROVED,
    ),
    "approval_in_time": (
        approved_by(with_approval(expires_at=NOW)),
        SELL,
        NOW,
        NotSentReason.APPROVAL_EXPIRED,
    ),
    "plan_in_time": (approved_by(with_plan(expires_at=NOW)), SELL, NOW, NotSentReason.APPROVAL_EXPIRED),
    "leg_approved": (
        OPEN,
        SELL.model_copy(
            update={
                "intent": SELL.intent.model_copy(
                    update={"leg": LegId("S09"), "client_order_id": client_order_id_for(S.run_id, "S09", 1)}
                )
            }
        ),
        NOW,
        NotSentReason.NOT_APPROVED,
    ),
    "same_symbol": (OPEN, a_call(S, "S01", symbol="GME"), NOW, NotSentReason.NOT_APPROVED),
    "same_side": (OPEN, a_call(S, "B01", side=Side.SELL), NOW, NotSentReason.NOT_APPROVED),
    "same_terms": (
        OPEN,
        a_call(S, "S01", order_type=OrderType.LIMIT, limit_price_usd=Decimal(1)),
        NOW,
        NotSentReason.NOT_APPROVED,
    ),
    "qty_approved": (OPEN, a_call(S, "B01", qty=Decimal("10.000000001")), NOW, NotSentReason.NOT_APPROVED),
    "id_derived": (
        OPEN,
        a_call(S, "S01", client_order_id=ClientOrderId(f"{S.run_id}-S02-1")),
        NOW,
        NotSentReason.NOT_APPROVED,
    ),
    "gate_opened": (facts_for(S), BUY, NOW, NotSentReason.GATE_CLOSED),
    "gate_shows_orders": (
        facts_for(
            S, a_gate(S, None, sells=(REFUSED.model_copy(update={"leg": LegId("S01")}), REFUSED), decision="policy")
        ),
        BUY,
        NOW,
        NotSentReason.GATE_CLOSED,
    ),
    "gate_orders_match": (
        gate_with(a_sold_order(S, "S02", symbol="GME")),
        BUY,
        NOW,
        NotSentReason.GATE_CLOSED,
    ),
    "gate_sells_terminal": (
        gate_with(
            a_sold_order(S, "S02", status=BrokerStatus.PARTIALLY_FILLED, raw_status="partially_filled", filled_qty=4),
            decision=ShortfallDecision.OPERATOR,
        ),
        BUY,
        NOW,
        NotSentReason.GATE_CLOSED,
    ),
    "gate_sells_accounted": (
        facts_for(S, a_gate(S, (a_sold_order(S, "S01"),), decision=ShortfallDecision.OPERATOR)),
        BUY,
        NOW,
        NotSentReason.GATE_CLOSED,
    ),
    "gate_sells_filled": (
        gate_with(a_sold_order(S, "S02", status=BrokerStatus.CANCELED, raw_status="canceled", filled_qty=9)),
        BUY,
        NOW,
        NotSentReason.GATE_CLOSED,
    ),
}


def test_every_check_has_its_bad_case():
    assert {check.__name__ for check in CHECKS} == set(BAD_CASES)
    assert len(CHECKS) == len(BAD_CASES)


@pytest.mark.parametrize("name", BAD_CASES)
def test_the_bad_case_is_refused(name):
    facts, call, now, reason = BAD_CASES[name]

    refusal = verdict(facts, call, now)

    assert refusal is not None
    assert refusal.reason is reason
    assert refusal.detail


@pytest.mark.parametrize("name", BAD_CASES)
def test_without_its_check_the_bad_case_would_leave(name, monkeypatch):
    """The planted fault: every check stands alone, none is covered by another."""
    facts, call, now, _ = BAD_CASES[name]
    monkeypatch.setattr(door, "CHECKS", tuple(check for check in CHECKS if check.__name__ != name))

    assert verdict(facts, call, now) is None


@pytest.mark.parametrize(
    ("facts", "call"),
    [
        pytest.param(approved_by(with_approval(plan_sha256="0" * 64)), SELL, id="approval of other bytes"),
        pytest.param(approved_by(with_plan(plan_sha256="0" * 64)), SELL, id="plan of other bytes"),
        pytest.param(approved_by(with_plan(account="live")), SELL, id="plan of another account"),
        pytest.param(approved_by(with_plan(trades=(*S.plan.trades, S.plan.trades[0]))), SELL, id="a leg twice"),
        pytest.param(OPEN, a_call(S, "S01", qty=Decimal(9)), id="first attempt sells less"),
        pytest.param(OPEN, a_call(S, "S01", qty=Decimal(11)), id="sells more"),
        pytest.param(OPEN, a_call(S, "S01", attempt=2, qty=Decimal(11)), id="second attempt sells more"),
        pytest.param(OPEN, a_call(S, "S01", time_in_force=TimeInForce.GTC), id="another time in force"),
        pytest.param(OPEN, a_call(S, "S01", stop_loss_usd=Decimal(1)), id="a stop nobody approved"),
        pytest.param(OPEN, a_call(S, "S01", client_order_id="stranger"), id="an id of no form"),
        pytest.param(OPEN, a_call(S, "S01", client_order_id=f"{S.run_id}-S01-0"), id="attempt zero"),
        pytest.param(OPEN, a_call(S, "S01", client_order_id=f"{S.run_id}-S01-01"), id="an attempt written twice over"),
        pytest.param(OPEN, a_call(S, "S01", client_order_id=f"{S.run_id}-S01-1000000000"), id="an id too long"),
        pytest.param(OPEN, a_call(S, "S01", intended_at=NOW + timedelta(minutes=1)), id="an intent from the future"),
        pytest.param(facts_for(S, a_gate(S, sold_whole(S), run_id=OTHER_RUN)), BUY, id="another run's gate"),
        pytest.param(gate_with(a_sold_order(S, "S02", side=Side.BUY)), BUY, id="the SELL was a BUY"),
        pytest.param(gate_with(a_sold_order(S, "S02", qty=None)), BUY, id="a SELL by value"),
        pytest.param(gate_with(a_sold_order(S, "S02", qty=11, filled_qty=11)), BUY, id="sold more than approved"),
        pytest.param(gate_with(a_sold_order(S, "S02", qty=9, filled_qty=9)), BUY, id="sold less, nobody decided"),
        pytest.param(facts_for(S, a_gate(S, ())), BUY, id="no SELL at the broker"),
        pytest.param(facts_for(S, a_gate(S, (a_sold_order(S, "S01"),), sells=(REFUSED,))), BUY, id="undecided"),
        pytest.param(replace(OPEN, approval=an_envelope(BUY)), SELL, id="something else where the approval belongs"),
        pytest.param(replace(OPEN, gate=an_envelope(BUY)), BUY, id="something else where the gate belongs"),
    ],
)  # fmt: skip
def test_more_bad_cases_are_refused(facts, call):
    assert verdict(facts, call) is not None


@pytest.mark.parametrize("status", [status for status in BrokerStatus if status.value in {
    "new", "accepted", "pending_new", "accepted_for_bidding", "held", "stopped", "suspended", "calculated",
    "pending_cancel", "pending_replace", "pending_review", "partially_filled", "unknown",
}])  # fmt: skip
def test_no_live_sell_lets_a_buy_leave_whatever_was_decided(status):
    live = a_sold_order(S, "S02", status=status, raw_status=status.value, filled_qty=0)

    refusal = verdict(gate_with(live, decision=ShortfallDecision.OPERATOR), BUY)

    assert refusal is not None
    assert refusal.reason is NotSentReason.GATE_CLOSED


def test_a_gtc_order_that_is_done_for_the_day_is_not_over():
    done = a_sold_order(
        S, "S02", status=BrokerStatus.DONE_FOR_DAY, raw_status="done_for_day", filled_qty=0, time_in_force="gtc"
    )

    assert verdict(gate_with(done, decision=ShortfallDecision.OPERATOR), BUY) is not None


def test_an_absent_sell_is_not_accounted_for():
    absent = REFUSED.model_copy(update={"status": OrderStatus.ABSENT})
    gate = a_gate(S, (a_sold_order(S, "S01"),), sells=(absent,), decision=ShortfallDecision.OPERATOR)

    assert verdict(facts_for(S, gate), BUY).reason is NotSentReason.GATE_CLOSED


def test_the_recorded_evidence_alone_opens_nothing():
    """The door looks at the orders themselves; what the CEO wrote beside them is not proof."""
    claimed = tuple(
        SellEvidence(
            leg=trade.leg,
            client_order_id=client_order_id_for(S.run_id, trade.leg, 1),
            status=OrderStatus.FILLED,
            qty=trade.qty,
            filled_qty=trade.qty,
            filled_avg_price_usd=Decimal(100),
        )
        for trade in S.plan.trades
        if trade.side is Side.SELL
    )

    assert verdict(facts_for(S, a_gate(S, (), sells=claimed)), BUY) is not None


@given(
    statuses=st.lists(st.sampled_from(list(BrokerStatus)), min_size=2, max_size=2),
    filled=st.lists(st.integers(0, 10), min_size=2, max_size=2),
    decision=st.sampled_from([None, *ShortfallDecision]),
)
def test_a_buy_leaves_only_when_every_sell_is_over_and_filled_or_decided(statuses, filled, decision):
    orders = tuple(
        a_sold_order(S, leg, status=status, raw_status=status.value, filled_qty=Decimal(qty))
        for leg, status, qty in zip(("S01", "S02"), statuses, filled, strict=True)
    )
    over = {"filled", "canceled", "expired", "rejected", "replaced", "done_for_day"}

    left = verdict(facts_for(S, a_gate(S, orders, decision=decision)), BUY) is None

    all_over = all(status.value in over for status in statuses)
    all_filled = all(status is BrokerStatus.FILLED for status in statuses) and filled == [10, 10]
    assert left == (all_over and (all_filled or decision is not None))


@given(age_s=st.floats(-120, 120), qty=st.decimals("0.000000001", 20, places=9))
def test_age_and_quantity_have_sharp_edges(age_s, qty):
    age = timedelta(seconds=age_s)
    call = a_call(S, "B01", qty=qty, intended_at=NOW - age)

    left = verdict(OPEN, call, now=NOW) is None

    assert left == (qty <= 10 and -timedelta(seconds=1) <= age <= timedelta(seconds=TTL_S))


def test_an_approval_counts_until_the_instant_it_expires():
    last = an_approval(S.plan).expires_at - timedelta(microseconds=1)
    young: datetime = last - timedelta(seconds=1)

    assert verdict(OPEN, a_call(S, "B01", intended_at=young), now=last) is None
    assert (
        verdict(OPEN, a_call(S, "B01", intended_at=young), now=last + timedelta(microseconds=1)).reason
        is NotSentReason.APPROVAL_EXPIRED
    )
