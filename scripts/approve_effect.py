"""What `firm approve` shows beside the plan: what the rules make of it on the account as it is, and what it changes.

An approval must be possible without a broker, so whatever keeps the account from being seen is said, and never waited
for longer than `LOOK_WITHIN_S`.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any

from scripts.account_look import look, verdict_on
from scripts.failure import Failure
from scripts.rendering import console, table, usd, words

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from messages.plans import Plan
    from messages.reviews import PlanReviewed
    from messages.snapshots import Snapshot
    from scripts.account_look import Seen

LOOK_WITHIN_S = 5.0


class NotSeen(Exception):
    """The account could not be seen; the text says why."""


def show_effect(plan: "Plan", settings: "Settings") -> bool:
    """Print the rules' word on a plan and its effect, or why they can't be shown. True if the rules reject it."""
    screen = console()
    try:
        live = seen(plan, settings)
    except NotSeen as why:
        screen.print(f"effect not shown: {words(why)}", style="bold yellow")
        return False
    verdict = verdict_on(plan, live, settings)
    _print_effect(plan, live.snapshot, verdict, settings)
    return verdict.rejected


def seen(plan: "Plan", settings: "Settings") -> "Seen":
    """The account as it is now.

    Raises:
        NotSeen: It can't be had in time, or is another account than the plan's.
    """

    def ask() -> "Seen":
        return look("firm approve", settings, [trade.symbol for trade in plan.trades])

    try:
        live = _within(LOOK_WITHIN_S, ask)
    except Failure as failure:
        raise NotSeen(str(failure).removeprefix("firm approve: ")) from None
    except TimeoutError:
        raise NotSeen(f"Alpaca did not answer within {LOOK_WITHIN_S:g} s") from None
    number = settings.firm.accounts[plan.account].account_number
    theirs = None if live.snapshot.account is None else live.snapshot.account.account_number
    if number is not None and theirs != number:
        raise NotSeen(f"the keys in the environment are of account {theirs}, firm.yaml says {number}")
    return live


def _within(within_s: float, ask: "Callable[[], Seen]") -> "Seen":
    """Ask in a thread that nobody waits for at the end: no name server, no trickling answer may keep a person."""
    answer: Future[Seen] = Future()

    def asked() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - handed on to who waits
            answer.set_exception(error)

    Thread(target=asked, name="look", daemon=True).start()
    return answer.result(within_s)


def _print_effect(plan: "Plan", live: "Snapshot", verdict: "PlanReviewed", settings: "Settings") -> None:
    from departments.executive.dry_run import legs_of
    from departments.executive.effect import effect_of
    from departments.rulebook.limits import limits_of
    from scripts.check_tables import print_violations, rules_said
    from scripts.run_tables import violation_words

    screen = console()
    limits = limits_of(settings)
    number = "" if live.account is None else f" ({words(live.account.account_number)})"
    market = "" if live.clock is None or live.clock.is_open else "; the market is closed, the run would wait for it"
    screen.print(f"\nOn account {words(plan.account)}{number} as it is now{market}:", style="bold")
    shown: dict[str, Any] = {
        "legs": legs_of(plan, live, limits, {decision.leg: decision for decision in verdict.legs}),
        "violations": [violation.model_dump(mode="json") for violation in verdict.violations],
        "breaches": [violation.model_dump(mode="json") for violation in verdict.breaches],
    }
    if verdict.rejected:
        screen.print("THE RULES REJECT THE PLAN: nothing would be sent", style="bold red")
    else:
        said, style = rules_said(shown)
        screen.print(f"the rules let it pass{said}", style=style)
    print_violations(screen, shown)
    if verdict.losses is not None:
        for loss in verdict.losses.violations:
            said = violation_words(loss.model_dump(mode="json"))
            screen.print(f"trading would become {verdict.losses.state}: {said}", style="bold red")
    effect = effect_of(plan, live, verdict, limits)
    if effect is None or verdict.rejected:
        return
    columns = ("", ">cash", ">margin debt", ">positions' value", ">of equity", ">positions")
    moments = (("now", effect["before"]), ("after the plan", effect["after"]))
    screen.print(table("Money, at these prices", columns, [_moment(name, money) for name, money in moments]))
    changed = [
        (one["symbol"], one["qty_before"], one["qty"], usd(one["value"]), one["of_equity"])
        for one in effect["positions"]
    ]
    if changed:
        heads = ("symbol", ">shares now", ">shares after", ">value", ">of equity")
        screen.print(table("Positions that change", heads, changed))


def _moment(name: str, money: dict[str, Any]) -> tuple[object, ...]:
    return (
        name,
        usd(money["cash"]),
        usd(money["margin_debt"]),
        usd(money["gross_value"]),
        money["gross_exposure_fraction"],
        money["positions"],
    )
