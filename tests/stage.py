"""One local Alpaca and one daemon that many tests use one after the other, each finding the account as it was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.builders import small
from tests.daemon import ENDED, Home
from tests.paper import PaperAlpaca

_CLEAR_LIMIT_S = 20.0


class Stage:
    """A daemon that runs, and the local Alpaca it trades at.

    Attributes:
        home: The daemon's.
        paper: Its Alpaca.
    """

    def __init__(self, home: Home, paper: PaperAlpaca) -> None:
        self.home = home
        self.paper = paper

    def clear(self) -> None:
        """End what still runs and bring the account back to its state file."""
        for rule_set_is_empty in (False, True):
            if rule_set_is_empty:
                self.paper.clear_faults()
            for run in self.home.firm_status()["runs"]:
                if run["outcome"] is None:
                    self.home.inside("abort", run["run_id"])
        for run in self.home.firm_status()["runs"]:
            if run["outcome"] is None:
                view = self.home.wait_phase(run["run_id"], *ENDED, "held", limit_s=_CLEAR_LIMIT_S)
                if view["phase"] == "held":
                    self.home.inside("release", run["run_id"])
                    self.home.wait_end(run["run_id"], limit_s=_CLEAR_LIMIT_S)
        self.paper.reset()

    def run(self, text: str) -> str:
        """Hand a plan in; its run id."""
        return self.home.submit(text, f"{text.split()[1]}.yaml")

    def orders(self, symbol: str) -> list[dict[str, Any]]:
        """Orders on a symbol that the local Alpaca took."""
        return [order for order in self.paper.orders() if order["symbol"] == symbol]

    def order(self, symbol: str) -> dict[str, Any]:
        """The one order on a symbol."""
        (order,) = self.orders(symbol)
        return order


@contextmanager
def staged(folder: Path, state: Mapping[str, Any] | None = None, **settings: Mapping[str, object]) -> Iterator[Stage]:
    """A stage with short waits, on which plans may follow each other without number.

    Args:
        folder: An empty one.
        state: Of the local Alpaca; the small account unless given.
        settings: As of `Home`, on top of the short waits.
    """
    ceo = small.QUICK_CEO | dict(settings.pop("executive_config", {}))
    trading = small.QUICK_TRADING | dict(settings.pop("trading_config", {}))
    compliance = small.MANY_A_DAY | dict(settings.pop("compliance_config", {}))
    with (
        PaperAlpaca(small.account() if state is None else state) as paper,
        Home(
            folder, paper, executive_config=ceo, trading_config=trading, compliance_config=compliance, **settings
        ) as home,
    ):
        home.start()
        yield Stage(home, paper)


def leg_of(view: Mapping[str, Any], symbol: str) -> dict[str, Any]:
    """A leg of a run's view."""
    return next(leg for leg in view["legs"] if leg["symbol"] == symbol)


def filled(order: Mapping[str, Any]) -> bool:
    """Whether an order is filled whole, by executions that add up."""
    from decimal import Decimal

    fills = [event for event in order["events"] if event["event"] in {"fill", "partial_fill"}]
    return order["status"] == "filled" and sum(Decimal(one["qty"]) for one in fills) == Decimal(order["qty"])
