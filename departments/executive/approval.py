"""Whether an approval covers a plan, now. Pure; the same words serve `firm submit` and the CEO.

An approval is a statement signed with an SSH key. The statement binds the plan's bytes, what was read from them, the
account, the kind of money, the approver, the times, a nonce and the policy in force; `allowed_signers` says whose key
it must be and what that person may approve.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from departments.office.allowed_signers import NAMESPACE, Signer
from departments.office.sshsig import (
    NotSsh,
    fingerprint,
    read_public_base64,
    read_signature,
    verifies,
)
from messages.plans import Approval, Mode, Plan
from messages.values import RunId, run_id_for, sha256_hex

AGAIN = "look at it and approve it again"


def refusal(
    plan: Plan,
    approval: Approval,
    *,
    run_id: RunId,
    plan_bytes: bytes,
    account: str,
    mode: Mode,
    now: datetime,
    signers: Sequence[Signer],
    rules_sha256: str,
) -> str | None:
    """Say why this approval doesn't let this plan run; None when it does.

    Args:
        plan: As parsed from `plan_bytes`.
        approval: As read from the approval file.
        run_id: The run that it would be.
        plan_bytes: The very bytes that would be executed.
        account: The account of this firm.
        mode: The mode the firm trades in.
        now: Store's clock; approvals expire by it.
        signers: Who may approve.
        rules_sha256: The policy in force, `Settings.rules_sha256`.
    """
    return (
        _not_for_this(plan, approval, run_id=run_id, plan_bytes=plan_bytes, account=account, mode=mode)
        or _not_now(plan, approval, now)
        or _not_signed(plan, approval, signers, now)
        or _not_under_these_rules(approval, rules_sha256)
    )


def statement(approval: Approval) -> bytes:
    """What is signed: the approval as one line of canonical JSON, its signature left out."""
    said = {
        "statement": f"{NAMESPACE} 1",
        "plan_sha256": approval.plan_sha256,
        "orders_sha256": approval.orders_sha256,
        "account": approval.account,
        "mode": approval.mode.value,
        "approved_by": approval.approved_by,
        "approved_at": approval.approved_at.astimezone(UTC).isoformat(),
        "expires_at": approval.expires_at.astimezone(UTC).isoformat(),
        "nonce": approval.nonce,
        "rules_sha256": approval.rules_sha256,
    }
    return (json.dumps(said, separators=(",", ":")) + "\n").encode("ascii")


def orders_sha256(plan: Plan) -> str:
    """Name a plan as it was read: what the person was shown, and what is executed."""
    return sha256_hex(plan.model_dump_json(exclude_defaults=True).encode())


def plan_value_usd(plan: Plan) -> Decimal:
    """USD of all orders together, SELLs and BUYs, at the reference price or a higher limit price."""
    return sum(
        (
            trade.qty * max(trade.reference_price_usd, trade.limit_price_usd or trade.reference_price_usd)
            for trade in plan.trades
        ),
        Decimal(0),
    )


def _not_for_this(
    plan: Plan, approval: Approval, *, run_id: RunId, plan_bytes: bytes, account: str, mode: Mode
) -> str | None:
    """The approval is for something else."""
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
    if run_id != (covered := run_id_for(plan.account, digest)):
        return f"the approval is for run {covered}, this is run {run_id}"
    return None


def _not_now(plan: Plan, approval: Approval, now: datetime) -> str | None:
    """It is too late."""
    if approval.expires_at <= now:
        return f"the approval expired at {_shown(approval.expires_at)}"
    if plan.expires_at is not None and plan.expires_at <= now:
        return f"the plan expired at {_shown(plan.expires_at)}"
    return None


def _not_signed(plan: Plan, approval: Approval, signers: Sequence[Signer], now: datetime) -> str | None:
    """Nobody who may approve this has signed it."""
    if approval.signature is None:
        return "the approval is not signed: approve it again"
    try:
        signature = read_signature(approval.signature)
    except NotSsh as error:
        return f"the approval's signature can't be read: {error}"
    if signature.namespace != NAMESPACE:
        return f"the approval's signature is for {signature.namespace[:60]!r}, expected one for {NAMESPACE}"
    if not verifies(signature, statement(approval)):
        return "the approval was altered after it was signed: approve the plan again"
    if approval.orders_sha256 != orders_sha256(plan):
        return "the orders are not those that were approved: approve the plan again"
    name = fingerprint(signature.public_key)
    of_key = [signer for signer in signers if read_public_base64(signer.public_key) == signature.public_key]
    if not of_key:
        return f"the approval is signed by an unknown key ({name}), expected one of allowed_signers"
    theirs = [signer for signer in of_key if approval.approved_by in signer.principals]
    if not theirs:
        return f"the key {name} is not {approval.approved_by}'s, expected the name that allowed_signers gives it"
    refusals = [_not_theirs(signer, plan, approval, now) for signer in theirs]
    return None if None in refusals else refusals[0]


def _not_theirs(signer: Signer, plan: Plan, approval: Approval, now: datetime) -> str | None:
    """One line of `allowed_signers` doesn't allow this plan."""
    who = approval.approved_by
    if signer.accounts is None:
        if approval.mode is not Mode.PAPER:
            return f"{who} may approve for paper accounts only, expected allowed_signers to name account {plan.account}"
    elif plan.account not in signer.accounts:
        return f"{who} may approve for {', '.join(signer.accounts)}, the plan is for {plan.account}"
    value, most = plan_value_usd(plan), signer.max_plan_value_usd
    if most is not None and value > most:
        return f"{who} may approve plans up to ${most:,.2f}, this one is worth ${value:,.2f}"
    if signer.valid_after is not None and now < signer.valid_after:
        return f"{who} may approve from {_shown(signer.valid_after)} on"
    if signer.valid_before is not None and now >= signer.valid_before:
        return f"{who} could approve until {_shown(signer.valid_before)}"
    return None


def _not_under_these_rules(approval: Approval, rules_sha256: str) -> str | None:
    if approval.rules_sha256 != rules_sha256:
        return f"the policy in config was changed since the plan was approved: {AGAIN}"
    return None


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
