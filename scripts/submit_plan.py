"""`firm submit`: puts an approved plan into the CEO's inbox. The run executes the bytes read here, not the file."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.surroundings import all_settings, firm_home, known_runs, now, open_counter

if TYPE_CHECKING:
    from messages.mailroom.port import Counter
    from messages.plans import SubmitPlan
    from messages.values import RunId


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("plan", type=Path, metavar="PLAN.yaml")
    parser.add_argument(
        "--wait", action="store_true", help="follow the run to its end; the exit code tells the outcome"
    )
    parser.add_argument("--timeout", type=_seconds, metavar="S", help="with --wait: give up watching after S seconds")


def run(given: Namespace) -> int:
    """Hand the plan in and print its run id alone; 0 once it is durable."""
    from departments.executive.approval_file import approval_path, approved
    from departments.executive.plan_file import read_plan
    from departments.office.bad_input import BadInput
    from departments.office.strict_yaml import read_bytes
    from messages.plans import Mode, SubmitPlan
    from messages.values import run_id_for
    from scripts.approval_key import with_signers
    from scripts.file_modes import check_inputs, check_store
    from scripts.interlock import claim

    if given.timeout is not None and not given.wait:
        raise Failure(Code.BAD_INPUT, "firm submit: --timeout without --wait, expected both")
    path: Path = given.plan
    settings = all_settings()
    try:
        data = read_bytes(path, expected="a plan file")
        plan, text = read_plan(data, name=str(path), accounts=settings.firm.accounts)
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    check_inputs([path], is_live=settings.firm.mode is Mode.LIVE)
    check_store()
    claim(firm_home(), settings.firm.mode)
    settings = with_signers(settings)
    run_id = run_id_for(plan.account, plan.plan_sha256)
    with open_counter(plan.account) as counter:
        try:
            approval = approved(path, plan, data, settings=settings, now=now())
        except BadInput as error:
            if run_id not in known_runs(counter):
                raise Failure(Code.BAD_INPUT, str(error)) from None
        else:
            _refuse_replay(counter, approval_path(path), approval.nonce, run_id)
            _hand_in(counter, SubmitPlan(run_id=run_id, plan=plan, approval=approval, plan_text=text))
        print(run_id, flush=True)
        if not given.wait:
            return Code.DONE
        from scripts.waiting import follow

        return follow(counter, run_id, timeout_s=given.timeout)


def _refuse_replay(counter: "Counter", path: Path, nonce: str, run_id: "RunId") -> None:
    """Refuse an approval whose nonce came with another plan before. The CEO looks again.

    Raises:
        Failure: Names the run that it came with.
    """
    from messages.control import PlanQueued
    from messages.plans import SubmitPlan
    from messages.values import Recipient

    letters = (letter.message for letter in counter.letters())
    seen = {letter.approval.nonce: letter.run_id for letter in letters if isinstance(letter, SubmitPlan)}
    for mail in counter.history(Recipient.EXECUTIVE, run_id=None):
        queued = mail.envelope.message
        if isinstance(queued, PlanQueued) and queued.nonce is not None:
            seen[queued.nonce] = queued.queued_run_id
    before = seen.get(nonce, run_id)
    if before != run_id:
        line = f"the approval is a replay, run {before} was approved with the same nonce: approve the plan again"
        raise Failure(Code.BAD_INPUT, f"{path}: {line}")


def _hand_in(counter: "Counter", letter: "SubmitPlan") -> None:
    from messages.values import Recipient

    is_new = counter.post(message_id=f"submit:{letter.run_id}", recipient=Recipient.EXECUTIVE, message=letter, at=now())
    if not is_new:
        sys.stderr.write("this very plan was handed in before; nothing new is started\n")


def _seconds(text: str) -> float:
    if not text.isascii() or not text.replace(".", "", 1).isdigit():
        raise ArgumentTypeError(f"expected seconds like 60, was {text!r}")
    return float(text)
