"""From the last SELL's fill at the server to the first and to the last BUY received, beside a bare script and a poll.

Three clients trade in turn on one local Alpaca, each on an account of its own: the firm, a bare alpaca-py script, and
one that polls every 2 s. Five SELLs, eleven BUYs, market orders, fills after 300 ms.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.benches.world import ROOT, Daemon, Server, daemon, local_alpaca

ROUNDS = 20
SELLS = [f"SELL{letter}" for letter in "ABCDE"]
BUYS = [f"BUY{letter}" for letter in "ABCDEFGHIJK"]
KINDS = ("firm", "bare", "poll")


def run(rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure; milliseconds, medians, and ratios of the pairs."""
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        folder = Path(name)
        with (
            local_alpaca(folder, _state()) as server,
            daemon(folder, server.url, "firm", {"requests_per_minute": 5000}) as firm,
            _bare("stream", server, "bare") as bare,
            _bare("poll", server, "poll") as poll,
        ):
            figures: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
            requests, commits = [], []
            for number in range(rounds + 1):
                before, committed = len(server.get("/paper/requests")), _commits(firm)
                _firm_round(firm, number)
                if number:
                    requests.append(len(server.get("/paper/requests")) - before)
                    commits.append(_commits(firm) - committed)
                _bare_round(bare)
                _bare_round(poll)
                if number:  # the first round warms up
                    _collect(server, figures)
    return _summary(figures, requests, commits)


def _state() -> dict[str, Any]:
    account = {
        "secret_key": "secret",
        "cash": "1000000",
        "positions": [{"symbol": symbol, "qty": "100000", "avg_entry_price": "50", "price": "50"} for symbol in SELLS],
    }
    return {
        "accounts": [{"key_id": kind, **account} for kind in KINDS],
        "prices": dict.fromkeys(BUYS, "20"),
        "fills": {"delay_ms": [300, 300]},
        "rate_limit": {"requests_per_minute": 100000},
    }


def _orders() -> list[dict[str, str]]:
    sells = [{"symbol": symbol, "side": "sell", "qty": "200"} for symbol in SELLS]
    return sells + [{"symbol": symbol, "side": "buy", "qty": "200"} for symbol in BUYS]


def _firm_round(firm: Daemon, number: int) -> None:
    price = {"sell": "50", "buy": "20"}
    trades = [
        f'  - {{symbol: {order["symbol"]}, side: {order["side"]}, qty: "{order["qty"]}", '
        f'reference_price: "{price[order["side"]]}"}}'
        for order in _orders()
    ]
    plan = "\n".join([f"plan_id: BENCH_{number}", "account: paper", "trades:", *trades, ""])
    report = firm.wait_end(firm.submit(plan))
    if report["outcome"] != "completed":
        raise RuntimeError(f"expected a completed run, was {json.dumps(report, indent=1)}")


def _commits(firm: Daemon) -> int:
    """Commits so far: SQLite's file change counter (rollback journal). Source: SQLite file format, offset 24."""
    with (firm.home / "firm.db").open("rb") as file:
        file.seek(24)
        return int.from_bytes(file.read(4), "big")


@contextmanager
def _bare(kind: str, server: Server, key: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "scripts.benches.bare", kind, server.url, key],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _expect(process, "ready")
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(30)


def _bare_round(process: "subprocess.Popen[str]") -> None:
    if process.stdin is None:
        raise RuntimeError("expected a pipe to the bare script")
    process.stdin.write(json.dumps(_orders()) + "\n")
    process.stdin.flush()
    _expect(process, "done")


def _expect(process: "subprocess.Popen[str]", word: str) -> None:
    said = process.stdout.readline().strip() if process.stdout else ""
    if said != word:
        raise RuntimeError(f"expected {word!r} of the bare script, was {said!r}")


def _collect(server: Server, figures: dict[str, list[tuple[float, float]]]) -> None:
    """Read this round's orders (the newest sixteen of each account)."""
    orders = server.get("/paper/orders")
    for kind in KINDS:
        newest = [order for order in orders if order["account"] == kind][-len(_orders()) :]
        fills = [
            datetime.fromisoformat(event["at"])
            for order in newest
            if order["side"] == "sell"
            for event in order["events"]
            if event["event"] == "fill"
        ]
        received = [datetime.fromisoformat(order["received_at"]) for order in newest if order["side"] == "buy"]
        if len(fills) != len(SELLS) or len(received) != len(BUYS) or min(received) < max(fills):
            raise RuntimeError(f"{kind}: expected {len(SELLS)} fills before {len(BUYS)} BUYs, was otherwise")
        last_fill = max(fills)
        figures[kind].append(tuple((at - last_fill).total_seconds() * 1000 for at in (min(received), max(received))))  # type: ignore[arg-type]  # two of them


def _summary(figures: dict[str, list[tuple[float, float]]], requests: list[int], commits: list[int]) -> dict[str, Any]:
    legs = len(_orders())
    first = {kind: [row[0] for row in rows] for kind, rows in figures.items()}
    last = {kind: [row[1] for row in rows] for kind, rows in figures.items()}
    ratio = {
        "first_buy_to_bare": _paired(first["firm"], first["bare"]),
        "last_buy_to_bare": _paired(last["firm"], last["bare"]),
        "poll_to_first_buy": _paired(first["poll"], first["firm"]),
    }
    return {
        "rounds": len(requests),
        "first_buy_ms": {kind: _median(rows) for kind, rows in first.items()},
        "last_buy_ms": {kind: _median(rows) for kind, rows in last.items()},
        "ratios": ratio,
        "requests_a_run": _median(requests),
        "requests_over_legs": _median(requests) - legs,
        "commits_a_run": _median(commits),
        "targets": {
            "first_buy_to_bare": "at most 2.2",
            "last_buy_to_bare": "at most 1.1",
            "poll_to_first_buy": "at least 80",
            "requests_over_legs": "at most 12",
        },
    }


def _paired(over: list[float], under: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(over, under, strict=True)), 2)


def _median(values: list[float] | list[int]) -> float:
    return round(statistics.median(values), 2)
