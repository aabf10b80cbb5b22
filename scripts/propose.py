"""`firm propose`: Operations makes a plan out of candidates and the account as it is. Reads only; sends nothing."""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.account_look import Seen, look, verdict_on
from scripts.failure import Code, Failure
from scripts.surroundings import firm_home, now, private_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from departments.office.settings import Settings, SizingMethod
    from departments.operations.candidates import Candidates
    from departments.operations.proposal import Ask, Proposal
    from messages.plans import Plan, Trade
    from messages.values import AccountName


MIN_POSITION_VALUE_KEY = "position_sizing.min_position_value"
"""What a proposal turns on: it must stand in the file, no default of ours may take its place."""
_NEVER = 2**60


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("candidates", type=Path, nargs="?", metavar="CANDIDATES.yaml|csv")
    parser.add_argument("--exits", action="store_true", help="which positions to sell; candidates only give scores")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PLAN.yaml", help="the plan to write")
    parser.add_argument("--top-up", type=Path, metavar="PLAN.yaml", help="keep this plan's legs and add candidates")
    parser.add_argument("--regime", choices=("bull", "neutral", "bear", "volatile"), help="instead of the file's")
    parser.add_argument("--sizing", choices=("equal", "score", "inverse_volatility", "risk_budget"))
    parser.add_argument("--funding", choices=("proceeds", "cash", "buying_power"), help="written into the plan")
    parser.add_argument("--target", type=_fraction, metavar="F", help="instead of target_deployment_fraction")
    parser.add_argument("--plan-id", metavar="ID", help="default: PLAN_ and the time")
    parser.add_argument("--force", action="store_true", help="overwrite PLAN.yaml")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(given: Namespace) -> int:
    """Propose; 0 when the plan is written, 4 when the account or the plan to top up allows none."""
    if given.exits:
        from scripts.propose_exits import run_exits

        return run_exits(given)
    if given.candidates is None:
        raise Failure(Code.BAD_INPUT, "firm propose: no candidates, expected CANDIDATES.yaml|csv or --exits")
    from departments.office.settings import SizingMethod
    from departments.operations.proposal import propose

    refuse_to_overwrite(given)
    settings, candidates, base = _read(given)
    account = _account(settings, base)
    at = now()
    symbols = [trade.symbol for trade in base.trades] if base else []
    method = SizingMethod(given.sizing) if given.sizing else settings.operations.sizing
    by_atr = method is SizingMethod.INVERSE_VOLATILITY
    without_atr = [one.symbol for one in candidates.items if by_atr and one.atr_usd is None]
    symbols += [one.symbol for one in candidates.items]
    live = look("firm propose", settings, symbols, bars_of=without_atr)
    ask = _ask(given, settings, candidates, base, account, method, live)
    proposal = propose(ask, settings)
    if proposal.violations:
        from scripts.run_tables import violation_words

        told = "; ".join(violation_words(one.model_dump(mode="json")) for one in proposal.violations)
        raise Failure(Code.REJECTED, f"firm propose: no plan: {told}")
    plan = _plan(given, ask, proposal, base, at)
    text = _text(plan, ask, at)
    prove(given.output, text, proposal.trades, live, settings)
    write(given.output, text, force=given.force)
    from scripts.propose_tables import document, print_proposal

    shown = document(given.output, plan.plan_id, ask, proposal, candidates.ignored)
    _log(shown)
    if given.json:
        print(json.dumps(shown, indent=2))
    else:
        print_proposal(shown)
    return Code.DONE


def refuse_to_overwrite(given: Namespace) -> None:
    """Look at the output before anything is read or asked.

    Raises:
        Failure: It is a file that is read, or is there and not to be overwritten.
    """
    path: Path = given.output
    if path.exists() and any(
        other is not None and other.exists() and path.samefile(other)
        for other in (
            given.candidates,
            given.top_up,
        )
    ):
        raise Failure(Code.BAD_INPUT, f"{path}: is what is read, expected another file to write")
    if path.exists() and not given.force:
        raise Failure(Code.BAD_INPUT, f"{path}: is there already, expected a new file or --force")


def _read(given: Namespace) -> tuple["Settings", "Candidates", "Plan | None"]:
    from departments.executive.plan_file import read_plan
    from departments.office.bad_input import BadInput
    from departments.office.settings_loader import load_settings, require_key
    from departments.operations.candidates import read_candidates
    from scripts.surroundings import firm_config

    try:
        settings = load_settings(firm_config())
        require_key(firm_config(), "compliance", MIN_POSITION_VALUE_KEY)
        candidates = read_candidates(given.candidates)
        base = read_plan(given.top_up, accounts=settings.firm.accounts)[0] if given.top_up else None
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    return settings, candidates, base


def _account(settings: "Settings", base: "Plan | None") -> "AccountName":
    from scripts.surroundings import the_account

    return base.account if base is not None else the_account(settings.firm)


def _ask(
    given: Namespace,
    settings: "Settings",
    candidates: "Candidates",
    base: "Plan | None",
    account: "AccountName",
    method: "SizingMethod",
    live: Seen,
) -> "Ask":
    from departments.office.settings import Regime
    from departments.operations.proposal import Ask
    from departments.operations.volatility import with_atr
    from messages.new_york import day_in_new_york
    from messages.values import Funding

    kept_funding = None if base is None else base.funding
    funding = Funding(given.funding) if given.funding else kept_funding or settings.executive.funding
    operations, snapshot, history = settings.operations, live.snapshot, live.history
    items = candidates.items
    if history is not None and history.bars is not None and snapshot.clock is not None:
        items = with_atr(items, history.bars, day_in_new_york(snapshot.clock.at))
    return Ask(
        account=account,
        candidates=items,
        kept=() if base is None else base.trades,
        snapshot=snapshot,
        history=history,
        today=live.today,
        funding=funding,
        method=method,
        regime=Regime(given.regime) if given.regime else candidates.regime,
        target_fraction=operations.target_deployment_fraction if given.target is None else given.target,
    )


def _plan(given: Namespace, ask: "Ask", proposal: "Proposal", base: "Plan | None", at: datetime) -> "Plan":
    from messages.plans import Plan
    from messages.values import AccountName, PlanId

    return Plan(
        plan_id=PlanId(given.plan_id or f"PLAN_{at:%Y%m%d_%H%M%S}"),
        account=AccountName(ask.account),
        plan_sha256="",
        sell_shortfall=None if base is None else base.sell_shortfall,
        funding=ask.funding,
        expires_at=None if base is None else base.expires_at,
        trades=proposal.trades,
    )


def _text(plan: "Plan", ask: "Ask", at: datetime) -> str:
    from departments.operations.plan_text import plan_text

    regime = "" if ask.regime is None else f", {ask.regime.value} market"
    return plan_text(plan, remarks=[f"Proposed {at:%Y-%m-%d %H:%M:%S} UTC: {ask.method.value} sizing{regime}."])


def prove(path: Path, text: str, trades: "tuple[Trade, ...]", live: Seen, settings: "Settings") -> None:
    """The text must read back as the very trades, and Compliance must have nothing to change.

    Args:
        path: Of the plan, for errors.
        text: Of its file.
        trades: As proposed.
        live: The look they were proposed on.
        settings: All of them.

    Raises:
        Failure: One of the two doesn't hold; nothing is written then.
    """
    from departments.executive.plan_file import read_plan
    from departments.office.bad_input import BadInput
    from messages.reviews import Decision

    try:
        plan, _ = read_plan(text.encode(), name=str(path), accounts=settings.firm.accounts)
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, f"firm propose: the plan can't be written: {error}") from None
    verdict = verdict_on(plan, live, settings)
    unchanged = not verdict.rejected and all(leg.decision is Decision.KEEP for leg in verdict.legs)
    if _plain(plan.trades) != _plain(trades) or not unchanged:
        raise Failure(
            Code.REJECTED, "firm propose: a bug: the plan doesn't pass Compliance as written; nothing is kept"
        )


def _plain(trades: "tuple[Trade, ...]") -> list[object]:
    return [trade.model_dump() for trade in trades]


def write(path: Path, text: str, *, force: bool) -> None:
    """Write the plan; without `force` a file that came meanwhile stays as it is."""
    if force:
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(Code.BAD_INPUT, f"{path}: is there already, expected a new file or --force") from None


def _log(shown: "Mapping[str, Any]") -> None:
    """Put every name that was left out into the firm's log. A log that can't be written is said, and no more."""
    import structlog

    from departments.office.clock import SystemClock
    from departments.office.logs import Log

    try:
        with private_files():
            # Only the daemon rotates: it has the file open.
            log = Log(firm_home(), clock=SystemClock(), account=shown["account"], max_bytes=_NEVER)
    except OSError as error:
        sys.stderr.write(f"firm propose: {error.filename}: the log can't be written ({error.strerror})\n")
        return
    pen = structlog.get_logger().bind(department="operations", plan_id=shown["plan_id"])
    for line in (*shown["kept"], *shown["candidates"]):
        if line["decision"] == "skipped":
            codes = [reason["code"] for reason in line["reasons"]]
            pen.info("candidate.skipped", symbol=line["symbol"], why=line["why"], codes=codes)
    bought = sum(line["decision"] in {"bought", "cut"} for line in shown["candidates"])
    pen.info("plan.proposed", plan=shown["plan"], bought=bought, candidates=len(shown["candidates"]))
    log.stop()


def _fraction(text: str) -> Decimal:
    from departments.office.strict_fields import decimal_problem

    if decimal_problem(text, places_max=6) is not None or Decimal(text) > 10:
        raise ArgumentTypeError(f"expected a fraction of equity like 0.90, was {text!r}")
    return Decimal(text)
