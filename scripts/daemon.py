"""`firm start`: the daemon, in the foreground until SIGTERM or SIGINT."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.interlock import check_money
from scripts.surroundings import all_settings, firm_home, private_files, store_url, the_account

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from departments.firm import Firm, Keys
    from departments.office.settings import Settings
    from messages.values import AccountName


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument(
        "--paper-alpaca",
        nargs="?",
        const="",
        metavar="STATE.yaml",
        help="run a local Alpaca with it, and trade there; the file says how its account begins",
    )
    parser.add_argument("--live", action="store_true", help="trade live money; firm.yaml must say so too")


def run(given: Namespace) -> int:
    """Run the firm; 0 after a clean stop, 6 if something it needs can't be had."""
    settings = all_settings()
    account = the_account(settings.firm)
    with ExitStack() as cleanup:
        environ = dict(os.environ)
        if given.paper_alpaca is not None:
            from scripts.local_alpaca import local_alpaca

            url = cleanup.enter_context(local_alpaca(Path(given.paper_alpaca) if given.paper_alpaca else None))
            environ = {key: value for key, value in environ.items() if not key.startswith("APCA_API_")}
            environ |= {"APCA_API_BASE_URL": url, "APCA_API_KEY_ID": "PKLOCAL", "APCA_API_SECRET_KEY": "local"}
        return _run_firm(settings, account, environ, live=given.live)


def _run_firm(settings: "Settings", account: "AccountName", environ: dict[str, str], *, live: bool) -> int:
    from departments.trading.alpaca.endpoints import endpoints

    try:
        alpaca = endpoints(environ)
    except ValueError as error:
        raise Failure(Code.BAD_INPUT, f"firm start: {error}") from None
    home = firm_home()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_money(settings, account, alpaca, home, asked_live=live)
    settings, own_key = _trusted(settings)
    key_id, secret_key = environ.get("APCA_API_KEY_ID"), environ.get("APCA_API_SECRET_KEY")
    if not key_id or not secret_key:
        missing = "APCA_API_KEY_ID" if not key_id else "APCA_API_SECRET_KEY"
        raise Failure(Code.UNREACHABLE, f"firm start: {missing} is not set, expected Alpaca's keys in the environment")

    from departments.firm import Firm, Keys

    keys = Keys(key_id=key_id, secret_key=secret_key)
    with private_files(), _logging(home, account, keys):
        return _run(
            Firm(
                home=home,
                store_url=store_url(),
                account=account,
                settings=settings,
                keys=keys,
                endpoints=alpaca,
                own_key=own_key,
            )
        )


def _trusted(settings: "Settings") -> tuple["Settings", "Ed25519PrivateKey | None"]:
    """Look at who else can write to what we believe, and read who may approve: the firm, too, where it is told to.

    Raises:
        Failure: Others can write to it, or the signers can't be understood.
    """
    from messages.plans import Mode
    from scripts.approval_key import make_paper_key, own_key, with_signers
    from scripts.file_modes import check_inputs, check_store

    check_inputs([], is_live=settings.firm.mode is Mode.LIVE)
    check_store()
    make_paper_key(settings.firm)
    key = own_key(settings.firm) if settings.operations.monitor.auto_approve_exits else None
    return with_signers(settings), key


def _run(firm: "Firm") -> int:
    """Run it to its end, and say on one line what kept it from starting."""
    from departments import firm as wiring
    from departments.trading.broker import BrokerError
    from messages.mailroom.port import MailroomError

    try:
        wiring.run(firm, _say_started)
    except wiring.WrongMoney as error:
        raise Failure(Code.BAD_INPUT, f"firm start: {error}") from None
    except (MailroomError, BrokerError) as error:
        raise Failure(Code.UNREACHABLE, f"firm start: {error}") from None
    return Code.DONE


@contextmanager
def _logging(home: Path, account: "AccountName", keys: "Keys") -> Iterator[None]:
    from departments.office.clock import SystemClock
    from departments.office.logs import Log

    console = sys.stderr if sys.stderr.isatty() else None
    log = Log(home, clock=SystemClock(), account=account, secrets=(keys.key_id, keys.secret_key), console=console)
    try:
        yield
    finally:
        log.stop()


def _say_started() -> None:
    print(f"the firm is open, pid {os.getpid()}; its state is in {firm_home()}", flush=True)
