"""Writes docs/rulebook.md from the rules themselves and the shipped limits."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from departments.office.settings import Settings
from departments.office.settings_loader import load_settings
from departments.rulebook import money
from departments.rulebook.context import Kind, Rule
from departments.rulebook.limits import (
    MAX_DAILY_LOSS,
    MAX_DRAWDOWN,
    ON_DAILY_LOSS,
    ON_DRAWDOWN,
    Place,
)
from departments.rulebook.plan_rules import PLAN_RULES
from departments.rulebook.rules import RULES
from messages.values import Side

CHECKOUT = Path(__file__).resolve().parent.parent
TARGET = CHECKOUT / "docs" / "rulebook.md"
EFFECTS = {
    Kind.FACT: {Side.BUY: "BUY dropped", Side.SELL: "SELL: plan rejected"},
    Kind.CEILING: {Side.BUY: "BUY cut to it"},
    Kind.FLOOR: {Side.BUY: "BUY dropped"},
}
HEAD = """# The rulebook

Made from `departments/rulebook/` and `config/` by `python -m scripts.rulebook_doc`; a test keeps it current.

The same functions serve Compliance before the start, Operations at the gate and Compliance's recheck. BUYs are judged
by priority (best score first, those without a score last, then file order) on the account after the SELLs, orders in
flight included, at the value they reserve. No rule on size, price or money concerns a SELL. What a rule needs and does
not find is a violation that says what is missing.

`executive_config.yaml: on_violation` decides what becomes of a BUY that a rule speaks against: `cut` as below; `drop`
drops what would be cut; `reject` rejects the plan before the start and drops at the gate, when the SELLs are done.

What was broken before the plan (number of positions, gross exposure, sectors, positions the plan adds to) is reported
and refuses nothing; no BUY may worsen it.

Rules on what went before stand on the trading days and FILL activities that Alpaca tells, read with a run's first look
and anew on another day; days are New York's. Rules on plans, orders and the plan's age stand on the CEO's own counts: a
plan counts once it is begun, an order once it is handed to Trading. A rule at `off` (`null` in its file) asks for
nothing; those that are off as shipped need what Alpaca doesn't give for free, as the line above each key says.
"""
LOSSES = """
Judged on every look that a plan, or its BUYs at the gate, are reviewed on (`losses.py: broken_losses`). A larger loss
sets the account's trading state; a limit that is on and can't be reckoned sets REDUCING. `firm resume` alone lifts it;
while the breach stands, the next look sets it again and says so. Deposits and withdrawals are equity, too.
"""
LOSS_LIMITS = (
    ("the last close", "buying on into a bad day", MAX_DAILY_LOSS, ON_DAILY_LOSS),
    ("the highest close of the past year", "buying on while a strategy fails", MAX_DRAWDOWN, ON_DRAWDOWN),
)
"""What the equity is held against, what that protects from, the limit and what a larger loss does."""


def render(settings: Settings) -> str:
    """The page.

    Args:
        settings: The shipped ones: their figures stand in the table.
    """
    legs = ["| code | rule | protects from | effect | limit | file: key | source |", "|---|---|---|---|---|---|---|"]
    legs += [_row(rule, settings) for rule in RULES]
    plans = ["| rule | source |", "|---|---|"]
    plans += [f"| {_first_line(check)} | `{_source(check)}` |" for check in PLAN_RULES]
    return "\n".join(
        [
            HEAD,
            "## Rules on a leg\n",
            *legs,
            "\n## Rules on the plan as a whole: each rejects it\n",
            *plans,
            "\n## Limits on losses",
            LOSSES,
            *_losses(settings),
            "\n## Money\n",
            "```",
            _formulas(),
            "```",
            "",
        ]
    )


def _losses(settings: Settings) -> list[str]:
    rows = ["| equity against | protects from | may be lost | file: key | sets |", "|---|---|---|---|---|"]
    for since, why, place, on_loss in LOSS_LIMITS:
        sets = f"{_shipped(settings, on_loss).upper()} (`{on_loss.key}`)"
        rows.append(f"| {since} | {why} | {_shipped(settings, place)} | `{place.file}: {place.key}` | {sets} |")
    return rows


def _row(rule: Rule, settings: Settings) -> str:
    effect = ", ".join(EFFECTS[rule.kind][side] for side in (Side.BUY, Side.SELL) if side in rule.sides)
    if rule.place is None:
        limit, where = "", ""
    else:
        limit, where = _shipped(settings, rule.place), f"`{rule.place.file}: {rule.place.key}`"
    cells = (f"`{rule.code}`", _first_line(rule.check), rule.protects_from, effect, limit, where)
    return f"| {' | '.join(cells)} | `{_source(rule.check)}` |"


def _shipped(settings: Settings, place: Place) -> str:
    found = place.read(settings)
    if found is None:
        return "off"
    if isinstance(found, tuple):
        return ", ".join(found) or "none"
    return str(found).lower() if isinstance(found, bool) else str(found)


def _first_line(check: Callable[..., Any]) -> str:
    return (inspect.getdoc(check) or "").splitlines()[0]


def _source(check: Callable[..., Any]) -> str:
    return f"{check.__module__.rpartition('.')[2]}.py: {check.__name__}"


def _formulas() -> str:
    lines = (money.__doc__ or "").splitlines()
    indented = [line.removeprefix("    ") for line in lines if line.startswith("    ")]
    return "\n".join(indented)


def main() -> None:
    """Write the page."""
    TARGET.write_text(render(load_settings(CHECKOUT / "config")), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")


if __name__ == "__main__":
    main()
