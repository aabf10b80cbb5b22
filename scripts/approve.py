"""`firm approve`: shows a plan and writes a person's yes to exactly these bytes."""

import secrets
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from scripts.failure import Code, Failure
from scripts.surroundings import firm_settings, now, person


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("plan", type=Path, metavar="PLAN.yaml")
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(given: Namespace) -> int:
    """Approve; 0 when the approval is written, 2 when the plan can't be approved or the answer is no."""
    from departments.executive.approval_file import approval_path, new_approval, write_approval
    from departments.executive.plan_file import read_plan
    from departments.office.bad_input import BadInput
    from scripts.plan_table import print_plan

    firm = firm_settings()
    path: Path = given.plan
    at = now()
    try:
        plan, _ = read_plan(path, accounts=firm.accounts)
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    if plan.expires_at is not None and plan.expires_at <= at:
        expiry = f"{plan.expires_at:%Y-%m-%d %H:%M:%S}"
        raise Failure(Code.BAD_INPUT, f"{path}: the plan expired at {expiry} UTC, expected a later expires_at")
    mode = firm.accounts[plan.account].mode
    print_plan(plan, mode)
    _tell_of_earlier(approval_path(path), plan.plan_sha256)
    if not given.yes and not _says_yes(f"Approve {len(plan.trades)} orders on account {plan.account} ({mode})? [y/N] "):
        raise Failure(Code.BAD_INPUT, f"{path}: not approved")
    approval = new_approval(plan, mode=mode, approved_by=person(), now=at, nonce=secrets.token_hex(16))
    write_approval(approval_path(path), approval)
    print(
        f"approved by {approval.approved_by} until {approval.expires_at:%Y-%m-%d %H:%M:%S} UTC: {approval_path(path)}"
    )
    return Code.DONE


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


def _says_yes(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Failure(Code.BAD_INPUT, "firm approve: nobody to ask, expected a terminal or --yes")
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False
