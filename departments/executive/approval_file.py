"""The approval file, `PLAN.yaml.approval`: a person's yes to exactly these bytes, signed, on paper.

It names the plan by the SHA-256 of its bytes: one changed byte and the approval covers nothing. What is signed, and
whether it covers a plan, now, stands in `approval.py`.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from departments.executive.approval import orders_sha256, refusal, statement
from departments.office.allowed_signers import NAMESPACE
from departments.office.bad_input import BadInput
from departments.office.settings import Settings
from departments.office.sshsig import sign
from departments.office.strict_fields import FieldReader
from departments.office.strict_yaml import parse, read_bytes
from messages.plans import Approval, Mode, Plan
from messages.values import run_id_for

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VALID_FOR = timedelta(hours=24)
MAX_BYTES = 16 * 1024

_SHA256_PATTERN = "[0-9a-f]{64}"
_BASE64_PATTERN = r"[A-Za-z0-9+/]+={0,2}"


def approval_path(plan_path: Path) -> Path:
    """Where the approval of a plan file is."""
    return plan_path.with_name(f"{plan_path.name}.approval")


def new_approval(
    plan: Plan,
    *,
    settings: Settings,
    approved_by: str,
    key: "Ed25519PrivateKey",
    now: datetime,
    nonce: str,
    valid_for: timedelta = VALID_FOR,
) -> Approval:
    """Say yes to a plan, and sign it.

    Args:
        plan: As read from its file.
        settings: The kind of money, and the policy in force.
        approved_by: Who says yes; 1 to 200 printable characters.
        key: Theirs.
        now: Store's clock.
        nonce: Random text, so that no two approvals are the same.
        valid_for: The plan's own expiry may come sooner.
    """
    expires_at = now + valid_for
    if plan.expires_at is not None:
        expires_at = min(expires_at, plan.expires_at)
    approval = Approval(
        plan_sha256=plan.plan_sha256,
        account=plan.account,
        mode=settings.firm.accounts[plan.account].mode,
        approved_by=approved_by,
        approved_at=now,
        expires_at=expires_at,
        nonce=nonce,
        rules_sha256=settings.rules_sha256(),
        orders_sha256=orders_sha256(plan),
    )
    return signed(approval, key)


def signed(approval: Approval, key: "Ed25519PrivateKey") -> Approval:
    """The same approval with a signature of this key's under it."""
    return approval.model_copy(update={"signature": sign(statement(approval), key, namespace=NAMESPACE)})


def write_approval(path: Path, approval: Approval) -> None:
    """Write an approval, whole or not at all, durably, for the owner alone.

    Raises:
        OSError: It can't be written.
    """
    lines = [
        "# A person approved exactly the bytes with this hash. Written by `firm approve`; good until it expires.",
        f"plan_sha256: {approval.plan_sha256}",
        f"account: {_quoted(approval.account)}",
        f"mode: {approval.mode.value}",
        f"approved_by: {_quoted(approval.approved_by)}",
        f"approved_at: {approval.approved_at.isoformat()}",
        f"expires_at: {approval.expires_at.isoformat()}",
        f"nonce: {_quoted(approval.nonce)}",
        f"rules_sha256: {approval.rules_sha256 or 'null'}",
        f"orders_sha256: {approval.orders_sha256 or 'null'}",
        f"signature: {'null' if approval.signature is None else _quoted(approval.signature)}",
    ]
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_approval(path: Path) -> Approval:
    """Read an approval.

    Raises:
        BadInput: It is missing or says something that can't be understood; every problem with file and line.
    """
    data = read_bytes(path, expected="an approval: run firm approve first", max_bytes=MAX_BYTES)
    root = parse(data, path, expected="an approval")
    read = FieldReader(path)
    fields = read.fields(
        root,
        where="the approval",
        required=("plan_sha256", "account", "mode", "approved_by", "approved_at", "expires_at", "nonce"),
        optional=("rules_sha256", "orders_sha256", "signature"),
    )
    hexadecimal = "64 hex digits"
    values = {
        "plan_sha256": read.text(
            fields.get("plan_sha256"), where="plan_sha256", pattern=_SHA256_PATTERN, expected=hexadecimal
        ),
        "account": read.text(fields.get("account"), where="account"),
        "mode": read.choice(fields.get("mode"), Mode, where="mode"),
        "approved_by": read.text(fields.get("approved_by"), where="approved_by", most=200),
        "approved_at": read.instant(fields.get("approved_at"), where="approved_at"),
        "expires_at": read.instant(fields.get("expires_at"), where="expires_at"),
        "nonce": read.text(fields.get("nonce"), where="nonce", most=64),
        "rules_sha256": read.text(
            fields.get("rules_sha256"), where="rules_sha256", pattern=_SHA256_PATTERN, expected=hexadecimal
        ),
        "orders_sha256": read.text(
            fields.get("orders_sha256"), where="orders_sha256", pattern=_SHA256_PATTERN, expected=hexadecimal
        ),
        "signature": read.text(
            fields.get("signature"),
            where="signature",
            pattern=_BASE64_PATTERN,
            expected="an SSH signature's base64",
            most=4096,
        ),
    }
    read.raise_problems()
    try:
        return Approval.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise BadInput.of(path, root.line, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def approved(plan_path: Path, plan: Plan, plan_bytes: bytes, *, settings: Settings, now: datetime) -> Approval:
    """Find the approval that covers a plan, now.

    Args:
        plan_path: The plan's file; its approval is beside it.
        plan: As read from `plan_bytes`.
        plan_bytes: The very bytes that will be executed.
        settings: The kind of money, the signers, and the policy in force.
        now: Store's clock.

    Raises:
        BadInput: It is missing, can't be read, or doesn't cover this plan now; the sentence says which.
    """
    path = approval_path(plan_path)
    approval = read_approval(path)
    why_not = why_refused(plan, approval, plan_bytes, settings=settings, now=now)
    if why_not is not None:
        raise BadInput.of(path, None, f"{why_not}, expected an approval that covers it: run firm approve")
    return approval


def why_refused(plan: Plan, approval: Approval, plan_bytes: bytes, *, settings: Settings, now: datetime) -> str | None:
    """`refusal`, for the run that this plan would be."""
    return refusal(
        plan,
        approval,
        run_id=run_id_for(plan.account, plan.plan_sha256),
        plan_bytes=plan_bytes,
        account=plan.account,
        mode=settings.firm.mode,
        now=now,
        signers=settings.signers,
        rules_sha256=settings.rules_sha256(),
    )


def _quoted(text: str) -> str:
    """Text in YAML's single quotes."""
    return "'" + text.replace("'", "''") + "'"
