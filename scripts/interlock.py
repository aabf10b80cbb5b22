"""Holds the live interlock against the world: the address, the command line, FIRM_HOME, and what a person types."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.surroundings import private_files

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from departments.trading.alpaca.endpoints import Endpoints
    from messages.plans import Mode
    from messages.values import AccountName

MODE_FILE = "mode"
"""In FIRM_HOME: which money it was first used for."""
TYPED_FILE = "live_account"
"""In FIRM_HOME: the account number that a person typed."""


def check_money(
    settings: "Settings", account: "AccountName", alpaca: "Endpoints", home: Path, *, asked_live: bool
) -> None:
    """Let live money through only when everything says live, and paper only when nothing does.

    Raises:
        Failure: Config, command line, address and FIRM_HOME don't agree, or the account number was not typed.
    """
    from departments.office.interlock import Said, disagreement
    from messages.plans import Mode

    about = settings.firm.accounts[account]
    said = Said(
        firm_mode=settings.firm.mode,
        account_mode=about.mode,
        account_number=about.account_number,
        asked_live=asked_live,
        rest_url=alpaca.rest_url,
        stream_url=alpaca.stream_url,
        home_mode=home_mode(home),
    )
    trouble = disagreement(said)
    if trouble is not None:
        raise Failure(Code.BAD_INPUT, f"firm start: {trouble}")
    if about.mode is Mode.LIVE:
        _have_it_typed(home, str(about.account_number))
    claim(home, about.mode)


def home_mode(home: Path) -> str | None:
    """Which money FIRM_HOME was first used for; None while it was not.

    Raises:
        OSError: The mark is there and can't be read.
        UnicodeDecodeError: It is no text.
    """
    try:
        return (home / MODE_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def claim(home: Path, mode: "Mode") -> None:
    """Mark FIRM_HOME as this money's for good.

    Raises:
        Failure: It is the other money's.
    """
    before = home_mode(home)
    if before is not None and before != mode.value:
        line = f"firm: {home} was made for {before[:20]!r} money, expected another FIRM_HOME for {mode}"
        raise Failure(Code.BAD_INPUT, line)
    if before is None:
        _write(home / MODE_FILE, mode.value)


def _have_it_typed(home: Path, expected: str) -> None:
    """Have a person type the account number, once for each number."""
    typed_file = home / TYPED_FILE
    if typed_file.exists() and typed_file.read_text(encoding="utf-8").strip() == expected:
        return
    if not sys.stdin.isatty():
        raise _refuse("the first start with live money asks for the account number, expected a terminal")
    try:
        typed = input("This firm will trade LIVE MONEY. Type the account number: ").strip()
    except EOFError:
        typed = ""
    if typed != expected:
        raise _refuse("that is not the account number in firm.yaml")
    _write(typed_file, typed)


def _write(path: Path, line: str) -> None:
    with private_files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{line}\n", encoding="utf-8")


def _refuse(what: str) -> Failure:
    return Failure(Code.BAD_INPUT, f"firm start: {what}")
