"""`firm check`: all rules on the account as it is, then the whole plan on a twin of it. Sends nothing."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.account_look import look, trading_now, verdict_on
from scripts.failure import Code, Failure
from scripts.surroundings import now

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from messages.plans import Plan
    from messages.reviews import Today
    from scripts.account_look import Seen


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("plan", type=Path, metavar="PLAN.yaml")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(given: Namespace) -> int:
    """Check; 0 if the plan passes, 4 if it doesn't."""
    began = time.monotonic()
    settings, plan, text = _read(given.plan)
    took: dict[str, float] = {}
    seen = look("firm check", settings, [trade.symbol for trade in plan.trades])
    took["look"] = time.monotonic() - began
    shown = _rehearsed(settings, plan, text, seen, took)
    took["all"] = time.monotonic() - began
    shown["took_s"] = {name: round(seconds, 2) for name, seconds in took.items()}
    if given.json:
        print(json.dumps(shown, indent=2))
    else:
        from scripts.check_tables import print_check

        print_check(shown)
    return Code.DONE if shown["passes"] else Code.REJECTED


def _read(path: Path) -> tuple["Settings", "Plan", str]:
    from departments.executive.plan_file import read_plan
    from departments.office.bad_input import BadInput
    from departments.office.settings_loader import load_settings
    from scripts.surroundings import firm_config

    try:
        settings = load_settings(firm_config())
        plan, text = read_plan(path, accounts=settings.firm.accounts)
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    return settings, plan, text


def _rehearsed(settings: "Settings", plan: "Plan", text: str, seen: "Seen", took: dict[str, float]) -> dict[str, Any]:
    """Judge, and rehearse what the rules let pass: once as planned, once for each SELL that could fail."""
    from departments.executive.dry_run import Rehearsal, document
    from departments.executive.twin import NoTwin, twin_of
    from departments.rulebook.limits import limits_of
    from messages.values import LegId, Side

    began = time.monotonic()
    live, verdict = seen.snapshot, verdict_on(plan, seen, settings)
    took["rules"] = time.monotonic() - began
    expired = plan.expires_at is not None and plan.expires_at <= now()
    twin, base = None, None
    failures: dict[LegId, Rehearsal] = {}
    if not verdict.rejected and not expired:
        from scripts.rehearsal import stage

        began = time.monotonic()
        try:
            wait_s = settings.executive.min_time_to_close_s
            twin = twin_of(live, plan, min_time_to_close_s=wait_s, history=seen.history)
        except NoTwin as error:
            raise Failure(Code.REJECTED, f"firm check: the account can't be rebuilt: {error}") from None
        with stage(twin, _with_what_is_left_of(settings, seen.today)) as on:
            base = on.rehearse(plan, text)
            took["rehearsal"] = time.monotonic() - began
            began = time.monotonic()
            for trade in plan.trades:
                if trade.side is Side.SELL:
                    _tell(f"rehearsing that {trade.symbol} is not sold ...")
                    failures[trade.leg] = on.rehearse(plan, text, without=trade.leg)
            took["failures"] = time.monotonic() - began
    return document(
        plan=plan,
        run_id=verdict.run_id,
        live=live,
        verdict=verdict,
        limits=limits_of(settings),
        expired=expired,
        twin=twin,
        base=base,
        failures=failures,
        trading=trading_now(),
    )


def _with_what_is_left_of(settings: "Settings", today: "Today | None") -> "Settings":
    """The settings for a firm that counts from nothing: of the day's limits, what today has left."""
    if today is None:
        return settings
    daily = settings.compliance.daily
    left = {
        "max_plans": None if daily.max_plans is None else max(daily.max_plans - today.plans, 0),
        "max_orders": None if daily.max_orders is None else max(daily.max_orders - today.orders, 0),
    }
    compliance = settings.compliance.model_copy(update={"daily": daily.model_copy(update=left)})
    return settings.model_copy(update={"compliance": compliance})


def _tell(what: str) -> None:
    """Say what is being done, where somebody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()
