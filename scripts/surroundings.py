"""What a command finds around it: folders, the account, the store, the person. Environment first, then defaults."""

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure

if TYPE_CHECKING:
    from departments.office.settings import FirmSettings, Settings
    from messages.mailroom.port import Counter
    from messages.values import AccountName, RunId

CHECKOUT = Path(__file__).resolve().parent.parent
RUN_PREFIX_MIN_LENGTH = 5


def firm_home() -> Path:
    """FIRM_HOME, absolute; `var/` in the checkout unless the environment says otherwise."""
    return Path(os.environ.get("FIRM_HOME") or CHECKOUT / "var").absolute()


def firm_config() -> Path:
    """FIRM_CONFIG; `config/` in the checkout unless the environment says otherwise."""
    return Path(os.environ.get("FIRM_CONFIG") or CHECKOUT / "config")


def store_url() -> str:
    """FIRM_STORE_URL; SQLite in FIRM_HOME unless the environment says otherwise."""
    return os.environ.get("FIRM_STORE_URL") or f"sqlite:///{firm_home() / 'firm.db'}"


def store_path() -> Path | None:
    """The store's file; None where it is no file."""
    prefix, url = "sqlite:///", store_url()
    return Path(url.removeprefix(prefix)) if url.startswith(prefix) else None


@contextmanager
def private_files() -> Iterator[None]:
    """Whatever is made meanwhile is its owner's alone, whatever the umask says."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def alpaca_keys(command: str) -> tuple[str, str]:
    """Alpaca's key pair out of the environment.

    Raises:
        Failure: One of them is missing.
    """
    names = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
    key_id, secret_key = (os.environ.get(name) or "" for name in names)
    if not key_id or not secret_key:
        missing = names[0] if not key_id else names[1]
        raise Failure(Code.UNREACHABLE, f"{command}: {missing} is not set, expected Alpaca's keys in the environment")
    return key_id, secret_key


def person() -> str:
    """Who types: user and machine."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def now() -> datetime:
    """The store's clock: aware, UTC."""
    from departments.office.clock import SystemClock

    return SystemClock().now()


def firm_settings() -> "FirmSettings":
    """`firm.yaml`.

    Raises:
        Failure: It says something that can't be accepted.
    """
    from departments.office.bad_input import BadInput
    from departments.office.settings_loader import load_firm_settings

    try:
        return load_firm_settings(firm_config())
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None


def all_settings() -> "Settings":
    """Every file of the configuration.

    Raises:
        Failure: One of them says something that can't be accepted.
    """
    from departments.office.bad_input import BadInput
    from departments.office.settings_loader import load_settings

    try:
        return load_settings(firm_config())
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None


def the_account(settings: "FirmSettings") -> "AccountName":
    """The account of this FIRM_HOME: FIRM_ACCOUNT, or the only one there is, or `paper`.

    Raises:
        Failure: There are several and none of them is called `paper`.
    """
    from messages.values import AccountName

    wanted = os.environ.get("FIRM_ACCOUNT")
    names = sorted(settings.accounts)
    if wanted is None:
        wanted = names[0] if len(names) == 1 else "paper"
    if wanted not in names:
        raise Failure(
            Code.BAD_INPUT, f"account {wanted!r} is not in firm.yaml, expected FIRM_ACCOUNT to be one of {names}"
        )
    return AccountName(wanted)


@contextmanager
def open_counter(account: "AccountName | None" = None) -> "Iterator[Counter]":
    """The mailroom's counter; closed afterwards.

    Args:
        account: None: the account of this FIRM_HOME.

    Raises:
        Failure: The store can't be opened or read, then or while it is used.
    """
    from pydantic import ValidationError

    from messages.mailroom.counter import SqlCounter
    from messages.mailroom.port import MailroomError

    account = account or the_account(firm_settings())
    try:
        with private_files():
            counter = SqlCounter.open(url=store_url(), home=firm_home(), account=account)
        try:
            yield counter
        finally:
            counter.close()
    except MailroomError as error:
        raise Failure(Code.UNREACHABLE, f"firm: the store can't be used: {error}") from None
    except ValidationError as error:
        line = f"firm: the store can't be read by this version: {error.title}, {error.error_count()} problems"
        raise Failure(Code.UNREACHABLE, line) from None


def known_runs(counter: "Counter") -> dict["RunId", str | None]:
    """Every run that was ever handed in -> how it ended; None while it has not."""
    from messages.plans import SubmitPlan

    known: dict[RunId, str | None] = {
        letter.message.run_id: None for letter in counter.letters() if isinstance(letter.message, SubmitPlan)
    }
    known.update({row.run_id: row.outcome for row in counter.runs()})
    return known


def find_run(counter: "Counter", typed: str) -> "RunId":
    """The run that a person means: its id, or enough of its beginning.

    Raises:
        Failure: There is none, or more than one.
    """
    known = known_runs(counter)
    if typed in known:
        return next(run_id for run_id in known if run_id == typed)
    meant = [run_id for run_id in known if run_id.startswith(typed)] if len(typed) >= RUN_PREFIX_MIN_LENGTH else []
    if len(meant) == 1:
        return meant[0]
    from departments.office.bad_input import shown

    what = f"means {len(meant)} runs" if meant else "is no run of this firm"
    raise Failure(Code.BAD_INPUT, f"firm: {shown(typed)} {what}, expected a run id as firm status shows it")
