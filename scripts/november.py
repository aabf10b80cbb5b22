"""The demo: the plan of November 10, 2025, against a local Alpaca with that day's account, told as a story."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from scripts.failure import Code, Failure
from scripts.local_alpaca import local_alpaca
from scripts.rendering import clock_time, console, price, table, usd
from scripts.surroundings import CHECKOUT

if TYPE_CHECKING:
    from rich.console import Console

FILES = CHECKOUT / "config" / "demo"
RUN_WITHIN_S = 40
OPEN_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
POSITIONS_EXPECTED = 28

FILLED_THEN = {"COMM": "17.02", "ALKS": "32.73", "CRDO": "165.0575", "AXTA": "28.65", "SN": "96.54"}
"""What that day's BUYs were filled at; the other six were rejected."""


@dataclass(frozen=True, slots=True)
class Account:
    """The local Alpaca's account, USD."""

    cash: Decimal
    equity: Decimal
    positions: int

    @property
    def debt(self) -> Decimal:
        """What is borrowed."""
        return max(Decimal(0), -self.cash)


class _Interrupted(BaseException):
    """A signal asked us to stop."""


def main() -> int:
    """Tell the story; 0 if it ended as it should."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    screen = console()
    scratch = Path(tempfile.mkdtemp(prefix="firm-demo."))
    try:
        with local_alpaca(FILES / "nov10_account.yaml", seed=20251110) as url:
            return _tell(screen, scratch, url)
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.code
    except (KeyboardInterrupt, _Interrupted):
        sys.stderr.write("demo: interrupted, everything is stopped\n")
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tell(screen: "Console", scratch: Path, url: str) -> int:
    began = time.monotonic()
    before = _account(url)
    _chapter(screen, "1. November 10, 2025, 15:09 UTC")
    screen.print(
        f"The account holds {before.positions} positions, equity {usd(before.equity)}, and owes {usd(before.debt)}.\n"
        "The plan: five SELLs, and eleven BUYs out of what they bring.\n"
        "Then, the BUYs went first, on margin. Six of the eleven were refused by a rule nobody had in mind."
    )
    environ = _environment(scratch, url)
    with _daemon(environ):
        _chapter(screen, "2. A person approves")
        plan = scratch / "nov10_plan.yaml"
        shutil.copyfile(FILES / plan.name, plan)
        _firm(environ, "approve", str(plan), "--yes")
        _chapter(screen, "3. The firm sells, proves it, and only then buys")
        submitted = _firm(environ, "submit", str(plan), "--wait", "--timeout", str(RUN_WITHIN_S), keep_stdout=True)
        run_id = submitted.stdout.strip()
        _firm(environ, "tail", "--run", run_id, "--department", "executive", "--level", "info")
        _chapter(screen, "4. The report")
        _firm(environ, "report", run_id)
        view = json.loads(_firm(environ, "report", run_id, "--json", keep_stdout=True).stdout)
    after = _account(url)
    _chapter(screen, "5. Then and now")
    orders = _get(url, "/paper/orders")
    _compare(screen, view, orders, before, after)
    good = _went_well(view, orders, before, after)
    ending = "It all went as it should." if good else "IT DID NOT GO AS IT SHOULD: see above."
    screen.print(
        f"\n{ending} {time.monotonic() - began:.0f} s; everything is stopped, nothing is left behind.", style="bold"
    )
    return 0 if good and submitted.returncode == 0 else 1


def _compare(
    screen: "Console", view: dict[str, Any], orders: list[dict[str, Any]], before: Account, after: Account
) -> None:
    """What became of each BUY, and of the debt."""
    rows = []
    spent_then = Decimal(0)
    for leg in view["legs"]:
        if leg["side"] == "buy":
            then = FILLED_THEN.get(leg["symbol"])
            spent_then += Decimal(then or 0) * Decimal(leg["qty"])
            said = f"filled at {price(then)}" if then else "rejected"
            rows.append((leg["symbol"], leg["qty"], said, f"{leg['status']} at {price(leg['filled_avg_price'])}"))
    screen.print(table("The BUYs", ("symbol", ">qty", "then", "here"), rows))
    last_sell, first_buy = _order_of_things(orders)
    debts = [
        (
            "first BUY sent",
            "before the SELLs had filled",
            f"{clock_time(first_buy)}, after the last SELL filled at {clock_time(last_sell)}",
        ),
        (
            "BUYs refused",
            "6 of 11",
            f"{sum(row[3].startswith(('dropped', 'rejected', 'refused')) for row in rows)} of 11",
        ),
        ("margin debt before", usd(before.debt), usd(before.debt)),
        ("margin debt at its highest", f"up to {usd(before.debt + spent_then)}", usd(before.debt)),
        ("margin debt after", "not on record", usd(after.debt)),
        ("positions after", "not on record", after.positions),
    ]
    screen.print(table("As Alpaca saw it", ("", "then", "here"), debts))


def _went_well(view: dict[str, Any], orders: list[dict[str, Any]], before: Account, after: Account) -> bool:
    last_sell, first_buy = _order_of_things(orders)
    return (
        view["outcome"] == "completed"
        and view["verification"]["ok"] is True
        and all(leg["status"] == "filled" for leg in view["legs"])
        and len(orders) == len(view["legs"])
        and last_sell < first_buy
        and after.debt < before.debt
        and after.positions == POSITIONS_EXPECTED
    )


def _order_of_things(orders: list[dict[str, Any]]) -> tuple[str, str]:
    """When the last SELL was filled and when the first BUY arrived, by the local Alpaca's clock, ISO."""
    fills = [
        event["at"]
        for order in orders
        if order["side"] == "sell"
        for event in order["events"]
        if event["event"] == "fill"
    ]
    buys = [order["received_at"] for order in orders if order["side"] == "buy"]
    return max(fills, default=""), min(buys, default="")


@contextmanager
def _daemon(environ: dict[str, str]) -> Iterator[None]:
    """`firm start`, up and running; stopped in order afterwards."""
    child = subprocess.Popen(
        [*_command(), "start"], env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _wait_until_open(child)
        yield
    finally:
        child.terminate()
        try:
            child.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _wait_until_open(child: "subprocess.Popen[str]") -> None:

    assert child.stdout is not None  # noqa: S101 - it was asked for
    ready, _, _ = select.select([child.stdout], [], [], OPEN_WITHIN_S)
    if not ready or not child.stdout.readline():
        raise Failure(Code.UNREACHABLE, "demo: the firm did not open, see above")


def _firm(environ: dict[str, str], *words: str, keep_stdout: bool = False) -> "subprocess.CompletedProcess[str]":
    """Type one command; what it shows is shown, unless its output is wanted here."""
    sys.stdout.flush()
    out = subprocess.PIPE if keep_stdout else None
    return subprocess.run(
        [*_command(), *words], env=environ, stdout=out, text=True, check=False, timeout=RUN_WITHIN_S + 20
    )


def _command() -> list[str]:
    return [sys.executable, "-m", "scripts.firm"]


def _environment(scratch: Path, url: str) -> dict[str, str]:
    """The surroundings of a firm of its own: nothing of the user's firm is touched."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FIRM_", "APCA_"))}
    return kept | {
        "FIRM_HOME": str(scratch / "home"),
        "FIRM_CONFIG": str(CHECKOUT / "config"),
        "APCA_API_BASE_URL": url,
        "APCA_API_KEY_ID": "PKDEMO",
        "APCA_API_SECRET_KEY": "demo",
        "PYTHONPATH": str(CHECKOUT),
    }


def _account(url: str) -> Account:
    account = _get(url, "/v2/account")
    return Account(Decimal(account["cash"]), Decimal(account["equity"]), len(_get(url, "/v2/positions")))


def _get(url: str, path: str) -> Any:
    """Ask the local Alpaca; loopback, so never through a proxy."""
    request = urllib.request.Request(url + path)  # noqa: S310 - http on loopback, an address of our own
    request.add_header("APCA-API-KEY-ID", "PKDEMO")
    request.add_header("APCA-API-SECRET-KEY", "demo")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


def _chapter(screen: "Console", title: str) -> None:
    screen.print(f"\n{title}\n{'=' * len(title)}", style="bold cyan")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise _Interrupted


if __name__ == "__main__":
    sys.exit(main())
