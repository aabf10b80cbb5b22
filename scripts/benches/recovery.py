"""A start on a journal of 100,000 handled messages with one open run of 60 legs, beside a start on an empty store.

The journal is real: two runs are traded by a daemon, one to its end and one until only a few of its BUYs are open; then
the mail of the first is written again and again through the mailroom, under run ids of its own, on a day each, before
its own and the second's. So the account's stream, which every start folds, has grown with the runs as it would have.
Only the snapshots, kept apart by their hash, are the same ones each time.
"""

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from departments.compliance.department import ComplianceDepartment
from departments.executive.department import ExecutiveDepartment
from departments.office.department import Department
from departments.office.settings import Settings
from departments.operations.department import OperationsDepartment
from departments.trading.department import TradingDepartment
from messages.codec import Encoded, decode, encode
from messages.control import Deadline, DeadlinePassed, RunFinished
from messages.envelope import Envelope, Outgoing
from messages.mailroom.counter import SqlCounter
from messages.mailroom.mailroom import SqlMailroom
from messages.mailroom.port import HandledMail
from messages.message import Message
from messages.new_york import day_in_new_york
from messages.plans import SubmitPlan
from messages.values import AccountName, Recipient, RunId, sha256_hex
from scripts.benches import trading
from scripts.benches.startup import keeping_bytecode, until_ready
from scripts.benches.world import Server, daemon, firm_env, local_alpaca, wait_for

ROUNDS = 7
JOURNAL = 100_000
SELLS = 20
BUYS = 40
LEFT_OPEN = 4
RUNS_TODAY = 20
"""Closed runs whose approval has not expired yet."""
DAYS = 5_000
"""So long ago the first of them ran."""
ACCOUNT = AccountName("paper")
TARGET_S = "at most 0.5 s"


def run(rounds: int = ROUNDS, journal: int = JOURNAL) -> dict[str, Any]:
    """Measure.

    Args:
        rounds: Pairs of starts, an empty store and the full one in turn.
        journal: Handled messages before the open run's.
    """
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        folder = Path(name)
        state = trading.account_state(sells=SELLS, buys=BUYS)
        with local_alpaca(folder, state) as server:
            past = _trade(folder, server)
            begun = time.perf_counter()
            handled = write_journal(folder / "full", past, journal)
            written_s = time.perf_counter() - begun
            SqlMailroom.open(url=_url(folder / "empty"), home=folder / "empty", account=ACCOUNT, now=_now).close()
            size_mb = (folder / "full" / "firm.db").stat().st_size / 1024**2
            folds = [(_open_and_fold(folder / "empty"), _open_and_fold(folder / "full")) for _ in range(rounds)]
            env = keeping_bytecode(firm_env(folder / "template", server.url), folder)
            starts = [_starts(folder, env) for _ in range(rounds + 1)][1:]  # the first one fills the bytecode's folder
    return {
        "handled": handled,
        "store_mb": round(size_mb, 1),
        "written_a_second": round(handled / written_s),
        "open_and_fold": _beside([(empty.total_s, full.total_s) for empty, full in folds])
        | {"extra_cpu_s": _extra([(empty.cpu_s, full.cpu_s) for empty, full in folds])},
        "of_it_open_s": round(median(full.open_s for _, full in folds), 3),
        "of_it_fold_s": {
            str(who): round(median(full.fold_s[who] for _, full in folds), 3) for who in folds[0][1].fold_s
        },
        "folded": folds[0][1].folded,
        "start": _beside([(empty[0], full[0]) for empty, full in starts])
        | {"extra_cpu_s": _extra([(empty[1], full[1]) for empty, full in starts])},
        "targets": {"open_and_fold.extra_s": TARGET_S, "start.extra_s": TARGET_S},
    }


def _beside(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Medians of (empty, full) pairs, seconds; the extra is the median of the pairs' differences."""
    return {
        "empty_s": round(median(empty for empty, _ in pairs), 3),
        "full_s": round(median(full for _, full in pairs), 3),
        "extra_s": _extra(pairs),
    }


def _extra(pairs: Sequence[tuple[float, float]]) -> float:
    return round(median(full - empty for empty, full in pairs), 3)


# A real past


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a daemon handled.

    Attributes:
        before: The account's mail that belongs to neither run.
        closed: Mail of the run that ended, the account's mail about it included, in the order of handling.
        open: The same of the run that is open.
        settings: Settings documents by hash.
    """

    closed_run: RunId
    before: tuple[HandledMail, ...]
    closed: tuple[HandledMail, ...]
    open: tuple[HandledMail, ...]
    settings: Mapping[str, str]


def _trade(folder: Path, server: Server) -> Past:
    template = folder / "template"
    env = firm_env(template, server.url)
    trading.change_config(
        Path(env["FIRM_CONFIG"]),
        hard_constraints={"max_positions_total": 200},
        executive_config={"buy_timeout_s": 3600},
        trading_config={"requests_per_minute": 10_000},
    )
    with daemon(template, server.url) as firm:
        closed = trading.run_once(firm, trading.plan("CLOSED", sells=5, buys=11))
        held_back = trading.symbols("BUY", BUYS)[-LEFT_OPEN:]
        rules = [{"on": "POST /v2/orders", "symbol": symbol, "do": "fill", "fill": "none"} for symbol in held_back]
        trading.tell(server, "/paper/faults", rules)
        still_open = trading.hand_in(firm.env, trading.plan("OPEN", sells=SELLS, buys=BUYS), firm.home)
        wait_for(
            lambda: _filled(trading.view(firm.env, still_open)) == SELLS + BUYS - LEFT_OPEN, 120, "the open run's fills"
        )
    return read_past(Path(env["FIRM_HOME"]), RunId(closed), RunId(still_open))


def _filled(view: Mapping[str, Any]) -> int:
    return sum(leg["status"] == "filled" for leg in view["legs"])


def read_past(home: Path, closed_run: RunId, open_run: RunId) -> Past:
    """Read what a daemon left in its store."""
    with closing(SqlCounter.open(url=_url(home), home=home, account=ACCOUNT)) as counter:

        def history(run_id: RunId | None) -> list[HandledMail]:
            mail = [one for who in Recipient for one in counter.history(who, run_id=run_id)]
            return sorted(mail, key=lambda one: one.handled_seq)

        account = history(None)

        def of(run_id: RunId) -> tuple[HandledMail, ...]:
            about = [one for one in account if run_id in encode(one.envelope.message).body]
            return tuple(sorted([*history(run_id), *about], key=lambda one: one.handled_seq))

        closed, still_open = of(closed_run), of(open_run)
        told = {one.handled_seq for one in (*closed, *still_open)}
        used = {one.settings_sha256 for one in (*account, *closed, *still_open)}
        return Past(
            closed_run=closed_run,
            before=tuple(one for one in account if one.handled_seq not in told),
            closed=closed,
            open=still_open,
            settings={sha256: counter.settings_document(sha256) for sha256 in used},
        )


# Many times over

NONE: frozenset[Deadline] = frozenset()
APPROVALS = frozenset({Deadline.APPROVAL})
EVERY = frozenset(Deadline)


def write_journal(home: Path, past: Past, count: int) -> int:
    """Write `count` or a few more handled messages of closed runs, then both runs as they were. Returns how many."""
    with closing(SqlMailroom.open(url=_url(home), home=home, account=ACCOUNT, now=_now, patience_s=60)) as mailroom:
        for sha256, document in past.settings.items():
            mailroom.remember_settings(sha256, document)
        handled = Copyist(mailroom, past.before).copy()
        closed = Copyist(mailroom, past.closed, run_id=past.closed_run)
        number = 0
        while handled < count:
            number += 1
            as_run = RunId("R" + sha256_hex(f"bench {number}".encode())[:20])
            days = DAYS - number
            handled += closed.copy(as_run=as_run, days=days, keep=APPROVALS if number <= RUNS_TODAY else NONE)
        return handled + closed.copy(keep=NONE) + Copyist(mailroom, past.open).copy()


@dataclass(frozen=True, slots=True)
class _Copied:
    mail: HandledMail
    incoming: Encoded
    outgoing: tuple[tuple[Recipient, datetime | None, Encoded], ...]


class Copyist:
    """Writes the mail of a run again, as if it had happened once more.

    Args:
        mailroom: Where to.
        mail: What was handled, in that order.
        run_id: The run; None: the mail is written as it is.
    """

    def __init__(self, mailroom: SqlMailroom, mail: Iterable[HandledMail], run_id: RunId | None = None) -> None:
        self._mailroom = mailroom
        self._run_id = run_id
        self._documents: dict[str, str] = {}
        self._mail = [self._prepare(one) for one in mail]
        letters = [one.mail.envelope.message for one in self._mail]
        self._nonce = next((letter.approval.nonce for letter in letters if isinstance(letter, SubmitPlan)), None)

    def copy(self, as_run: RunId | None = None, days: int = 0, keep: frozenset[Deadline] = EVERY) -> int:
        """Write it all; returns the messages handled.

        Args:
            as_run: The run's new id; None: its own.
            days: How many days earlier it is handled.
            keep: Timers that go on waiting where they do; others have passed and nothing came of them.
        """
        there: dict[int, Envelope] = {}
        for copied in self._mail:
            one = copied.mail
            at = one.handled_at - timedelta(days=days)
            on = (day_in_new_york(one.handled_at), day_in_new_york(at))
            fresh = there.pop(one.envelope.seq, None) or self._receive(copied, as_run, on)
            said = [Outgoing(who, self._say(what, as_run, on), due_at) for who, due_at, what in copied.outgoing]
            produced = self._mailroom.record(
                handled=fresh,
                at=at,
                settings_sha256=one.settings_sha256,
                outgoing=said,
                opens_run=_opens(fresh.message),
                closes_run=_closes(said),
            )
            there.update(zip((mail.seq for mail in one.outgoing), produced, strict=True))
            last = one
        passed = [mail for mail in there.values() if _has_passed(mail.message, keep)]
        for mail in passed:
            self._mailroom.record(handled=mail, at=last.handled_at, settings_sha256=last.settings_sha256, outgoing=())
        return len(self._mail) + len(passed)

    def _prepare(self, mail: HandledMail) -> _Copied:
        incoming = encode(mail.envelope.message)
        outgoing = [(sent.recipient, sent.due_at, encode(sent.message)) for sent in mail.outgoing]
        for encoded in (incoming, *(what for _, _, what in outgoing)):
            self._documents.update(encoded.documents)
        return _Copied(mail, incoming, tuple(outgoing))

    def _receive(self, copied: _Copied, as_run: RunId | None, on: tuple[date, date]) -> Envelope:
        original = copied.mail.envelope
        given = None if original.message_id == f"{original.seq}.0" else original.message_id
        fresh = self._mailroom.receive(
            sender=original.sender,
            recipient=original.recipient,
            message=self._say(copied.incoming, as_run, on),
            at=original.sent_at,
            message_id=given if as_run is None or given is None else f"{given}:{as_run}",
        )
        if fresh is None:
            raise RuntimeError(f"expected fresh mail, {given} was there before")
        return fresh

    def _say(self, what: Encoded, as_run: RunId | None, on: tuple[date, date]) -> Message:
        """The words, of another day, and of another run where one is named: id and approval's nonce are its own."""
        body = what.body.replace(f'"day":"{on[0]}"', f'"day":"{on[1]}"')
        if as_run is not None and self._run_id is not None:
            body = body.replace(str(self._run_id), str(as_run))
            if self._nonce is not None:
                body = body.replace(f'"{self._nonce}"', f'"{sha256_hex(f"{self._nonce} {as_run}".encode())[:32]}"')
        return decode(what.type, what.version, body, self._documents.__getitem__)


def _has_passed(message: Message, keep: frozenset[Deadline]) -> bool:
    return isinstance(message, DeadlinePassed) and message.deadline not in keep


def _opens(message: Message) -> tuple[RunId, str, str] | None:
    if isinstance(message, SubmitPlan):
        return message.run_id, str(message.plan.plan_id), message.plan.plan_sha256
    return None


def _closes(said: Sequence[Outgoing]) -> tuple[RunId, str] | None:
    for mail in said:
        if isinstance(mail.message, RunFinished):
            return mail.message.ended_run_id, mail.message.outcome
    return None


# Starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """How long one opening and folding took, seconds.

    Attributes:
        cpu_s: Of the processor, all of it.
    """

    cpu_s: float
    open_s: float
    fold_s: Mapping[Recipient, float]
    folded: int

    @property
    def total_s(self) -> float:
        """Opening and folding."""
        return self.open_s + sum(self.fold_s.values())


def _open_and_fold(home: Path) -> Fold:
    """What a start does with its store: the lease, the chain's tail, each department's past and its inbox.

    Raises:
        RuntimeError: A department would send other mail than the journal has.
    """
    cpu_begun, begun = time.process_time(), time.perf_counter()
    mailroom = SqlMailroom.open(url=_url(home), home=home, account=ACCOUNT, now=_now)
    try:
        open_s = time.perf_counter() - begun
        fold_s: dict[Recipient, float] = {}
        folded = 0
        known: dict[str, Settings] = {}
        for department in _departments():
            begun = time.perf_counter()
            folded += _fold(mailroom, department, known)
            mailroom.unhandled(department.name)
            fold_s[department.name] = time.perf_counter() - begun
        cpu_s = time.process_time() - cpu_begun
        return Fold(cpu_s=cpu_s, open_s=open_s, fold_s=fold_s, folded=folded)
    finally:
        mailroom.close()


def _departments() -> Iterator[Department[Any]]:
    yield OperationsDepartment(ACCOUNT)
    yield ComplianceDepartment()
    yield ExecutiveDepartment(ACCOUNT)
    yield TradingDepartment()


def _fold(mailroom: SqlMailroom, department: Department[Any], known: dict[str, Settings]) -> int:
    state = department.initial()
    count = 0
    for mail in mailroom.handled(department.name):
        count += 1
        settings = known.get(mail.settings_sha256)
        if settings is None:
            document = mailroom.settings_document(mail.settings_sha256)
            settings = known[mail.settings_sha256] = Settings.model_validate_json(document)
        handled = department.handle(state, mail.envelope, mail.handled_at, settings)
        state = handled.state
        derived = [(sent.recipient, sent.message, sent.due_at) for sent in handled.outgoing]
        if derived != [(sent.recipient, sent.message, sent.due_at) for sent in mail.outgoing]:
            raise RuntimeError(f"mail {mail.envelope.seq}: expected the mail on record, was {derived}")
    return count


def _starts(folder: Path, env: Mapping[str, str]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Seconds from `firm start` to an open firm, by the wall and of the processor: an empty store, then the full one.

    Each is a fresh copy, since a daemon goes on with what it finds.
    """
    return _start(folder / "empty", env), _start(folder / "full", env)


def _start(kept: Path, env: Mapping[str, str]) -> tuple[float, float]:
    home = kept.with_name(f"{kept.name}_copy")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    shutil.copyfile(kept / "firm.db", home / "firm.db")
    wall_ms, cpu_ms = until_ready({**env, "FIRM_HOME": str(home)})
    return wall_ms / 1000, cpu_ms / 1000


def _url(home: Path) -> str:
    return f"sqlite:///{home / 'firm.db'}"


def _now() -> datetime:
    return datetime.now(UTC)
