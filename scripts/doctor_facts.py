"""Gathers what the pre-trading checklist judges by. What can't be had is `Unknown` and says why; nothing is made up."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from departments.office.checklist_facts import (
    Chain,
    EntriesSeen,
    Facts,
    FileMode,
    Journal,
    Rate,
    Records,
    RunSeen,
    Stream,
    Times,
    TradingDay,
    TradingSeen,
    Unknown,
    Where,
)
from scripts.failure import Failure
from scripts.surroundings import firm_config, firm_home, now, open_counter, store_path, the_account

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from departments.trading.alpaca.endpoints import Endpoints
    from departments.trading.alpaca.inspection import InspectingBroker
    from messages.mailroom.port import Counter
    from messages.snapshots import AccountFacts, ClockFacts, OrderFacts, PositionFacts
    from messages.values import AccountName, RunId

KEY_NAMES = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
CALENDAR_AROUND = timedelta(days=4)
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3, 10
RATE_OF_A_LOOK = 60
"""Requests a minute for the executions that the portfolio database doesn't have."""
RUNS_LOOKED_AT = 10
"""The newest ones: a verified run further back says nothing of today."""

FactT = TypeVar("FactT")


def gather() -> Facts:
    """Look at everything once."""
    settings = _settings()
    account_name = _account_name(settings)
    alpaca = _endpoints()
    missing = tuple(name for name in KEY_NAMES if not os.environ.get(name))
    journal, stream_in_journal = _journal(account_name)
    asked = _ask(settings, account_name, alpaca, missing)
    return Facts(
        settings=settings,
        account_name=account_name,
        where=_where(alpaca),
        keys=missing,
        account=asked.account,
        clock=asked.clock,
        calendar=asked.calendar,
        open_orders=asked.open_orders,
        positions=asked.positions,
        rate=asked.rate,
        times=asked.times,
        stream=_stream(journal, stream_in_journal, alpaca, missing),
        journal=journal,
        entries=asked.entries,
        store_trouble=_store_trouble(),
        disk_free_bytes=_disk_free(),
        modes=_modes(),
    )


# Configuration and surroundings


def _settings() -> "Settings | Unknown":
    from departments.office.bad_input import BadInput
    from departments.office.settings_loader import load_settings

    try:
        return load_settings(firm_config())
    except BadInput as error:
        return Unknown("; ".join(str(error).splitlines()))


def _account_name(settings: "Settings | Unknown") -> "AccountName | Unknown":
    if isinstance(settings, Unknown):
        return Unknown("the configuration can't be read")
    try:
        return the_account(settings.firm)
    except Failure as failure:
        return Unknown(str(failure))


def _endpoints() -> "Endpoints | Unknown":
    from departments.trading.alpaca.endpoints import endpoints

    try:
        return endpoints(os.environ)
    except ValueError as error:
        return Unknown(str(error))


def _where(alpaca: "Endpoints | Unknown") -> Where | Unknown:
    from messages.plans import Mode
    from scripts.interlock import MODE_FILE, home_mode

    if isinstance(alpaca, Unknown):
        return alpaca
    marker = firm_home() / MODE_FILE
    try:
        said = home_mode(firm_home())
    except (OSError, UnicodeDecodeError) as error:
        return Unknown(f"{marker}: {error}")
    if said is not None and said not in set(Mode):
        return Unknown(f"{marker}: {said[:40]!r}, expected {' or '.join(Mode)}")
    return Where(host=urlsplit(alpaca.rest_url).hostname or "", home_mode=said)


def _disk_free() -> int | Unknown:
    folder = firm_home()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        return Unknown(f"{folder}: {error.strerror}")


def _store_trouble() -> str | None:
    """Why nothing can be written where the state is kept; found out by writing."""
    home = firm_home()
    if not home.is_dir():
        return f"{home}: no such folder, expected FIRM_HOME: run firm init"
    try:
        with tempfile.NamedTemporaryFile(dir=home, prefix=".doctor.") as file:
            file.write(b"writable?")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{home}: {error.strerror}"
    path = store_path()
    if path is not None and path.exists() and not os.access(path, os.W_OK):
        return f"{path}: not writable"
    return None


def _modes() -> tuple[FileMode, ...]:
    """Who may write to configuration, state and the folders they are in."""
    config, home = firm_config(), firm_home()
    paths = [config, *sorted(config.glob("*.yaml")), home, *sorted(home.glob("*")), *sorted((home / "logs").glob("*"))]
    store = store_path()
    if store is not None and store.parent != home:
        paths += [store.parent, store]
    found = []
    for path in paths:
        try:
            found.append(FileMode(str(path), path.stat().st_mode & 0o777))
        except FileNotFoundError:
            continue  # gone meanwhile, or not made yet; other checks tell
    return tuple(found)


# The journal


def _journal(account: "AccountName | Unknown") -> tuple[Journal | Unknown | None, Stream | Unknown]:
    """What the store knows, and what it says of the stream."""
    nothing = Unknown("the journal does not tell")
    if isinstance(account, Unknown):
        return account, nothing
    path = store_path()
    if path is not None and not path.exists():
        return None, nothing
    try:
        with open_counter(account) as counter:
            return _read_journal(counter)
    except Failure as failure:
        return Unknown(str(failure)), nothing


def _read_journal(counter: "Counter") -> tuple[Journal, Stream | Unknown]:
    from departments.executive.report import view_firm
    from messages.mailroom.port import JournalBroken
    from scripts.status import with_words_not_yet_read
    from scripts.surroundings import known_runs

    try:
        chain = Chain(rows=counter.verify_chain())
    except JournalBroken as error:
        chain = Chain(broken=str(error))
    firm = with_words_not_yet_read(view_firm(counter), counter)
    journal = Journal(
        daemon=counter.holder(),
        trading=TradingSeen(firm["trading_state"], firm["trading_because"], firm["trading_set_by"]),
        dead_letters=len(firm["dead_letters"]),
        runs=tuple(
            RunSeen(run_id=run["run_id"], phase=run["phase"], reason=run["reason"])
            for run in firm["runs"]
            if run["outcome"] is None
        ),
        known_runs=frozenset(known_runs(counter)),
        records=_records(counter),
        chain=chain,
    )
    if firm["stream"] is None:
        return journal, Unknown("the daemon has not yet told how it does")
    return journal, Stream(firm["stream"], f"the daemon says so{_said(firm['stream_detail'])}")


def _said(detail: str | None) -> str:
    return f": {detail}" if detail else ""


def _records(counter: "Counter") -> Records | None:
    """The positions that the newest verified run saw last."""
    for row in list(reversed(counter.runs()))[:RUNS_LOOKED_AT]:
        if row.closed_at is not None and (found := _records_of(counter, row.run_id)) is not None:
            return found
    return None


def _records_of(counter: "Counter", run_id: "RunId") -> Records | None:
    from departments.executive.report import view_run
    from messages.orders import SnapshotPurpose, SnapshotReady
    from messages.values import Recipient

    view = view_run(counter, run_id)
    if view is None or view["verification"]["ok"] is not True:
        return None
    positions = None
    for mail in counter.history(Recipient.EXECUTIVE, run_id=run_id):
        message = mail.envelope.message
        if isinstance(message, SnapshotReady) and message.purpose is SnapshotPurpose.VERIFY:
            positions = message.snapshot.positions
    if positions is None:
        return None
    return Records(run_id=run_id, shares={position.symbol: position.qty for position in positions if position.qty})


# Alpaca


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What Alpaca said, part by part."""

    account: "AccountFacts | Unknown"
    clock: "ClockFacts | Unknown"
    calendar: tuple[TradingDay, ...] | Unknown
    open_orders: "tuple[OrderFacts, ...] | Unknown"
    positions: "tuple[PositionFacts, ...] | Unknown"
    entries: EntriesSeen | Unknown | None
    rate: Rate | Unknown
    times: Times | Unknown


def _ask(
    settings: "Settings | Unknown",
    account_name: "AccountName | Unknown",
    alpaca: "Endpoints | Unknown",
    missing: tuple[str, ...],
) -> _Answers:
    """Ask Alpaca for everything, reads only; one part that fails is no reason not to ask for the next."""
    if isinstance(alpaca, Unknown) or missing:
        return _no_answers(alpaca if isinstance(alpaca, Unknown) else Unknown(f"{' and '.join(missing)} not set"))
    from departments.trading.alpaca.inspection import InspectingBroker

    connect_s, read_s = CONNECT_TIMEOUT_S, READ_TIMEOUT_S
    if not isinstance(settings, Unknown):
        connect_s, read_s = settings.trading.connect_timeout_s, settings.trading.read_timeout_s
    broker = InspectingBroker(
        endpoints=alpaca,
        key_id=os.environ[KEY_NAMES[0]],
        secret_key=os.environ[KEY_NAMES[1]],
        connect_timeout_s=connect_s,
        read_timeout_s=read_s,
    )
    try:
        account = _answer(broker.account)
        if isinstance(account, Unknown):
            return _no_answers(account)  # keys or line: the rest would only wait for the same
        return _answers(broker, account, account_name)
    finally:
        broker.close()


def _answers(broker: "InspectingBroker", account: "AccountFacts", account_name: "AccountName | Unknown") -> _Answers:
    from departments.trading.look_once import open_orders

    orders = _answer(lambda: open_orders(broker))
    positions = _answer(broker.positions)
    calendar: tuple[TradingDay, ...] | Unknown
    times: Times | Unknown
    clock = _answer(broker.clock)
    rate = broker.rate_seen
    if isinstance(clock, Unknown):
        calendar, times = clock, clock
    else:
        times = Times(ours=now(), answered_at=broker.answered_at, market=clock.at)
        day = clock.at.date()
        sessions = _answer(lambda: broker.calendar(day - CALENDAR_AROUND, day + CALENDAR_AROUND))
        if isinstance(sessions, Unknown):
            calendar = sessions
        else:
            calendar = tuple(TradingDay(one.day, one.opens, one.closes) for one in sessions)
    return _Answers(
        account=account,
        clock=clock,
        calendar=calendar,
        open_orders=orders,
        positions=positions,
        entries=_entries(broker, account_name, account, positions),
        rate=Unknown("Alpaca's answers don't tell") if rate is None else Rate(rate.remaining, rate.limit),
        times=times,
    )


def _entries(
    broker: "InspectingBroker",
    account_name: "AccountName | Unknown",
    account: "AccountFacts",
    positions: "tuple[PositionFacts, ...] | Unknown",
) -> EntriesSeen | Unknown | None:
    """What the portfolio database, and what was executed since, make of the positions."""
    from departments.portfolio.files import FILE
    from departments.portfolio.records import BooksError
    from departments.portfolio.refresh import explained
    from departments.trading.paced import PacedReader, turns_of_its_own

    path = firm_home() / FILE
    if not path.exists():
        return None
    if isinstance(account_name, Unknown):
        return account_name
    if isinstance(positions, Unknown):
        return positions
    try:
        entries = _answer(
            lambda: explained(
                path,
                account=account_name,
                account_number=account.account_number,
                reader=PacedReader(turns_of_its_own(RATE_OF_A_LOOK), broker),
                positions=positions,
            )
        )
    except BooksError as error:
        return Unknown(f"{error}: firm rebuild")
    if isinstance(entries, Unknown):
        return entries
    unexplained = {one.position.symbol: one.unknown_because for one in entries if one.unknown_because is not None}
    return EntriesSeen(explained=len(entries) - len(unexplained), unexplained=unexplained)


def _no_answers(why: Unknown) -> _Answers:
    """Nothing was heard: the account's part says why, the others only that."""
    silence = Unknown("Alpaca does not answer us")
    return _Answers(
        account=why,
        clock=silence,
        calendar=silence,
        open_orders=silence,
        positions=silence,
        entries=silence,
        rate=silence,
        times=silence,
    )


def _answer(ask: Callable[[], FactT]) -> FactT | Unknown:
    from departments.trading.broker import BrokerError

    try:
        return ask()
    except BrokerError as error:
        return Unknown(f"Alpaca: {error}")


def _stream(
    journal: Journal | Unknown | None,
    in_journal: Stream | Unknown,
    alpaca: "Endpoints | Unknown",
    missing: tuple[str, ...],
) -> Stream | Unknown:
    """Listen for a moment; where a daemon has the account's one connection, take its word instead."""
    from departments.trading.alpaca.inspection import stream_trouble

    if isinstance(journal, Unknown):
        return Unknown("whether a daemon has the one connection is not known")
    if journal is not None and journal.daemon is not None:
        return in_journal
    if isinstance(alpaca, Unknown):
        return alpaca
    if missing:
        return Unknown(f"{' and '.join(missing)} not set")
    trouble = stream_trouble(alpaca, key_id=os.environ[KEY_NAMES[0]], secret_key=os.environ[KEY_NAMES[1]])
    return (
        Stream("up", "connected, authorised, listening, closed again") if trouble is None else Stream("down", trouble)
    )
