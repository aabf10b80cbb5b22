"""What the pre-trading checklist judges by, and what it says of it: plain values, nothing read here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum

from departments.office.settings import Settings
from messages.snapshots import AccountFacts, ClockFacts, OrderFacts, PositionFacts
from messages.values import AccountName, RunId


class Level(StrEnum):
    """How a check went."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        checked: False: it could not be done; `detail` says why.
    """

    check: str
    level: Level
    detail: str
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be had."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where the firm would trade.

    Attributes:
        host: Of Alpaca's REST address.
        home_mode: What FIRM_HOME was first used for; None while it was not.
    """

    host: str
    home_mode: str | None


@dataclass(frozen=True, slots=True)
class TradingDay:
    """A day of the broker's calendar; times are New York's."""

    day: date
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests the broker still takes, of those it takes a minute."""

    remaining: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Our clock and the broker's answer, read at one moment.

    Attributes:
        ours: Store's clock.
        answered_at: The time on the answer, to the second; None where it had none.
        market: The broker's market clock.
    """

    ours: datetime
    answered_at: datetime | None
    market: datetime


@dataclass(frozen=True, slots=True)
class Stream:
    """How the trade updates do: as we saw it, or as the daemon that has the one connection wrote it down."""

    state: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The journal's hash chain: rows that follow from each other, or where it breaks."""

    rows: int = 0
    broken: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeen:
    """A run that has not ended."""

    run_id: RunId
    phase: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the last verified run left behind, shares by symbol."""

    run_id: RunId
    shares: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class TradingSeen:
    """The account's trading state (a word of `TradingState`), why, and who set it."""

    state: str
    because: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What the store knows.

    Attributes:
        daemon: Who holds the account; None if nobody does.
        runs: Those that have not ended.
        known_runs: All.
        records: None while no run was verified.
    """

    daemon: str | None
    trading: TradingSeen
    dead_letters: int
    runs: tuple[RunSeen, ...]
    known_runs: frozenset[str]
    records: Records | None
    chain: Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesSeen:
    """Positions as Alpaca shows them, against the executions that we know.

    Attributes:
        explained: How many of them those explain.
        unexplained: The others, and why.
    """

    explained: int
    unexplained: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FileMode:
    """A file or folder of ours and who may write to it (permission bits)."""

    path: str
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the checks judge by.

    Attributes:
        journal: None: there is no store yet.
        entries: None: there is no portfolio database yet.
        store_trouble: Why nothing can be written to FIRM_HOME; None if it can.
    """

    settings: Settings | Unknown
    account_name: AccountName | Unknown
    where: Where | Unknown
    keys: tuple[str, ...]
    account: AccountFacts | Unknown
    clock: ClockFacts | Unknown
    calendar: tuple[TradingDay, ...] | Unknown
    open_orders: tuple[OrderFacts, ...] | Unknown
    positions: tuple[PositionFacts, ...] | Unknown
    rate: Rate | Unknown
    times: Times | Unknown
    stream: Stream | Unknown
    journal: Journal | Unknown | None
    entries: EntriesSeen | Unknown | None
    store_trouble: str | None
    disk_free_bytes: int | Unknown
    modes: tuple[FileMode, ...]
