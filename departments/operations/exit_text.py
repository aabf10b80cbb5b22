"""An exit proposal as a plan's file that says why each position is sold or kept. Pure."""

from collections.abc import Iterable
from datetime import datetime

from departments.operations.exits import ExitLine, ExitProposal, Found
from departments.operations.plan_text import plan_text
from departments.rulebook.context import plain
from messages.plans import Plan
from messages.reviews import Violation
from messages.values import AccountName, PlanId


def exit_plan_text(
    proposal: ExitProposal, *, plan_id: PlanId, account: AccountName, expires_at: datetime | None, title: str
) -> str:
    """Write the file.

    Args:
        proposal: What is sold, and why.
        plan_id: The plan's name.
        account: The account's.
        expires_at: None: the plan says nothing of it.
        title: The first line, a comment.
    """
    plan = Plan(plan_id=plan_id, account=account, plan_sha256="", expires_at=expires_at, trades=proposal.trades)
    return plan_text(plan, remarks=[title, *(explained(line) for line in proposal.lines)])


def explained(line: ExitLine) -> str:
    """One position on one line: what becomes of it and why."""
    if line.trade is not None:
        verb = "SELL" if line.found is Found.SELL else "TRIM"
        return f"{verb} {plain(line.trade.qty)} of {plain(line.qty)} {line.symbol}: {_said(line.reasons)}"
    if line.hindered and line.reasons:
        return f"KEPT {line.symbol}: {_said(line.hindered)}; it should be sold: {_said(line.reasons)}"
    return f"KEPT {line.symbol}: {_said(line.hindered or (one.reason for one in line.judged)) or 'no rule is on'}"


def said(violation: Violation) -> str:
    """A reason on one line: rule, figure, limit, file and key."""
    against = "" if violation.limit is None else f" against {violation.limit}"
    where = "" if violation.file is None else f" ({violation.file}: {violation.key})"
    return f"{violation.rule}: {violation.figure}{against}{where}"


def _said(violations: Iterable[Violation]) -> str:
    return "; ".join(map(said, violations))
