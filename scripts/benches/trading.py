"""What benchmarks trade: plans of so many legs, the account for them, runs handed in without a process a command."""

import contextlib
import io
import json
import os
import re
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.benches.world import Daemon, Server, unseeing, wait_for
from scripts.firm import main as firm_main

SELL_PRICE = "50"
BUY_PRICE = "20"
QTY = 50
HELD = 100_000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ENDS = ("run.completed", "run.aborted", "run.rejected", "run.expired")
_ID = re.compile(r"/[0-9a-f]{8}-[0-9a-f-]{27}$")
_inside = threading.Lock()


def symbols(prefix: str, count: int) -> list[str]:
    """Tickers: the prefix and two letters; at most 676."""
    return [f"{prefix}{_LETTERS[n // 26]}{_LETTERS[n % 26]}" for n in range(count)]


def plan(plan_id: str, *, sells: int, buys: int, **more: str) -> str:
    """A plan of market orders; `more` are keys beside `plan_id`. BUYs have falling scores, in file order."""
    legs = [
        f'  - {{symbol: {symbol}, side: sell, qty: "{QTY}", reference_price: "{SELL_PRICE}"}}'
        for symbol in symbols("SELL", sells)
    ]
    legs += [
        f'  - {{symbol: {symbol}, side: buy, qty: "{QTY}", reference_price: "{BUY_PRICE}", score: "{buys - n}"}}'
        for n, symbol in enumerate(symbols("BUY", buys))
    ]
    keys = [f"{key}: {value}" for key, value in more.items()]
    return "\n".join([f"plan_id: {plan_id}", "account: paper", *keys, "trades:", *legs, ""])


def account_state(
    *,
    sells: int,
    buys: int,
    delay_ms: tuple[int, int] = (30, 30),
    fills: Mapping[str, Any] | None = None,
    rate_limit: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The local Alpaca's state file for such plans, good for hundreds of them."""
    held = [
        {"symbol": symbol, "qty": str(HELD), "avg_entry_price": SELL_PRICE, "price": SELL_PRICE}
        for symbol in symbols("SELL", sells)
    ]
    return {
        "cash": "1000000",
        "positions": held,
        "prices": dict.fromkeys(symbols("BUY", buys), BUY_PRICE),
        "fills": {"delay_ms": list(delay_ms), **(fills or {})},
        "rate_limit": {"requests_per_minute": 100_000, **(rate_limit or {})},
    }


def change_config(folder: Path, **files: Mapping[str, str | int]) -> None:
    """Set keys in YAML files of a configuration folder.

    Raises:
        ValueError: A key doesn't stand there exactly once.
    """
    for name, changes in files.items():
        path = folder / f"{name}.yaml"
        text = path.read_text(encoding="utf-8")
        for key, value in changes.items():
            text, hits = re.subn(rf"(?m)^( *{re.escape(key)}:) [^#\n]*", rf"\g<1> {value} ", text)
            if hits != 1:
                raise ValueError(f"expected {key} once in {path}, was there {hits} times")
        path.write_text(text, encoding="utf-8")


def inside(env: Mapping[str, str], *words: str) -> str:
    """Run a command in this process, the code that `firm` runs without the half second of its start; its stdout.

    Raises:
        RuntimeError: It said that something is wrong.
    """
    said, complained = io.StringIO(), io.StringIO()
    with _inside, _environment(env), contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        code = firm_main(list(words))
    if code not in {0, 3, 4, 5}:
        raise RuntimeError(f"firm {' '.join(words)}: exit {code}: {complained.getvalue()}")
    return said.getvalue().strip()


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def hand_in(env: Mapping[str, str], text: str, folder: Path) -> str:
    """Approve a plan and submit it; its run id."""
    path = folder / "bench_plan.yaml"
    path.write_text(text, encoding="utf-8")
    Path(f"{path}.approval").unlink(missing_ok=True)
    inside(unseeing(env), "approve", str(path), "--yes")
    return inside(env, "submit", str(path))


def view(env: Mapping[str, str], run_id: str) -> dict[str, Any]:
    """What `firm report RUN --json` says."""
    found: dict[str, Any] = json.loads(inside(env, "report", run_id, "--json"))
    return found


class LogReader:
    """Reads a daemon's log from where it stands on; each line once, so a long log costs no more than a short one."""

    def __init__(self, home: Path) -> None:
        self._path = home / "logs" / "firm.jsonl"
        self._at = self._path.stat().st_size if self._path.exists() else 0
        self._seen: list[dict[str, Any]] = []

    def lines(self) -> list[dict[str, Any]]:
        """Every line since the reader was made."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._at += len(whole)
        self._seen += [json.loads(line) for line in whole.splitlines()]
        return self._seen

    def wait_for(self, *events: str, run_id: str | None = None, limit_s: float = 60.0) -> dict[str, Any]:
        """Wait for the first line with one of these events; it and all before are forgotten.

        Raises:
            TimeoutError: It didn't come within the limit.
        """
        found: list[dict[str, Any]] = []

        def here() -> bool:
            for at, line in enumerate(self.lines()):
                if line["event"] in events and run_id in {None, line.get("run_id")}:
                    del self._seen[: at + 1]
                    found.append(line)
                    return True
            return False

        wait_for(here, limit_s, f"{' or '.join(events)} of {run_id or 'the firm'}")
        return found[0]

    def wait_end(self, run_id: str, limit_s: float = 60.0) -> dict[str, Any]:
        """Wait until a run has ended."""
        return self.wait_for(*_ENDS, run_id=run_id, limit_s=limit_s)


def run_once(firm: Daemon, text: str, limit_s: float = 60.0) -> str:
    """Hand a plan in and wait until its run is completed; its run id.

    Raises:
        RuntimeError: It ended otherwise.
    """
    log = LogReader(firm.home)
    run_id = hand_in(firm.env, text, firm.home)
    ended = log.wait_end(run_id, limit_s)
    if ended["event"] != "run.completed":
        raise RuntimeError(f"expected a completed run, was {json.dumps(view(firm.env, run_id), indent=1)}")
    return run_id


def route(request: Mapping[str, Any]) -> str:
    """A request's method and path, the ids in it replaced by `{}`; market data apart from trading by its path."""
    path = re.sub(_ID, "/{}", request["path"])
    path = re.sub(r"^/v2/(assets|positions)/[^/]+$", r"/v2/\1/{}", path)
    return f"{request['method']} {path}"


def tell(server: Server, path: str, body: Any) -> None:
    """POST a JSON document to the control API."""
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        answer.read()
