"""A proposal as a person reads it, from the document that `--json` prints too."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.rendering import console, price, table, usd, words
from scripts.run_tables import violation_words

if TYPE_CHECKING:
    from departments.operations.exits import ExitAsk, ExitLine, ExitProposal
    from departments.operations.proposal import Ask, Proposal, Told

View = Mapping[str, Any]


def document(path: Path, plan_id: str, ask: "Ask", proposal: "Proposal", ignored: tuple[str, ...]) -> dict[str, Any]:
    """Everything about a proposal as plain JSON: money and quantities are text."""
    return {
        "plan": str(path),
        "plan_id": plan_id,
        "account": ask.account,
        "sizing": ask.method.value,
        "regime": None if ask.regime is None else ask.regime.value,
        "funding": ask.funding.value,
        "equity": _text(proposal.equity_usd),
        "target": _text(proposal.target_usd),
        "deployed_before": _text(proposal.deployed_usd),
        "budget": _text(proposal.budget_usd),
        "spent": _text(proposal.spent_usd),
        "kept": [_told(line, "kept") for line in proposal.kept],
        "candidates": [_told(line, "bought") for line in proposal.candidates],
        "ignored_columns": list(ignored),
    }


def _told(line: "Told", word: str) -> dict[str, Any]:
    from departments.operations.reasons import in_words

    trade = line.trade
    decision = "skipped" if trade is None else "cut" if line.reasons else word
    return {
        "symbol": line.symbol,
        "decision": decision,
        "leg": None if trade is None else trade.leg,
        "side": "buy" if trade is None else trade.side.value,
        "qty": "0" if trade is None else _text(trade.qty),
        "reference_price": None if trade is None else _text(trade.reference_price_usd),
        "value": None if trade is None else _text(trade.qty * trade.reference_price_usd),
        "target": None if line.target_usd is None else _text(line.target_usd.quantize(Decimal("0.01"))),
        "score": None if trade is None or trade.score is None else _text(trade.score),
        "why": in_words(line.reasons),
        # A name that is left out has no leg; the rules judged it under a stand-in.
        "reasons": [
            reason.model_dump(mode="json") | {"leg": None if trade is None else trade.leg} for reason in line.reasons
        ],
    }


def print_proposal(shown: View) -> None:
    """The plan's legs, then every name that was left out and why."""
    screen = console()
    regime = "no regime given" if shown["regime"] is None else f"{words(shown['regime'])} market"
    screen.print(
        f"account {words(shown['account'])}, {shown['sizing']} sizing, {regime}, funding {shown['funding']}",
        style="bold",
    )
    lines = (*shown["kept"], *shown["candidates"])
    in_plan = [line for line in lines if line["leg"] is not None]
    columns = ("leg", "side", "symbol", "", ">qty", ">price", ">value", ">aimed at", ">score")
    if in_plan:
        screen.print(table(None, columns, [_row(line) for line in in_plan]))
    for line in lines:
        if line["decision"] == "skipped":
            screen.print(f"Skipped {line['symbol']}: {words(line['why'])}", style="magenta")
        elif line["why"]:
            screen.print(f"Cut {line['symbol']}: {words(line['why'])}", style="magenta")
    if shown["ignored_columns"]:
        screen.print(f"columns that mean nothing here: {words(', '.join(shown['ignored_columns']))}", style="dim")
    screen.print(
        f"equity {usd(shown['equity'])}, target {usd(shown['target'])}, "
        f"deployed before {usd(shown['deployed_before'])}; to spend {usd(shown['budget'])}, "
        f"new BUYs {usd(shown['spent'])}"
    )
    bought = sum(line["decision"] in {"bought", "cut"} for line in shown["candidates"])
    nothing = "" if bought else ": nothing to buy"
    screen.print(
        f"{words(shown['plan'])}: {len(in_plan)} orders, "
        f"{bought} of {len(shown['candidates'])} candidates bought{nothing}",
        style="bold green" if bought else "bold yellow",
    )


def exits_document(path: Path, ask: "ExitAsk", proposal: "ExitProposal") -> dict[str, Any]:
    """Everything about a proposal of exits as plain JSON: money and quantities are text."""
    account = ask.snapshot.account
    return {
        "plan": str(path),
        "account": ask.account,
        "equity": None if account is None else _text(account.equity_usd),
        "positions": [_position(line) for line in proposal.lines],
    }


def _position(line: "ExitLine") -> dict[str, Any]:
    trade = line.trade
    return {
        "symbol": line.symbol,
        "decision": "kept" if trade is None else {"sell": "sold", "trim": "trimmed"}[line.found.value],
        "leg": None if trade is None else trade.leg,
        "side": "sell",
        "held": _text(line.qty),
        "qty": "0" if trade is None else _text(trade.qty),
        "reference_price": _text(line.price_usd),
        "value": None if trade is None else _text(trade.qty * trade.reference_price_usd),
        "reasons": [reason.model_dump(mode="json") for reason in line.reasons],
        "hindered": [reason.model_dump(mode="json") for reason in line.hindered],
        "rules": [
            {"rule": one.rule, "found": one.found.value, "reason": one.reason.model_dump(mode="json")}
            for one in line.judged
        ],
    }


def print_exits(shown: View) -> None:
    """The plan's SELLs, then every position and why it is sold or kept."""
    screen = console()
    screen.print(f"account {words(shown['account'])}, equity {usd(shown['equity'])}", style="bold")
    sold = [line for line in shown["positions"] if line["leg"] is not None]
    columns = ("leg", "side", "symbol", "", ">qty", ">of", ">price", ">value")
    rows = [
        (
            line["leg"],
            line["side"].upper(),
            line["symbol"],
            line["decision"],
            line["qty"],
            line["held"],
            price(line["reference_price"]),
            usd(line["value"]),
        )
        for line in sold
    ]
    if rows:
        screen.print(table(None, columns, rows))
    for line in shown["positions"]:
        reasons = [rule["reason"] for rule in line["rules"]]
        if line["leg"] is not None:
            verb, told, style = line["decision"].capitalize(), line["reasons"], "magenta"
        elif line["reasons"] and line["hindered"]:
            verb, told, style = "Should be sold, kept", [*line["hindered"], *line["reasons"]], "bold yellow"
        else:
            verb, told, style = "Kept", line["hindered"] or reasons, ""
        screen.print(
            f"{verb} {line['symbol']}: {'; '.join(map(violation_words, told)) or 'no rule is on'}", style=style
        )
    nothing = "" if sold else ": nothing to sell"
    screen.print(
        f"{words(shown['plan'])}: {len(sold)} orders, {len(shown['positions'])} positions{nothing}",
        style="bold green" if sold else "bold yellow",
    )


def _row(line: View) -> tuple[object, ...]:
    return (
        line["leg"],
        line["side"].upper(),
        line["symbol"],
        line["decision"],
        line["qty"],
        price(line["reference_price"]),
        usd(line["value"]),
        usd(line["target"]),
        line["score"],
    )


def _text(figure: Decimal | None) -> str | None:
    from departments.rulebook.context import plain

    return None if figure is None else plain(figure)
