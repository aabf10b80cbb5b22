"""`firm rebuild`: makes the portfolio database anew, out of the journal and Alpaca's activities. Reads only."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.surroundings import all_settings, alpaca_keys, firm_home, open_counter, private_files, store_path

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from departments.portfolio.records import RunBooked
    from departments.portfolio.refresh import Refreshed, Register
    from departments.trading.paced import PacedReader

NAMED_AT_MOST = 30
PATIENCE_S = 30.0
"""How long a daemon's refresh is waited for."""


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes: nothing."""
    del parser


def run(given: Namespace) -> int:
    """Make it and say what is in it."""
    del given
    from departments.portfolio.files import FILE
    from departments.portfolio.records import BooksError
    from departments.portfolio.refresh import refresh
    from departments.trading.broker import BrokerError
    from scripts.surroundings import the_account

    settings = all_settings()
    account = the_account(settings.firm)
    home = firm_home()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with private_files(), _reader(settings) as reader, journal_register() as register:
        try:
            done = refresh(
                home / FILE, account=account, reader=reader, register=register, anew=True, patience_s=PATIENCE_S
            )
        except (BooksError, BrokerError) as error:
            raise Failure(Code.UNREACHABLE, f"firm rebuild: {error}") from None
    print(f"{home / FILE}: made anew")
    print(summary(done))
    return Code.DONE


def summary(done: "Refreshed") -> str:
    """What is in the database, for people."""
    counts = {
        "fills": done.fills,
        "positions": done.positions,
        "runs": done.runs,
        "daily closes": done.equity_days,
    }
    lines = [", ".join(f"{name}: {count}" for name, count in counts.items())]
    if done.unknown:
        named = list(done.unknown.items())[:NAMED_AT_MOST]
        lines.append(f"entry not known of {len(done.unknown)}:")
        lines += [f"  {symbol}: {why}" for symbol, why in named]
        if len(done.unknown) > len(named):
            lines.append(f"  and {len(done.unknown) - len(named)} more, see firm export positions")
    return "\n".join(lines)


@contextmanager
def _reader(settings: "Settings") -> "Iterator[PacedReader]":
    from departments.trading.alpaca.endpoints import endpoints
    from departments.trading.alpaca.rest import AlpacaBroker
    from departments.trading.paced import PacedReader, turns_of_its_own

    try:
        alpaca = endpoints(os.environ)
    except ValueError as error:
        raise Failure(Code.BAD_INPUT, f"firm rebuild: {error}") from None
    key_id, secret_key = alpaca_keys("firm rebuild")
    broker = AlpacaBroker(
        endpoints=alpaca,
        key_id=key_id,
        secret_key=secret_key,
        connect_timeout_s=settings.trading.connect_timeout_s,
        read_timeout_s=settings.trading.read_timeout_s,
    )
    try:
        yield PacedReader(turns_of_its_own(settings.trading.requests_per_minute), broker)
    finally:
        broker.close()


@contextmanager
def journal_register() -> "Iterator[Register]":
    """The journal's runs; none where there is no journal."""
    from departments.executive.bookkeeping import JournalRegister

    path = store_path()
    if path is not None and not path.exists():
        yield _NoRuns()
        return
    with open_counter() as counter:
        yield JournalRegister(counter)


class _NoRuns:
    """A firm that never had a plan."""

    def runs(self) -> Mapping[str, bool]:
        """None."""
        return {}

    def booked(self, run_id: str) -> "RunBooked":
        """None."""
        raise LookupError(run_id)
