"""A run and the firm as tables, from the views that `--json` prints too."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from scripts.rendering import STYLES, between_ms, clock_time, console, full_time, price, table, usd, words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

View = Mapping[str, Any]
TRADING_STYLES = {"HALTED": "bold red", "REDUCING": "bold yellow"}

DENIED_COLUMNS = ("leg", "side", "symbol", "became", "code", "rule, figure, limit and where it stands")
REJECTED_COLUMNS = ("leg", "side", "symbol", "status", "Alpaca's words")


def print_firm(view: View) -> None:
    """The firm as a whole."""
    screen = console()
    screen.print(f"account {words(view['account'])}", style="bold")
    screen.print(f"daemon: {words(view['daemon'] or 'none runs; letters wait for the next start')}")
    screen.print(f"trading: {_trading(view)}", style=TRADING_STYLES.get(view["trading_state"], ""))
    detail = f" ({words(view['stream_detail'])})" if view.get("stream_detail") else ""
    unseen = "not yet seen" if view["daemon"] else "nobody listens"
    screen.print(f"stream: {view['stream'] or unseen}{detail}")
    for one in view["proposals"]:
        problem = "" if one["problem"] is None else f" (it can't be read: {words(one['problem'])})"
        screen.print(f"1 exit proposal waits for approval: {words(one['path'])}{problem}", style="bold yellow")
    rows = [(run["run_id"], run["plan_id"], run["phase"], run["reason"] or run["waiting_for"]) for run in view["runs"]]
    if rows:
        screen.print(table("Runs", ("run", "plan", "phase", "reason, or what it waits for"), rows))
    else:
        screen.print("no plan was ever handed in")
    if view["dead_letters"]:
        letters = [
            (one["message_type"], one["recipient"], one["run_id"], one["reason"]) for one in view["dead_letters"]
        ]
        screen.print(table("Dead letters: nobody could handle these", ("message", "to", "run", "reason"), letters))


def _trading(view: View) -> str:
    """The trading state, why, and who set it."""
    state = str(view["trading_state"])
    if view["trading_because"] is None:
        return state
    return f"{state}: {words(view['trading_because'])} (set by {words(view['trading_set_by'])}); firm resume lifts it"


def print_run(view: View) -> None:
    """One run as it stands."""
    screen = console()
    print_head(screen, view)
    screen.print(legs_table(view))
    _print_violations(screen, view)
    _print_hint(screen, view)


def print_report(view: View) -> None:
    """One run as a story: what was ordered, what was got, when, and what became of the money."""
    screen = console()
    print_head(screen, view)
    screen.print(f"approved by {words(view.get('approved_by'))}; policy: {_policy(view)}")
    screen.print(f"started {full_time(view['started_at'])}, ended {full_time(view['ended_at'])}")
    screen.print(report_table(view))
    for change in view["trading"]:
        by = f" (set by {words(change['by'])})" if change["by"] else ""
        because = f": {words(change['reason'])}{by}" if change["reason"] else ""
        screen.print(f"{clock_time(change['at'])} trading {change['state']}{because}", style="yellow")
    _print_refusals(screen, view)
    _print_times(screen, view["gate"])
    screen.print(money_table(view))
    if view["phase"] == "rejected":
        screen.print("nothing was sent")
    else:
        _print_verification(screen, view["verification"])
    _print_hint(screen, view)


def print_head(screen: "Console", view: View) -> None:
    """Which run, and how it does."""
    screen.print(f"run {view['run_id']}, plan {words(view['plan_id'])}, account {words(view['account'])}", style="bold")
    reason = f": {words(view['reason'])}" if view["reason"] else ""
    screen.print(f"{view['phase']}{reason}", style=STYLES.get(view["phase"], ""))
    if view["waiting_for"]:
        screen.print(f"waits for {words(view['waiting_for'])}")


def legs_table(view: View) -> "Table":
    """Every leg and how far it is."""
    columns = ("leg", "side", "symbol", ">qty", "status", ">filled", ">at", ">bps")
    return table(
        None,
        columns,
        [
            (
                leg["leg"],
                leg["side"].upper(),
                leg["symbol"],
                _quantity(leg),
                leg["status"],
                leg["filled_qty"],
                price(leg["filled_avg_price"]),
                leg["slippage_bps"],
            )
            for leg in view["legs"]
        ],
    )


def report_table(view: View) -> "Table":
    """Every leg with prices, values and times."""
    columns = (
        "leg",
        "side",
        "symbol",
        ">planned",
        ">filled",
        "status",
        ">reference",
        ">got",
        ">bps",
        ">value",
        ">sent",
        ">filled at",
    )
    return table(None, columns, [_report_row(leg) for leg in view["legs"]])


def money_table(view: View) -> "Table":
    """From the cash before to the cash after."""
    from rich.table import Table

    money = view["money"]
    lines = [("cash before", money["cash_before"], False), ("proceeds of the SELLs", money["proceeds"], True)]
    spent = None if money["spent"] is None else -Decimal(money["spent"])
    lines += [("paid for the BUYs", spent, True), ("cash after, at Alpaca", money["cash_after"], False)]
    made = Table.grid(padding=(0, 2))
    made.title, made.title_justify, made.title_style = "Money", "left", "bold"
    made.add_column()
    made.add_column(justify="right", no_wrap=True)
    for name, amount, sign in lines:
        made.add_row(name, usd(amount, sign=sign))
    made.add_row("margin debt before", usd(_debt(money["cash_before"])))
    made.add_row("margin debt after", usd(_debt(money["cash_after"])))
    return made


def _report_row(leg: View) -> tuple[object, ...]:
    got = leg["filled_avg_price"]
    value = None if got is None else Decimal(leg["filled_qty"]) * Decimal(got)
    return (
        leg["leg"],
        leg["side"].upper(),
        leg["symbol"],
        _quantity(leg),
        leg["filled_qty"],
        leg["status"],
        price(leg["reference_price"]),
        price(got),
        leg["slippage_bps"],
        usd(value),
        clock_time(leg["submitted_at"]),
        clock_time(leg["filled_at"]),
    )


def _quantity(leg: View) -> str:
    """What is ordered; a cut leg also shows what was planned."""
    return f"{leg['qty']} of {leg['planned_qty']}" if "planned_qty" in leg else str(leg["qty"])


def _debt(cash: object) -> Decimal | None:
    return None if cash is None else max(Decimal(0), -Decimal(str(cash)))


def _policy(view: View) -> str:
    return f"sell shortfall {view['policy']['sell_shortfall']}, funding {view['policy']['funding']}"


def _print_violations(screen: "Console", view: View) -> None:
    for leg in view["legs"]:
        word = {"dropped": "DENIED", "planned": "DENIED"}.get(leg["status"], "CUT")
        if leg.get("reason"):
            screen.print(f"{leg['symbol']}: {words(leg['reason'])}", style="yellow")
        for violation in leg["violations"]:
            screen.print(f"{word} {leg['side'].upper()} {leg['symbol']}: {violation_words(violation)}", style="magenta")
    told = [violation for leg in view["legs"] for violation in leg["violations"]]
    for violation in view.get("violations", ()):
        if violation in told:
            continue
        screen.print(f"DENIED: {violation_words(violation)}", style="red")
    for violation in view.get("breaches", ()):
        screen.print(f"was broken before the plan: {violation_words(violation)}", style="dim")


def _print_refusals(screen: "Console", view: View) -> None:
    """What the house's own rules denied, and what Alpaca rejected: two tables, since they are two different things."""
    if view["denied"]:
        denied = [_denied_row(one) for one in view["denied"]]
        screen.print(table("Denied by the firm's own rules", DENIED_COLUMNS, denied))
    if view["rejected"]:
        screen.print(table("Rejected by Alpaca", REJECTED_COLUMNS, [_rejected_row(one) for one in view["rejected"]]))
    rejected = {one["leg"] for one in view["rejected"]}
    for leg in view["legs"]:
        if leg.get("reason") and leg["leg"] not in rejected:
            screen.print(f"{leg['symbol']}: {words(leg['reason'])}", style="yellow")
    for violation in view["breaches"]:
        screen.print(f"was broken before the plan: {violation_words(violation)}", style="dim")


def _denied_row(one: View) -> tuple[object, ...]:
    side = one["side"].upper() if one["side"] else None
    return (one["leg"] or "plan", side, one["symbol"], one["became"], one["code"], violation_words(one))


def _rejected_row(one: View) -> tuple[object, ...]:
    return (one["leg"], one["side"].upper(), one["symbol"], one["status"], one["reason"])


def violation_words(violation: View) -> str:
    """A violation on one line: rule, figure, limit, file and key."""
    against = "" if violation["limit"] is None else f" against {violation['limit']}"
    where = "" if violation["file"] is None else f" ({violation['file']}: {violation['key']})"
    return words(f"{violation['rule']}: {violation['figure']}{against}{where}")


def _print_times(screen: "Console", gate: View) -> None:
    if gate["last_sell_filled_at"] is not None and gate["first_buy_sent_at"] is not None:
        between = between_ms(gate["last_sell_filled_at"], gate["first_buy_sent_at"])
        screen.print(
            f"last SELL filled {clock_time(gate['last_sell_filled_at'])}, gate opened {clock_time(gate['opened_at'])}, "
            f"first BUY sent {clock_time(gate['first_buy_sent_at'])}: {between} after the fill"
        )


def _print_verification(screen: "Console", verification: View) -> None:
    if verification["ok"] is None:
        screen.print("not verified yet")
    elif verification["ok"]:
        screen.print("verified: Alpaca shows what was expected", style="green")
    else:
        screen.print("VERIFICATION FAILED", style="bold red")
        screen.print(table(None, ("what", "expected", "seen"), _differences(verification["differences"])))


def _differences(differences: Iterable[View]) -> list[tuple[object, ...]]:
    return [(one["what"], one["expected"], one["seen"]) for one in differences]


def _print_hint(screen: "Console", view: View) -> None:
    if view["phase"] == "held":
        run = view["run_id"]
        hint = "firm resume" if view["reason"] == "halted" else f"firm release {run} lets it go on"
        screen.print(f"{hint}; firm abort {run} ends it", style="yellow")
