"""What people and programs are shown of a run: the contract's JSON, folded from the CEO's own mail.

There is no second truth: the view is the CEO's state, found by folding the same mail with the same function.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from departments.executive.department import ExecutiveDepartment, ExecutiveState, Trading
from departments.executive.phases import Ended, Held, Phase, Queued, Selling, Stopping, Verifying, phase_name
from departments.executive.run import ZERO, Leg, Run
from departments.office.settings import Settings
from messages.mailroom.port import Counter, HandledMail
from messages.orders import OrderStatus
from messages.plans import SubmitPlan
from messages.reviews import Violation
from messages.values import AccountName, Recipient, RunId, Side

BPS = Decimal(10_000)
REJECTED_BY_BROKER = frozenset({OrderStatus.REFUSED, OrderStatus.REJECTED})
SHOWN_STATUS = {OrderStatus.ABSENT: "unknown", OrderStatus.REPLACED: "canceled"}


def fold(history: Iterable[HandledMail], counter: Counter, account: AccountName) -> ExecutiveState:
    """Fold handled mail of the CEO's into its state, with the settings each piece was handled under."""
    department = ExecutiveDepartment(account)
    state = department.initial()
    known: dict[str, Settings] = {}
    for mail in history:
        settings = known.get(mail.settings_sha256)
        if settings is None:
            settings = Settings.model_validate_json(counter.settings_document(mail.settings_sha256))
            known[mail.settings_sha256] = settings
        state = department.handle(state, mail.envelope, mail.handled_at, settings).state
    return state


def view_run(counter: Counter, run_id: RunId) -> dict[str, Any] | None:
    """The contract's JSON of one run; None if nobody ever handed it in."""
    for letter in counter.letters():
        if isinstance(letter.message, SubmitPlan) and letter.message.run_id == run_id:
            return _view_letter(letter.message, letter.sent_at)
    history = tuple(counter.history(Recipient.EXECUTIVE, run_id=run_id))
    submissions = (mail.envelope.message for mail in history)
    account = next((letter.plan.account for letter in submissions if isinstance(letter, SubmitPlan)), None)
    if account is None:
        return None
    phase = fold(history, counter, account).runs.get(run_id)
    if phase is None:
        return None
    view = view_phase(phase)
    if isinstance(phase, Queued):
        state = fold(counter.history(Recipient.EXECUTIVE, run_id=None), counter, account)
        before = [waiting for waiting, _ in state.account.waiting if waiting != run_id]
        view["waiting_for"] = f"run {before[0]} to end" if before else "the daemon"
    return view


def view_firm(counter: Counter) -> dict[str, Any]:
    """The firm as a whole: who runs it, whether it trades, its runs, and what nobody could handle."""
    state = fold(counter.history(Recipient.EXECUTIVE, run_id=None), counter, AccountName(""))
    runs: list[dict[str, Any]] = []
    account = None
    for row in counter.runs():
        entry: dict[str, Any] = {"run_id": row.run_id, "plan_id": row.plan_id, "opened_at": _time(row.opened_at)}
        if row.closed_at is None:
            view = view_run(counter, row.run_id)
            shown = view or {}
            account = shown.get("account", account)
            entry |= {key: shown.get(key) for key in ("phase", "outcome", "reason", "waiting_for")}
        else:
            entry |= {"phase": row.outcome, "outcome": row.outcome, "reason": None, "waiting_for": None}
        entry["closed_at"] = _time(row.closed_at)
        runs.append(entry)
    for letter in counter.letters():
        if isinstance(letter.message, SubmitPlan):
            shown = _view_letter(letter.message, letter.sent_at)
            runs.append(
                {key: shown.get(key) for key in ("run_id", "plan_id", "phase", "outcome", "reason", "waiting_for")}
            )
    holder = counter.holder()
    health = None if holder is None else state.account.health  # a word about a stream that nobody listens to is stale
    return {
        "account": account,
        "daemon": holder,
        **view_trading(state.account.trading),
        "stream": None if health is None else health.stream.value,
        "stream_detail": None if health is None else health.detail,
        "runs": runs,
        "dead_letters": [
            {
                "message_type": None if envelope is None else type(envelope.message).__name__,
                "recipient": None if envelope is None else envelope.recipient.value,
                "run_id": None if envelope is None else envelope.correlation_id,
                "reason": reason,
            }
            for envelope, reason in counter.dead_letters()
        ],
    }


def view_trading(trading: Trading) -> dict[str, Any]:
    """The account's trading state, why, and who said so."""
    return {"trading_state": trading.state.value, "trading_because": trading.reason, "trading_set_by": trading.by}


def view_phase(phase: Phase) -> dict[str, Any]:
    """One run, as the contract has it."""
    run = phase.run
    ended = phase if isinstance(phase, Ended) else None
    reason = ended.reason if ended is not None else None
    if isinstance(phase, Held):
        reason = phase.reason.value
    return {
        "run_id": run.run_id,
        "plan_id": run.plan.plan_id,
        "plan_sha256": run.plan.plan_sha256,
        "account": run.plan.account,
        "phase": phase_name(phase),
        "outcome": None if ended is None else ended.outcome.value,
        "reason": reason,
        "detail": phase.detail if isinstance(phase, Held) else None,
        "resume_to": phase_name(phase.resume_to) if isinstance(phase, Held) else None,
        "waiting_for": waiting_for(phase),
        "policy": {"sell_shortfall": run.shortfall.value, "funding": run.funding.value},
        "approved_by": run.approval.approved_by,
        "accepted_at": _time(run.accepted_at),
        "expires_at": _time(run.expires_at),
        "started_at": _time(run.started_at),
        "ended_at": _time(None if ended is None else ended.ended_at),
        "gate": _gate(run),
        "money": _money(run),
        "legs": [_leg(run, leg) for leg in _in_order(run)],
        "violations": [_violation(violation) for violation in run.rejections],
        "breaches": [_violation(violation) for violation in run.breaches],
        "trading": [
            {"state": change.state.value, "reason": change.reason, "by": change.by, "at": _time(change.at)}
            for change in run.trading
        ],
        "denied": _denied(run),
        "rejected": _rejected(run),
        "verification": {
            "ok": run.verified,
            "differences": [{"what": d.what, "expected": d.expected, "seen": d.seen} for d in run.differences],
        },
    }


def waiting_for(phase: Phase) -> str | None:
    """What the run waits for, in words; None once it has ended."""
    run = phase.run
    match phase:
        case Ended():
            return None
        case Held():
            return f"{phase.reason.value}: {phase.detail}"
        case Selling():
            live = [leg.trade.symbol for leg in run.sells if leg.live]
            return run.waiting or (f"orders to fill: {', '.join(live)}" if live else "proof by REST")
        case Stopping():
            return f"orders to end: {', '.join(leg.trade.symbol for leg in run.live)}"
        case Verifying():
            return run.waiting or "a last look at the account"
        case _:
            live = [leg.trade.symbol for leg in run.buys if leg.live]
            return run.waiting or (f"orders to fill: {', '.join(live)}" if live else None)


def leg_status(leg: Leg) -> str:
    """A leg's status, one of the contract's words."""
    if leg.order is not None:
        return SHOWN_STATUS.get(leg.order.status, leg.order.status.value)
    if leg.dropped:
        return "dropped"
    if leg.placed:
        return "intended"
    return "cut" if leg.qty < leg.trade.qty else "planned"


def slippage_bps(leg: Leg) -> Decimal | None:
    """Basis points paid above (BUY) or received below (SELL) the reference price; negative is better than planned."""
    price = None if leg.order is None else leg.order.filled_avg_price_usd
    if price is None:
        return None
    reference = leg.trade.reference_price_usd
    worse = price - reference if leg.trade.side is Side.BUY else reference - price
    return (worse / reference * BPS).quantize(Decimal("0.1"))


def _in_order(run: Run) -> list[Leg]:
    """SELLs in file order, then BUYs in the order of sending, then the rest."""
    rank = {name: index for index, name in enumerate(run.send_order)}
    return [*run.sells, *sorted(run.buys, key=lambda leg: rank.get(leg.leg, len(rank)))]


def _leg(run: Run, leg: Leg) -> dict[str, Any]:
    order = leg.order
    view: dict[str, Any] = {
        "leg": leg.leg,
        "symbol": leg.trade.symbol,
        "side": leg.trade.side.value,
        "qty": str(leg.qty),
        "status": leg_status(leg),
        "filled_qty": str(leg.filled_qty),
        "filled_avg_price": None if order is None else _text(order.filled_avg_price_usd),
        "reference_price": str(leg.trade.reference_price_usd),
        "client_order_id": run.client_order_id(leg) if leg.sent else None,
        "order_id": None if order is None else order.order_id,
        "submitted_at": _time(leg.submitted_at),
        "filled_at": None if order is None else _time(order.filled_at),
        "slippage_bps": _text(slippage_bps(leg)),
        "evidence": None if order is None else order.evidence.value,
        "reason": None if order is None else order.reason,
        "violations": [_violation(violation) for violation in leg.violations],
    }
    if leg.qty != leg.trade.qty:
        view["planned_qty"] = str(leg.trade.qty)
    return view


def _denied(run: Run) -> list[dict[str, Any]]:
    """What our own rules cut or kept from being sent, each with its reason and a code of ours."""
    told = [
        {
            "symbol": leg.trade.symbol,
            "side": leg.trade.side.value,
            "became": "dropped" if leg.dropped or leg.given_up else "cut",
            **_violation(violation),
        }
        for leg in _in_order(run)
        for violation in leg.violations
    ]
    of_legs = {violation for leg in run.legs for violation in leg.violations}
    of_plan = [violation for violation in run.rejections if violation not in of_legs]
    return told + [{"symbol": None, "side": None, "became": "dropped", **_violation(one)} for one in of_plan]


def _rejected(run: Run) -> list[dict[str, Any]]:
    """What Alpaca refused at the POST, or took and rejected, in its own words."""
    return [
        {
            "leg": leg.leg,
            "symbol": leg.trade.symbol,
            "side": leg.trade.side.value,
            "status": leg.order.status.value,
            "reason": leg.order.reason,
        }
        for leg in _in_order(run)
        if leg.order is not None and leg.order.status in REJECTED_BY_BROKER
    ]


def _gate(run: Run) -> dict[str, Any]:
    sold = [leg.order.filled_at for leg in run.sells if leg.order is not None and leg.order.filled_at is not None]
    sent = [leg.submitted_at for leg in run.buys if leg.submitted_at is not None]
    gate = run.gate
    return {
        "opened_at": _time(None if gate is None else gate.opened_at),
        "last_sell_filled_at": _time(max(sold, default=None)),
        "first_buy_sent_at": _time(min(sent, default=None)),
        "proceeds": str(run.proceeds_usd if gate is None else gate.proceeds_usd),
        "cash_before": _text(run.cash_before_usd),
        "cash_at_gate": None if gate is None else str(gate.cash_at_gate_usd),
        "buys_value": str(run.spent_usd),
        "snapshot_id": None if gate is None else gate.snapshot_id,
        "decision": None if gate is None or gate.decision is None else gate.decision.value,
    }


def _money(run: Run) -> dict[str, Any]:
    sold_at_reference = sum((leg.filled_qty * leg.trade.reference_price_usd for leg in run.sells), ZERO)
    bought_at_reference = sum((leg.filled_qty * leg.trade.reference_price_usd for leg in run.buys), ZERO)
    return {
        "cash_before": _text(run.cash_before_usd),
        "cash_after": _text(run.cash_after_usd),
        "proceeds": str(run.proceeds_usd),
        "spent": str(run.spent_usd),
        "implementation_shortfall": str((sold_at_reference - run.proceeds_usd) + (run.spent_usd - bought_at_reference)),
    }


def _violation(violation: Violation) -> dict[str, Any]:
    return violation.model_dump(mode="json")


def _view_letter(letter: SubmitPlan, handed_in_at: datetime) -> dict[str, Any]:
    """A plan that no daemon has taken up yet."""
    expiries = [letter.approval.expires_at, *([letter.plan.expires_at] if letter.plan.expires_at else [])]
    run = Run(
        run_id=letter.run_id,
        plan=letter.plan,
        approval=letter.approval,
        shortfall=letter.plan.sell_shortfall or Settings.model_fields["executive"].default.sell_shortfall,
        funding=letter.plan.funding or Settings.model_fields["executive"].default.funding,
        legs=tuple(Leg(trade=trade, qty=trade.qty) for trade in letter.plan.trades),
        accepted_at=handed_in_at,
        expires_at=min(expiries),
    )
    return view_phase(Queued(run=run)) | {"waiting_for": "the daemon"}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
