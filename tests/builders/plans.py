"""Plans, approvals and settings with nothing special about them; a test names only what it is about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from departments.executive.approval import orders_sha256
from departments.executive.approval_file import signed
from departments.office.settings import AccountSettings, ExecutiveSettings, FirmSettings, Settings
from messages.plans import Approval, Mode, Plan, SubmitPlan, Trade
from messages.values import AccountName, Funding, LegId, PlanId, RunId, SellShortfall, Side, run_id_for, sha256_hex
from tests.builders.signing import MARAS, a_signer

NOW = datetime(2025, 11, 10, 15, 9, 12, tzinfo=UTC)
ACCOUNT = AccountName("paper")


def a_trade(leg: str, symbol: str, side: Side, qty: Any = 10, price: Any = 100, **more: Any) -> Trade:
    """One leg."""
    return Trade(leg=LegId(leg), symbol=symbol, side=side, qty=Decimal(qty), reference_price_usd=Decimal(price), **more)


def some_trades(sells: int = 2, buys: int = 3, qty: Any = 10, price: Any = 100) -> tuple[Trade, ...]:
    """`SA`, `SB` ... to sell and `BA`, `BB` ... to buy."""
    sold = [a_trade(f"S{n + 1:02}", f"S{chr(65 + n)}", Side.SELL, qty, price) for n in range(sells)]
    bought = [a_trade(f"B{n + 1:02}", f"B{chr(65 + n)}", Side.BUY, qty, price) for n in range(buys)]
    return (*sold, *bought)


def a_plan(
    *,
    sells: int = 2,
    buys: int = 3,
    trades: Iterable[Trade] | None = None,
    plan_id: str = "PLAN_20251110_070542",
    sell_shortfall: SellShortfall | None = None,
    funding: Funding | None = None,
    expires_at: datetime | None = None,
    account: AccountName = ACCOUNT,
) -> Plan:
    """A plan; its text is `text_of` it."""
    plan = Plan(
        plan_id=PlanId(plan_id),
        account=account,
        plan_sha256="",
        sell_shortfall=sell_shortfall,
        funding=funding,
        expires_at=expires_at,
        trades=some_trades(sells, buys) if trades is None else tuple(trades),
    )
    return plan.model_copy(update={"plan_sha256": sha256_hex(text_of(plan).encode())})


def text_of(plan: Plan) -> str:
    """The bytes that stand for a built plan; what they say is not parsed."""
    return f"{plan.plan_id}\n" + "\n".join(repr(trade) for trade in plan.trades)


def an_approval(
    plan: Plan, *, at: datetime = NOW, expires_at: datetime | None = None, mode: Mode = Mode.PAPER, **more: Any
) -> Approval:
    """A person's yes to that plan, given a minute ago under `some_settings()`, for a day unless said otherwise.

    Signed last, whatever else was named; `signature` itself may be named, too.
    """
    fields: dict[str, Any] = {
        "plan_sha256": plan.plan_sha256,
        "account": plan.account,
        "mode": mode,
        "approved_by": "mara",
        "approved_at": at - timedelta(minutes=1),
        "expires_at": expires_at or at + timedelta(days=1),
        "nonce": f"nonce of {plan.plan_sha256[:12]}",
        "rules_sha256": some_settings().rules_sha256(),
        "orders_sha256": orders_sha256(plan),
    }
    approval = Approval(**(fields | more))
    return approval if "signature" in more else signed(approval, MARAS)


def run_id_of(plan: Plan) -> RunId:
    """The run of a plan."""
    return run_id_for(plan.account, plan.plan_sha256)


def a_submission(plan: Plan | None = None, approval: Approval | None = None) -> SubmitPlan:
    """The letter that hands an approved plan in."""
    plan = a_plan() if plan is None else plan
    return SubmitPlan(
        run_id=run_id_of(plan), plan=plan, approval=approval or an_approval(plan), plan_text=text_of(plan)
    )


def some_settings(*, executive: dict[str, Any] | None = None, **parts: Any) -> Settings:
    """The shipped defaults, changed where named: `some_settings(executive={"sell_timeout_s": 5})`."""
    firm = FirmSettings(accounts={ACCOUNT: AccountSettings()})
    parts = {"signers": (a_signer(),)} | parts
    return Settings(firm=firm, executive=ExecutiveSettings(**(executive or {})), **parts)
