"""`firm approve`: shows a plan and writes a person's yes to exactly these bytes."""

import secrets
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.surroundings import all_settings, now

if TYPE_CHECKING:
    from datetime import datetime

    from departments.office.settings import Settings
    from messages.plans import Approval, Mode, Plan


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("plan", type=Path, metavar="PLAN.yaml")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="an Ed25519 private key of OpenSSH's (default: FIRM_HOME's own)"
    )


def run(given: Namespace) -> int:
    """Approve; 0 when the approval is written, 2 when the plan can't be approved or the answer is no."""
    from departments.executive.approval_file import approval_path, new_approval, write_approval
    from departments.executive.plan_file import read_plan
    from departments.office.bad_input import BadInput
    from departments.office.strict_yaml import read_bytes
    from messages.plans import Mode
    from scripts.approval_key import approver, key_path, load_key, make_paper_key, with_signers
    from scripts.approve_effect import show_effect
    from scripts.file_modes import check_inputs
    from scripts.plan_table import print_plan

    settings = all_settings()
    firm = settings.firm
    path: Path = given.plan
    at = now()
    try:
        data = read_bytes(path, expected="a plan file")
        plan, _ = read_plan(data, name=str(path), accounts=firm.accounts)
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    if plan.expires_at is not None and plan.expires_at <= at:
        expiry = f"{plan.expires_at:%Y-%m-%d %H:%M:%S}"
        raise Failure(Code.BAD_INPUT, f"{path}: the plan expired at {expiry} UTC, expected a later expires_at")
    mode = firm.accounts[plan.account].mode
    check_inputs([path], is_live=mode is Mode.LIVE or firm.mode is Mode.LIVE)
    print_plan(plan, mode)
    _tell_of_earlier(approval_path(path), plan.plan_sha256)
    rejected = show_effect(plan, settings)
    if not given.yes and not _says_yes(plan, mode, rejected=rejected):
        raise Failure(Code.BAD_INPUT, f"{path}: not approved")
    if given.key is None and make_paper_key(firm):
        print(f"made a key to approve paper plans with: {key_path()}")
    settings = with_signers(settings)
    key = load_key(given.key or key_path())
    approval = new_approval(
        plan,
        settings=settings,
        approved_by=approver(key, settings.signers),
        key=key,
        now=at,
        nonce=secrets.token_hex(16),
    )
    _refuse_vain(plan, approval, data, settings, path, at)
    write_approval(approval_path(path), approval)
    print(
        f"approved by {approval.approved_by} until {approval.expires_at:%Y-%m-%d %H:%M:%S} UTC: {approval_path(path)}"
    )
    return Code.DONE


def _refuse_vain(
    plan: "Plan", approval: "Approval", data: bytes, settings: "Settings", path: Path, at: "datetime"
) -> None:
    """Write no approval that would be refused when it is handed in.

    Raises:
        Failure: Says why it would be: the person may not approve this plan, say.
    """
    from departments.executive.approval_file import why_refused

    why_not = why_refused(plan, approval, data, settings=settings, now=at)
    if why_not is not None:
        raise Failure(Code.BAD_INPUT, f"{path}: not approved: {why_not}")


def _tell_of_earlier(path: Path, plan_sha256: str) -> None:
    """Say what becomes of an approval that is there already."""
    from departments.executive.approval_file import read_approval
    from departments.office.bad_input import BadInput

    if not path.exists():
        return
    try:
        earlier = read_approval(path)
    except BadInput:
        print(f"{path} is there and can't be read; the new approval takes its place")
        return
    of_what = "of this plan" if earlier.plan_sha256 == plan_sha256 else "of the plan as it was before"
    until = f"good until {earlier.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    print(f"the approval {of_what} by {earlier.approved_by}, {until}, is replaced")


def _says_yes(plan: "Plan", mode: "Mode", *, rejected: bool) -> bool:
    """Ask. A plan that the rules reject as the account is now takes more than a keystroke: the account may change."""
    if not sys.stdin.isatty():
        raise Failure(Code.BAD_INPUT, "firm approve: nobody to ask, expected a terminal or --yes")
    what = f"Approve {len(plan.trades)} orders on account {plan.account} ({mode})"
    how = ', though the rules reject the plan as the account is now? Type "yes": ' if rejected else "? [y/N] "
    try:
        answer = input(what + how).strip().lower()
    except EOFError:
        return False
    return answer == "yes" or (answer == "y" and not rejected)
