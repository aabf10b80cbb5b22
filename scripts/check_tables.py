"""A dry run as a person reads it, from the document that `--json` prints too."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from scripts.rendering import console, price, table, usd, words
from scripts.run_tables import violation_words

if TYPE_CHECKING:
    from rich.console import Console

View = Mapping[str, Any]


def print_check(shown: View) -> None:
    """Everything that was found, the verdict first."""
    screen = console()
    number = f" ({words(shown['account_number'])})" if shown["account_number"] else ""
    screen.print(f"plan {words(shown['plan_id'])}, account {words(shown['account'])}{number}", style="bold")
    _print_verdict(screen, shown)
    screen.print(_legs(shown))
    print_violations(screen, shown)
    if shown["twin"] is not None:
        _print_rehearsal(screen, shown)
    spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in shown["took_s"].items() if name != "all")
    screen.print(f"checked in {shown['took_s']['all']:.1f} s ({spent}); nothing was sent to the account")


def _print_verdict(screen: "Console", shown: View) -> None:
    if shown["passes"]:
        said, style = rules_said(shown)
        screen.print(f"PASSES{said}", style=style)
    else:
        screen.print(f"DOES NOT PASS: {'; '.join(words(reason) for reason in shown['reasons'])}", style="bold red")


def rules_said(shown: View) -> tuple[str, str]:
    """What the rules left out of a plan that they let pass, and its style."""
    cut = sum(leg["decision"] == "cut" for leg in shown["legs"])
    dropped = sum(leg["decision"] == "drop" for leg in shown["legs"])
    if not cut and not dropped:
        return ", nothing cut", "bold green"
    return f", with {cut} BUYs cut and {dropped} dropped by the rules", "bold yellow"


def _legs(shown: View) -> Any:
    columns = (
        "leg",
        "side",
        "symbol",
        ">planned",
        ">would send",
        "rules",
        ">bid",
        ">ask",
        ">may cost",
        ">should bring",
    )
    return table(
        None,
        columns,
        [
            (
                leg["leg"],
                leg["side"].upper(),
                leg["symbol"],
                leg["planned_qty"],
                leg["qty"],
                leg["decision"],
                price(leg["bid"]),
                price(leg["ask"]),
                usd(leg["may_cost"]) if "may_cost" in leg else "",
                usd(leg["should_bring"]) if "should_bring" in leg else "",
            )
            for leg in shown["legs"]
        ],
    )


def print_violations(screen: "Console", shown: View) -> None:
    """Every refusal with rule, figure, limit, file and key; what was broken before the plan, apart."""
    for leg in shown["legs"]:
        word = "CUT" if leg["decision"] == "cut" else "REJECTED"
        for violation in leg["violations"]:
            screen.print(f"{word} {leg['side'].upper()} {leg['symbol']}: {violation_words(violation)}", style="magenta")
    for violation in shown["violations"]:
        screen.print(f"REJECTED: {violation_words(violation)}", style="red")
    for violation in shown["breaches"]:
        screen.print(f"was broken before the plan: {violation_words(violation)}", style="dim")


def _print_rehearsal(screen: "Console", shown: View) -> None:
    twin = shown["twin"]
    policy = f"sell shortfall {twin['policy']['sell_shortfall']}, funding {twin['policy']['funding']}"
    verified = "verified" if twin["verified"] else "not verified"
    screen.print(f"\nOn a twin of the account ({policy}): {twin['outcome']}, {verified}", style="bold")
    for note in (*twin["notes"], *(f"the twin differs: {one}" for one in twin["differences"])):
        screen.print(words(note), style="yellow")
    screen.print(table("In this order", ("", "step", ">qty", "status", ">at"), _steps(shown)))
    columns = ("", ">cash", ">margin debt", ">equity", ">positions' value", ">of equity", ">buying power", ">positions")
    screen.print(table("Money", columns, [_phase(phase) for phase in shown["phases"]]))
    power = shown["buying_power"]
    screen.print(
        f"buying power: {usd(power['before'])} now, {usd(power['at_gate'])} at the gate;"
        f" the BUYs reserve {usd(power['reserved_by_buys'])}{_percent(power['used_fraction'])}"
    )
    screen.print(table("Positions after", ("symbol", ">shares before", ">shares", ">value"), _positions(shown)))
    if shown["if_a_sell_fails"]:
        ends = ("SELL", "the run is", ">spent", "bought", "after firm release", ">spent", "bought")
        screen.print(table("If one SELL ended unfilled", ends, [_failure(one) for one in shown["if_a_sell_fails"]]))


def _steps(shown: View) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for number, step in enumerate(shown["sequence"], start=1):
        if step["step"] == "gate":
            rows.append(
                (number, f"gate: cash {usd(step['cash_at_gate'])}, proceeds {usd(step['proceeds'])}", "", "", "")
            )
        else:
            what = f"{step['step'].upper()} {step['symbol']}"
            rows.append((number, what, step["qty"], step["status"], price(step["filled_avg_price"])))
    return rows


def _phase(phase: View) -> tuple[object, ...]:
    return (
        phase["when"],
        usd(phase["cash"]),
        usd(phase["margin_debt"]),
        usd(phase["equity"]),
        usd(phase["gross_value"]),
        phase["gross_exposure_fraction"],
        usd(phase["buying_power"]),
        phase["positions"],
    )


def _positions(shown: View) -> list[tuple[object, ...]]:
    return [(one["symbol"], one["qty_before"], one["qty"], usd(one["value"])) for one in shown["positions_after"]]


def _failure(one: View) -> tuple[object, ...]:
    reason = f" ({one['reason']})" if one["reason"] else ""
    after = one["after_release"]
    return (
        one["symbol"],
        f"{one['then']}{reason}",
        usd(one["spent"]),
        ", ".join(one["bought"]) or "nothing",
        "" if after is None else after["then"],
        "" if after is None else usd(after["spent"]),
        "" if after is None else ", ".join(f"{symbol} {qty}" for symbol, qty in after["bought"].items()) or "nothing",
    )


def _percent(fraction: object) -> str:
    return "" if fraction is None else f" ({Decimal(str(fraction)):.1%} of it)"
