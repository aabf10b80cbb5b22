"""Whether an approval covers a plan, now. Pure; the same words serve `firm approve`, `firm submit` and the CEO."""

from datetime import datetime

from messages.plans import Approval, Mode, Plan
from messages.values import sha256_hex


def refusal(
    plan: Plan, approval: Approval, *, plan_bytes: bytes, account: str, mode: Mode, now: datetime
) -> str | None:
    """Say why this approval doesn't let this plan run; None when it does.

    Args:
        plan: As parsed from `plan_bytes`.
        approval: As read from the approval file.
        plan_bytes: The very bytes that would be executed.
        account: The account of this firm.
        mode: The mode the firm trades in.
        now: Store's clock; approvals expire by it.
    """
    digest = sha256_hex(plan_bytes)
    if digest != plan.plan_sha256:
        return f"expected the plan's bytes to hash to {plan.plan_sha256[:12]}, they hash to {digest[:12]}"
    if approval.plan_sha256 != digest:
        return "the plan was changed after it was approved: approve it again"
    if approval.account != plan.account:
        return f"the approval is for account {approval.account}, the plan for {plan.account}"
    if plan.account != account:
        return f"the plan is for account {plan.account}, this firm trades {account}"
    if approval.mode is not mode:
        return f"the approval is for {approval.mode} trading, this firm trades {mode}"
    if approval.expires_at <= now:
        return f"the approval expired at {approval.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if plan.expires_at is not None and plan.expires_at <= now:
        return f"the plan expired at {plan.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return None
