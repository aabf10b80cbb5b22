"""The dry run: what the rules and the rehearsals on a twin of the account say, as one document. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from departments.executive.twin import Twin, differences
from departments.rulebook.context import plain
from departments.rulebook.limits import Limits
from departments.rulebook.money import expected_proceeds_usd, reserve_price_usd
from messages.plans import Plan, Trade
from messages.reviews import LegDecision, PlanReviewed, Violation
from messages.snapshots import AccountFacts, PositionFacts, QuoteFacts, Snapshot
from messages.values import LegId, RunId, Side, TradingState

ZERO = Decimal(0)
FRACTION_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One run of the plan on the twin.

    Attributes:
        view: The contract's JSON of the run, as it ended or is held.
        looks: The account as the run's own looks showed it: when it was received, at the gate, when it was verified.
        released: The view after the operator let a held run go on; None where nobody had to.
    """

    view: Mapping[str, Any]
    looks: Mapping[str, Snapshot]
    released: Mapping[str, Any] | None = None


def document(
    *,
    plan: Plan,
    run_id: RunId,
    live: Snapshot,
    verdict: PlanReviewed,
    limits: Limits,
    expired: bool,
    twin: Twin | None,
    base: Rehearsal | None,
    failures: Mapping[LegId, Rehearsal],
    trading: Mapping[str, Any],
) -> dict[str, Any]:
    """Tell everything that was found, as plain JSON: money and quantities are text.

    Args:
        plan: As read.
        run_id: The run it would be.
        live: The look at the account that the rules judged.
        verdict: Compliance's, on that look.
        limits: What it judged by.
        expired: The plan's own expiry has passed.
        twin: None where nothing was rehearsed.
        base: The rehearsal; None as above.
        failures: Rehearsals in which one SELL did not fill, by leg.
        trading: The account's trading state, as `report.py` shows it; the twin knows of none.
    """
    reasons = _reasons(verdict, base, expired=expired) + _restrictions(plan, verdict, trading)
    decisions = {decision.leg: decision for decision in verdict.legs}
    account, clock = live.account, live.clock
    return {
        "plan_id": plan.plan_id,
        "plan_sha256": plan.plan_sha256,
        "run_id": run_id,
        "account": plan.account,
        "account_number": None if account is None else account.account_number,
        "checked_at": _time(live.begun_at),
        "passes": not reasons,
        "verdict": _verdict(verdict, base, expired=expired),
        "reasons": reasons,
        "market": None
        if clock is None
        else {"is_open": clock.is_open, "next_open": _time(clock.next_open), "next_close": _time(clock.next_close)},
        "legs": legs_of(plan, live, limits, decisions),
        "violations": [_plain(violation) for violation in verdict.violations],
        "breaches": [_plain(violation) for violation in verdict.breaches],
        "losses": [] if verdict.losses is None else [_plain(violation) for violation in verdict.losses.violations],
        **trading,
        "sequence": [] if base is None else sequence(base.view),
        "phases": [] if base is None else phases(base),
        "buying_power": None if base is None else buying_power(plan, live, limits, decisions, base),
        "positions_after": [] if base is None else positions_after(live, base),
        "if_a_sell_fails": [failure(leg, rehearsal) for leg, rehearsal in failures.items()],
        "twin": None
        if twin is None or base is None
        else {
            "outcome": base.view["outcome"] or base.view["phase"],
            "reason": base.view["reason"],
            "waiting_for": base.view["waiting_for"],
            "policy": base.view["policy"],
            "verified": base.view["verification"]["ok"],
            "notes": list(twin.notes),
            "differences": list(differences(live, base.looks["received"])) if "received" in base.looks else [],
        },
    }


def _verdict(verdict: PlanReviewed, base: Rehearsal | None, *, expired: bool) -> str:
    if expired:
        return "expired"
    if verdict.rejected or base is None:
        return "rejected"
    return str(base.view["outcome"] or base.view["phase"])


def _reasons(verdict: PlanReviewed, base: Rehearsal | None, *, expired: bool) -> list[str]:
    """Why the plan doesn't pass; empty when it does. Nothing rehearsed is no pass."""
    found = ["the plan has expired"] if expired else []
    if verdict.rejected:
        found.append("the rules reject the plan: nothing would be sent")
    if base is None:
        return found or ["the plan was not rehearsed"]
    view = base.view
    if view["outcome"] != "completed":
        found.append(
            f"in the twin the run is {view['outcome'] or view['phase']}: {view['waiting_for'] or view['reason']}"
        )
    elif view["verification"]["ok"] is not True:
        found.append("in the twin the run ended without being verified")
    return found


def _restrictions(plan: Plan, verdict: PlanReviewed, trading: Mapping[str, Any]) -> list[str]:
    """What the trading state keeps from being sent, as it is and as the losses on this look would set it."""
    found = []
    stops = {TradingState.HALTED: "nothing"}
    if any(trade.side is Side.BUY for trade in plan.trades):
        stops[TradingState.REDUCING] = "no BUY"
    state = TradingState(trading["trading_state"])
    if state in stops:
        because = f"{trading['trading_because']}, said by {trading['trading_set_by']}"
        found.append(f"trading is {state}, {stops[state]} would be sent before firm resume: {because}")
    asked = verdict.losses
    if asked is not None and asked.state in stops:
        why = "; ".join(f"{one.rule}: {one.figure} against {one.limit}" for one in asked.violations)
        found.append(f"trading would become {asked.state}, {stops[asked.state]} would be sent: {why}")
    return found


def legs_of(plan: Plan, live: Snapshot, limits: Limits, decisions: Mapping[LegId, LegDecision]) -> list[dict[str, Any]]:
    """Every leg: what the rules make of it, and what it may cost (a BUY) or should bring (a SELL), USD."""
    quotes = {quote.symbol: quote for quote in live.quotes or ()}
    told = []
    for trade in plan.trades:
        decision = decisions[trade.leg]
        quote = quotes.get(trade.symbol)
        entry = {
            "leg": trade.leg,
            "side": trade.side.value,
            "symbol": trade.symbol,
            "planned_qty": plain(trade.qty),
            "qty": plain(decision.qty),
            "decision": decision.decision.value,
            "reference_price": plain(trade.reference_price_usd),
            "bid": _text(None if quote is None else quote.bid_usd),
            "ask": _text(None if quote is None else quote.ask_usd),
            "violations": [_plain(violation) for violation in decision.violations],
        }
        if trade.side is Side.BUY:
            entry["may_cost"] = _text(_reserved_usd(trade, decision, quote, limits))
        else:
            kept = trade.model_copy(update={"qty": decision.qty}) if decision.qty else None
            entry["should_bring"] = plain(ZERO if kept is None else expected_proceeds_usd((kept,), quotes))
        told.append(entry)
    return told


def _reserved_usd(trade: Trade, decision: LegDecision, quote: QuoteFacts | None, limits: Limits) -> Decimal | None:
    if not decision.qty:
        return ZERO
    price_usd = reserve_price_usd(trade, quote, limits.price_cushion_fraction)
    return None if price_usd is None else decision.qty * price_usd


def sequence(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What would happen, in order: orders as they were sent, the gate between SELLs and BUYs."""
    sent = sorted((leg for leg in view["legs"] if leg["submitted_at"]), key=lambda leg: str(leg["submitted_at"]))
    steps = [_step(leg) for leg in sent if leg["side"] == Side.SELL.value]
    if view["gate"]["opened_at"] is not None:
        steps.append(
            {"step": "gate", **{key: view["gate"][key] for key in ("proceeds", "cash_before", "cash_at_gate")}}
        )
    return steps + [_step(leg) for leg in sent if leg["side"] == Side.BUY.value]


def _step(leg: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("leg", "symbol", "qty", "status", "filled_qty", "filled_avg_price")
    return {"step": leg["side"], **{key: leg[key] for key in keys}}


def phases(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """The account's money before, after the SELLs and after the BUYs."""
    names = (("received", "before"), ("gate", "after the SELLs"), ("verify", "after the BUYs"))
    told = []
    for purpose, name in names:
        snapshot = rehearsal.looks.get(purpose)
        if snapshot is not None and snapshot.account is not None and snapshot.positions is not None:
            told.append({"when": name} | _figures(snapshot.account, snapshot.positions))
    return told


def _figures(account: AccountFacts, positions: tuple[PositionFacts, ...]) -> dict[str, Any]:
    gross_usd = abs(account.long_market_value_usd) + abs(account.short_market_value_usd)
    fraction = (gross_usd / account.equity_usd).quantize(FRACTION_STEP) if account.equity_usd > 0 else None
    return {
        "cash": plain(account.cash_usd),
        "margin_debt": plain(max(ZERO, -account.cash_usd)),
        "equity": plain(account.equity_usd),
        "gross_value": plain(gross_usd),
        "gross_exposure_fraction": _text(fraction),
        "buying_power": plain(account.buying_power_usd),
        "positions": sum(bool(position.qty) for position in positions),
    }


def buying_power(
    plan: Plan, live: Snapshot, limits: Limits, decisions: Mapping[LegId, LegDecision], base: Rehearsal
) -> dict[str, Any]:
    """What is there, before and at the gate, and what the BUYs reserve of it at most, USD."""
    quotes = {quote.symbol: quote for quote in live.quotes or ()}
    reserved = [
        _reserved_usd(trade, decisions[trade.leg], quotes.get(trade.symbol), limits)
        for trade in plan.trades
        if trade.side is Side.BUY
    ]
    total = None if None in reserved else sum((value for value in reserved if value is not None), ZERO)
    gate = base.looks.get("gate")
    at_gate = None if gate is None or gate.account is None else gate.account.buying_power_usd
    return {
        "before": _text(None if live.account is None else live.account.buying_power_usd),
        "at_gate": _text(at_gate),
        "reserved_by_buys": _text(total),
        "used_fraction": _text((total / at_gate).quantize(FRACTION_STEP) if total is not None and at_gate else None),
    }


def positions_after(live: Snapshot, base: Rehearsal) -> list[dict[str, Any]]:
    """Every position before and after, closed ones too."""
    last = base.looks.get("verify")
    if last is None or last.positions is None:
        return []
    before = {position.symbol: position.qty for position in live.positions or ()}
    after = {position.symbol: position for position in last.positions}
    return [
        {
            "symbol": symbol,
            "qty_before": plain(before.get(symbol, ZERO)),
            "qty": plain(after[symbol].qty if symbol in after else ZERO),
            "value": _text(after[symbol].market_value_usd if symbol in after else ZERO),
        }
        for symbol in sorted(before.keys() | after.keys())
    ]


def failure(leg: LegId, rehearsal: Rehearsal) -> dict[str, Any]:
    """What the declared policy made of one SELL that did not fill; where it holds the run, what a release would do."""
    view = rehearsal.view
    symbol = next(one["symbol"] for one in view["legs"] if one["leg"] == leg)
    return {
        "leg": leg,
        "symbol": symbol,
        "policy": view["policy"]["sell_shortfall"],
        "then": view["outcome"] or view["phase"],
        "reason": view["reason"],
        **_bought(view),
        "after_release": None
        if rehearsal.released is None
        else {"then": rehearsal.released["outcome"] or rehearsal.released["phase"], **_bought(rehearsal.released)},
    }


def _bought(view: Mapping[str, Any]) -> dict[str, Any]:
    buys = [leg for leg in view["legs"] if leg["side"] == Side.BUY.value]
    return {
        "sold": [
            leg["symbol"] for leg in view["legs"] if leg["side"] == Side.SELL.value and Decimal(leg["filled_qty"])
        ],
        "bought": {leg["symbol"]: leg["filled_qty"] for leg in buys if Decimal(leg["filled_qty"])},
        "not_bought": [leg["symbol"] for leg in buys if not Decimal(leg["filled_qty"])],
        "proceeds": view["money"]["proceeds"],
        "spent": view["money"]["spent"],
    }


def _plain(violation: Violation) -> dict[str, Any]:
    return violation.model_dump(mode="json")


def _text(figure: Decimal | None) -> str | None:
    return None if figure is None else plain(figure)


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
