"""How long Compliance takes over a large plan, 60 legs over 30 positions, and Operations over its BUYs; no network.

Rules are as shipped, on ten trading days with some hundred executions. Every round judges a snapshot of its own, so
naming it (JSON and SHA-256) is in the figure, as it is in the daemon; the history was named when it was read.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median, quantiles

from departments.compliance.department import ComplianceDepartment
from departments.office.settings import AccountSettings, FirmSettings, Settings
from departments.operations.department import OperationsDepartment
from messages.envelope import Envelope
from messages.message import Message
from messages.plans import Trade
from messages.proposals import FitBuys
from messages.reviews import Money, PlanReviewed, ReviewPlan, Stage, Today
from messages.snapshots import (
    HISTORY_DAYS,
    AccountFacts,
    AssetFacts,
    ClockFacts,
    FillFacts,
    History,
    PositionFacts,
    QuoteFacts,
    Snapshot,
    TradingDay,
)
from messages.values import AccountName, Funding, LegId, OrderId, Recipient, Side, run_id_for

ROUNDS = 200
WARM_UP = 10
POSITIONS = 30
SELLS = 20
BUYS = 40
FILLS = 300
PRICE = Decimal("48.37")
HELD_QTY = Decimal(70)
CASH = Decimal(-20_000)
RUN = run_id_for("paper", "bench")
NOW = datetime(2025, 11, 10, 15, 9, 12, tzinfo=UTC)


def run() -> dict[str, float]:
    """Measure.

    Returns:
        `review_median_ms`, `review_p95_ms`: `ReviewPlan` to `PlanReviewed`; `fit_median_ms`: `FitBuys` to `BuysFitted`;
        `legs` and `positions` as judged; `kept`, `cut` and `dropped` of the plan.
    """
    firm = FirmSettings(accounts={AccountName("paper"): AccountSettings()})
    settings = Settings(firm=firm)
    compliance, operations = ComplianceDepartment(), OperationsDepartment(AccountName("paper"))
    verdicts: list[PlanReviewed] = []

    def judge(message: Message) -> None:
        answer = compliance.handle(compliance.initial(), _mail(message, Recipient.COMPLIANCE), NOW, settings)
        verdict = answer.outgoing[0].message
        if isinstance(verdict, PlanReviewed):
            verdicts.append(verdict)

    def fit(message: Message) -> None:
        operations.handle(operations.initial(), _mail(message, Recipient.OPERATIONS), NOW, settings)

    review_ms = _timed(judge, _review)
    fit_ms = _timed(fit, _fit)
    decisions = [leg.decision.value for leg in verdicts[-1].legs]
    return {
        "review_median_ms": round(median(review_ms), 3),
        "review_p95_ms": round(quantiles(review_ms, n=20)[-1], 3),
        "fit_median_ms": round(median(fit_ms), 3),
        "legs": len(decisions),
        "positions": POSITIONS,
        "kept": decisions.count("keep"),
        "cut": decisions.count("cut"),
        "dropped": decisions.count("drop"),
    }


def _timed(call: Callable[[Message], None], make: Callable[[], Message]) -> list[float]:
    """Milliseconds of each round; making the message is not in them."""
    found = []
    for n in range(WARM_UP + ROUNDS):
        message = make()
        begun = time.perf_counter()
        call(message)
        took_ms = (time.perf_counter() - begun) * 1000
        if n >= WARM_UP:
            found.append(took_ms)
    return found


def _review() -> ReviewPlan:
    return ReviewPlan(
        run_id=RUN,
        review=1,
        stage=Stage.SUBMISSION,
        trades=_trades(),
        snapshot=_snapshot(),
        funding=Funding.PROCEEDS,
        history=_HISTORY,
        today=_TODAY,
    )


def _fit() -> FitBuys:
    proceeds = SELLS * HELD_QTY * PRICE
    money = Money(funding=Funding.PROCEEDS, proceeds_usd=proceeds, cash_before_usd=CASH - proceeds, cash_now_usd=CASH)
    return FitBuys(
        run_id=RUN,
        fit=1,
        trades=_trades()[SELLS:],
        snapshot=_snapshot(),
        money=money,
        history=_HISTORY,
        today=_TODAY,
    )


def _trades() -> tuple[Trade, ...]:
    sells = [_trade(f"S{n + 1:02}", Side.SELL, f"H{n}", HELD_QTY) for n in range(SELLS)]
    buys = [_trade(f"B{n + 1:02}", Side.BUY, f"N{n}", Decimal(40), score=Decimal(n)) for n in range(BUYS)]
    return (*sells, *buys)


def _trade(leg: str, side: Side, symbol: str, qty: Decimal, score: Decimal | None = None) -> Trade:
    return Trade(leg=LegId(leg), symbol=symbol, side=side, qty=qty, reference_price_usd=PRICE, score=score)


def _snapshot() -> Snapshot:
    held_usd = HELD_QTY * PRICE
    symbols = [f"H{n}" for n in range(POSITIONS)] + [f"N{n}" for n in range(BUYS)]
    return Snapshot(
        begun_at=NOW,
        account=AccountFacts(
            account_number="PA1",
            status="ACTIVE",
            cash_usd=CASH,
            equity_usd=POSITIONS * held_usd + CASH,
            last_equity_usd=POSITIONS * held_usd + CASH,
            buying_power_usd=Decimal(0),
            multiplier=Decimal(2),
            long_market_value_usd=POSITIONS * held_usd,
            short_market_value_usd=Decimal(0),
            trading_blocked=False,
            account_blocked=False,
        ),
        positions=tuple(
            PositionFacts(
                symbol=f"H{n}",
                qty=HELD_QTY,
                qty_available=HELD_QTY,
                avg_entry_price_usd=PRICE,
                current_price_usd=PRICE,
                market_value_usd=held_usd,
            )
            for n in range(POSITIONS)
        ),
        open_orders=(),
        run_orders=(),
        clock=ClockFacts(at=NOW, is_open=True, next_open=NOW + timedelta(days=1), next_close=NOW + timedelta(hours=4)),
        assets=tuple(AssetFacts(symbol=name, status="active", tradable=True, fractionable=True) for name in symbols),
        quotes=tuple(QuoteFacts(symbol=name, bid_usd=PRICE, ask_usd=PRICE, last_usd=PRICE, at=NOW) for name in symbols),
    )


def _history() -> History:
    """Ten trading days with fills of other symbols, BUYs and SELLs on days apart."""
    days = [NOW - timedelta(days=n) for n in range(2 * HISTORY_DAYS) if (NOW - timedelta(days=n)).weekday() < 5]
    days = sorted(days[:HISTORY_DAYS])
    return History(
        read_at=NOW,
        trading_days=tuple(
            TradingDay(day=day.date(), opens_at=day - timedelta(minutes=39), closes_at=day + timedelta(hours=6))
            for day in days
        ),
        fills=tuple(
            FillFacts(
                activity_id=f"{n}",
                order_id=OrderId(f"order-{n}"),
                symbol=f"F{n % 60}",
                side=Side.BUY if n // (FILLS // HISTORY_DAYS) % 2 else Side.SELL,
                qty=HELD_QTY,
                price_usd=PRICE,
                at=days[n // (FILLS // HISTORY_DAYS)] - timedelta(minutes=30) + timedelta(seconds=n),
                order_type="market",
            )
            for n in range(FILLS)
        ),
    )


def _mail(message: Message, recipient: Recipient) -> Envelope:
    return Envelope(
        seq=1, message_id="0.0", sender="executive", recipient=recipient, sent_at=NOW, message=message, causation_id=0
    )


_HISTORY = _history()
_TODAY = Today(plans=0, orders=0, approved_at=NOW - timedelta(minutes=1), asked_at=NOW)
