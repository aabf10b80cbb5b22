"""The approval file, `PLAN.yaml.approval`: a person's yes to exactly these bytes, on paper.

It names the plan by the SHA-256 of its bytes: one changed byte and the approval covers nothing. Whether it covers a
plan, now, is judged in `approval.py`.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from departments.executive.approval import refusal
from departments.office.bad_input import BadInput
from departments.office.strict_fields import FieldReader
from departments.office.strict_yaml import parse, read_bytes
from messages.plans import Approval, Mode, Plan

VALID_FOR = timedelta(hours=24)
MAX_BYTES = 16 * 1024

_SHA256_PATTERN = "[0-9a-f]{64}"
_ARMOUR_PATTERN = r"[A-Za-z0-9+/=_.:-]+"


def approval_path(plan_path: Path) -> Path:
    """Where the approval of a plan file is."""
    return plan_path.with_name(f"{plan_path.name}.approval")


def new_approval(
    plan: Plan, *, mode: Mode, approved_by: str, now: datetime, nonce: str, valid_for: timedelta = VALID_FOR
) -> Approval:
    """Say yes to a plan.

    Args:
        plan: As read from its file.
        mode: Of the plan's account.
        approved_by: Who says yes; 1 to 200 printable characters.
        now: Store's clock.
        nonce: Random text, so that no two approvals are the same.
        valid_for: The plan's own expiry may come sooner.
    """
    expires_at = now + valid_for
    if plan.expires_at is not None:
        expires_at = min(expires_at, plan.expires_at)
    return Approval(
        plan_sha256=plan.plan_sha256,
        account=plan.account,
        mode=mode,
        approved_by=approved_by,
        approved_at=now,
        expires_at=expires_at,
        nonce=nonce,
    )


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
        optional=("rules_sha256", "signature"),
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
        "signature": read.text(
            fields.get("signature"),
            where="signature",
            pattern=_ARMOUR_PATTERN,
            expected="an armoured signature",
            most=4096,
        ),
    }
    read.raise_problems()
    try:
        return Approval.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise BadInput.of(path, root.line, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def approved(plan_path: Path, plan: Plan, plan_bytes: bytes, *, mode: Mode, now: datetime) -> Approval:
    """Find the approval that covers a plan, now.

    Args:
        plan_path: The plan's file; its approval is beside it.
        plan: As read from `plan_bytes`.
        plan_bytes: The very bytes that will be executed.
        mode: Of the plan's account.
        now: Store's clock.

    Raises:
        BadInput: It is missing, can't be read, or doesn't cover this plan now; the sentence says which.
    """
    path = approval_path(plan_path)
    approval = read_approval(path)
    why_not = refusal(plan, approval, plan_bytes=plan_bytes, account=plan.account, mode=mode, now=now)
    if why_not is not None:
        raise BadInput.of(path, None, f"{why_not}, expected an approval that covers it: run firm approve")
    return approval


def _quoted(text: str) -> str:
    """Text in YAML's single quotes."""
    return "'" + text.replace("'", "''") + "'"
