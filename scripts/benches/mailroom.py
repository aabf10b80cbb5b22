"""Durable mail a second through the mailroom, beside a bare sqlite3 table with the same pragmas.

Bare is one table, keyed by number, one insert a message. The mailroom's message is the real thing: the mail before it
is marked handled, linked into the chain, and its output is inserted. Both sides take turns: a busy disk meets both.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from messages.control import BeginRun
from messages.envelope import Envelope, Outgoing
from messages.mailroom.connect import WAL_SAFE_SINCE
from messages.mailroom.mailroom import SqlMailroom
from messages.values import AccountName, PlanId, Recipient, RunId, sha256_hex

ACCOUNT = AccountName("paper")
RUN = RunId("R" + "f" * 20)
SETTINGS_TEXT = "{}"
SETTINGS = sha256_hex(SETTINGS_TEXT.encode())
ROUNDS = 9
SINGLES = 60
HUNDREDS = 10
DOORS = 500
JOURNAL = 100_000
RUN_LENGTH = 1_000
LEGS = 60
MAIL_A_LEG = 12


def run() -> dict[str, float]:
    """Measure.

    Returns:
        `one_by_one_ratio` and `in_hundreds_ratio`: messages a second of the mailroom over those of bare sqlite3;
        `record_us` and `door_us`: one call, median; `restart_extra_s`: how much longer it takes to open and fold with
        100,000 handled messages and one open run of 60 legs than with an empty store.
    """
    with tempfile.TemporaryDirectory() as folder:
        speeds = _speeds(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        extra_s = _restart_extra_s(Path(folder))
    return {**speeds, "restart_extra_s": round(extra_s, 3)}


class _Bare:
    """What anybody would write first."""

    def __init__(self, path: Path) -> None:
        wal = sqlite3.sqlite_version_info >= WAL_SAFE_SINCE
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
        self._connection.execute(f"PRAGMA synchronous={'FULL' if wal else 'EXTRA'}")
        self._connection.execute(
            "CREATE TABLE mail (seq INTEGER PRIMARY KEY, recipient TEXT, sent_at TEXT, type TEXT, body TEXT)"
        )
        self._seq = 0

    def send(self, count: int) -> None:
        at = datetime.now(UTC).isoformat()
        rows = []
        for _ in range(count):
            self._seq += 1
            rows.append((self._seq, "executive", at, "BeginRun", f'{{"run_id":"{RUN}","plan_id":"P"}}'))
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO mail VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class _Ours:
    """A line of messages, each the output of the one before."""

    def __init__(self, home: Path) -> None:
        self.mailroom = open_mailroom(home)
        first = self.mailroom.receive(sender="operator", recipient=Recipient.EXECUTIVE, message=begin(), at=_now())
        if first is None:
            raise AssertionError("expected fresh mail")
        self.last: Envelope = first
        self.record_s: list[float] = []

    def send(self, count: int) -> None:
        for _ in range(count):
            at = _now()
            message = begin()
            started = time.perf_counter()
            (self.last,) = self.mailroom.record(
                handled=self.last, at=at, settings_sha256=SETTINGS, outgoing=[Outgoing(Recipient.EXECUTIVE, message)]
            )
            self.record_s.append(time.perf_counter() - started)
        self.mailroom.ensure_durable(self.last.seq)


def _speeds(folder: Path) -> dict[str, float]:
    bare, ours = _Bare(folder / "bare.db"), _Ours(folder / "home")
    singles: list[float] = []
    hundreds: list[float] = []
    for _ in range(ROUNDS):
        singles.append(_ratio(bare.send, ours.send, times=SINGLES, count=1))
        hundreds.append(_ratio(bare.send, ours.send, times=HUNDREDS, count=100))
    doors = []
    for _ in range(DOORS):
        started = time.perf_counter()
        ours.mailroom.door(run_id=RUN, call_seq=ours.last.seq)
        doors.append(time.perf_counter() - started)
    bare.close()
    ours.mailroom.close()
    return {
        "one_by_one_ratio": round(median(singles), 3),
        "in_hundreds_ratio": round(median(hundreds), 3),
        "record_us": round(median(ours.record_s) * 1e6, 1),
        "door_us": round(median(doors) * 1e6, 1),
    }


def _ratio(bare: Callable[[int], None], ours: Callable[[int], None], *, times: int, count: int) -> float:
    """The speed of ours over the speed of bare, in turns."""
    bare_s = ours_s = 0.0
    for _ in range(times):
        started = time.perf_counter()
        bare(count)
        between = time.perf_counter()
        ours(count)
        bare_s += between - started
        ours_s += time.perf_counter() - between
    return bare_s / ours_s


def _restart_extra_s(folder: Path) -> float:
    """Open and fold a store with a long past and one open run, against an empty one; best of three each."""
    open_mailroom(folder / "empty").close()
    _make_past(folder / "full")
    return min(_restart_s(folder / "full") for _ in range(3)) - min(_restart_s(folder / "empty") for _ in range(3))


def _make_past(home: Path) -> None:
    """Closed runs with 100,000 handled messages in all, and one open run."""
    mailroom = open_mailroom(home)
    for number in range(JOURNAL // RUN_LENGTH):
        _make_run(mailroom, RunId(f"R{number:020}"), length=RUN_LENGTH, outcome="completed")
    _make_run(mailroom, RUN, length=LEGS * MAIL_A_LEG, outcome=None)
    mailroom.close()


def _make_run(mailroom: SqlMailroom, run_id: RunId, *, length: int, outcome: str | None) -> None:
    mail = mailroom.receive(sender="operator", recipient=Recipient.EXECUTIVE, message=begin(run_id), at=_now())
    for step in range(length):
        if mail is None:
            raise AssertionError("expected fresh mail")
        closes = outcome is not None and step == length - 1
        produced = mailroom.record(
            handled=mail,
            at=_now(),
            settings_sha256=SETTINGS,
            outgoing=() if closes else (Outgoing(Recipient.EXECUTIVE, begin(run_id)),),
            opens_run=(run_id, "P", "0") if step == 0 else None,
            closes_run=(run_id, outcome) if closes and outcome is not None else None,
        )
        mail = produced[0] if produced else None


def _restart_s(home: Path) -> float:
    started = time.perf_counter()
    mailroom = open_mailroom(home)
    for recipient in Recipient:
        for _ in mailroom.handled(recipient):
            pass
        mailroom.unhandled(recipient)
    took_s = time.perf_counter() - started
    mailroom.close()
    return took_s


def open_mailroom(home: Path) -> SqlMailroom:
    """Open a mailroom in a folder, with its settings remembered."""
    mailroom = SqlMailroom.open(url=_url(home), home=home, account=ACCOUNT, now=_now)
    mailroom.remember_settings(SETTINGS, SETTINGS_TEXT)
    return mailroom


def begin(run_id: RunId = RUN) -> BeginRun:
    """A small message."""
    return BeginRun(run_id=run_id, plan_id=PlanId("P"))


def _url(home: Path) -> str:
    return f"sqlite:///{home / 'firm.db'}"


def _now() -> datetime:
    return datetime.now(UTC)
