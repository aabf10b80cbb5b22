"""The position monitor as a machine: the desk is played here, its broker's clock moves on whenever it is waited for."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from departments.executive.plan_file import read_plan
from departments.operations.department import OperationsDepartment
from departments.operations.monitor import LOOK_IS_FRESH_FOR
from messages.codec import decode, encode
from messages.control import FirmOpened
from messages.envelope import Envelope
from messages.message import Message
from messages.proposals import AccountLook, AskAccountLook, FileProposal, LevelsPlanned, ProposalFiled
from messages.snapshots import ClockFacts, HoldingFacts, PlannedLevels, PositionFacts, Snapshot
from messages.values import AccountName, Recipient
from tests.builders.exits import holding, look, position, weekdays
from tests.builders.portfolio import quote, settings

THANKSGIVING, HALF_DAY = date(2025, 11, 27), date(2025, 11, 28)
DAYS = weekdays(date(2025, 11, 3), date(2025, 12, 12), without=[THANKSGIVING], half=[HALF_DAY])
AHEAD = timedelta(days=365)
"""The store's clock is not the broker's."""
MONDAY_MORNING = datetime(2025, 11, 10, 14, 31, tzinfo=UTC)
LOSER = position("AA", price="80")


def new_york(day: int, hours: int, minutes: int = 0, month: int = 11) -> datetime:
    return datetime(2025, month, day, hours + 5, minutes, tzinfo=UTC)


@dataclass
class Stage:
    """Operations, and everybody it talks to.

    Attributes:
        at: The broker's clock.
        handled: All mail so far, with its time and settings.
        asked: The look that is under way.
    """

    at: datetime = MONDAY_MORNING
    positions: tuple[PositionFacts, ...] = (LOSER,)
    holdings: tuple[HoldingFacts, ...] = (holding("AA"),)
    rules: Any = field(default_factory=settings)
    handled: list[tuple[Message, datetime, Any]] = field(default_factory=list)
    asked: AskAccountLook | None = None
    filed: list[FileProposal] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    department: OperationsDepartment = field(default_factory=lambda: OperationsDepartment(AccountName("paper")))

    def __post_init__(self) -> None:
        self.state = self.department.initial()

    def give(self, message: Message, now: datetime | None = None) -> None:
        """Let Operations handle a message, as the journal gives it back."""
        stored = encode(message)
        message = decode(stored.type, stored.version, stored.body, lambda name: stored.documents[name])
        now = now or self.at + AHEAD
        self.handled.append((message, now, self.rules))
        self.state = self._take(self.state, message, now, self.rules)

    def _take(self, state: Any, message: Message, now: datetime, rules: Any, *, replay: bool = False) -> Any:
        envelope = Envelope(
            seq=1, message_id="1", sender="x", recipient=Recipient.OPERATIONS, sent_at=now, message=message
        )
        step = self.department.handle(state, envelope, now, rules)
        for mail in () if replay else step.outgoing:
            if isinstance(mail.message, AskAccountLook):
                assert mail.recipient is Recipient.TRADING
                self.asked = mail.message
            else:
                assert isinstance(mail.message, FileProposal)
                assert mail.recipient is Recipient.CABINET
                self.filed.append(mail.message)
        if not replay:
            self.notes += step.notes
        return step.state

    def open(self) -> "Stage":
        """The daemon starts."""
        self.give(FirmOpened())
        return self

    def restart(self) -> "Stage":
        """The daemon died; another one folds the mail, and starts."""
        state = self.department.initial()
        for message, now, rules in self.handled:
            state = self._take(state, message, now, rules, replay=True)
        assert state == self.state
        return self.open()

    def clock(self) -> ClockFacts:
        opens = any(one.opens_at <= self.at < one.closes_at for one in DAYS)
        return ClockFacts(
            at=self.at,
            is_open=opens,
            next_open=next(one.opens_at for one in DAYS if one.opens_at > self.at),
            next_close=next(one.closes_at for one in DAYS if one.closes_at > self.at),
        )

    def answer(self) -> AccountLook:
        """What the desk answers now: positions where they are wanted and the market is open."""
        asked, clock = self.asked, self.clock()
        assert asked is not None
        days = tuple(one for one in DAYS if abs(one.day - self.at.date()) < timedelta(days=8))
        if not asked.positions or not clock.is_open:
            seen = Snapshot(begun_at=self.at + AHEAD, clock=clock)
            return AccountLook(ask=asked.ask, snapshot=seen, days=days)
        quotes = [quote(one.symbol, one.current_price_usd).model_copy(update={"at": self.at}) for one in self.positions]
        seen = look(self.positions, clock=clock, quotes=quotes).model_copy(update={"begun_at": self.at + AHEAD})
        return AccountLook(ask=asked.ask, snapshot=seen, days=days, holdings=self.holdings)

    def run(self, until: datetime) -> "Stage":
        """Answer looks, moving the broker's clock on to each, until one is wanted later than that."""
        while self.asked is not None:
            wanted = max(self.asked.not_before or self.at, self.at)
            if wanted > until:
                break
            self.at = wanted
            answer, self.asked = self.answer(), None
            self.give(answer)
        self.at = until
        return self

    def plans(self) -> list[str]:
        return [one.plan_id for one in self.filed]

    def noted(self, event: str) -> list[Any]:
        return [note.fields for note in self.notes if note.event == event]


def test_two_reviews_a_day_file_two_plans():
    stage = Stage().open().run(new_york(10, 18))

    assert stage.plans() == ["EXITS_20251110_1000", "EXITS_20251110_1530"]
    assert [one["review"] for one in stage.noted("monitor.reviewed")] == ["2025-11-10 10:00", "2025-11-10 15:30"]


def test_two_weeks_with_a_holiday_a_half_day_and_weekends():
    stage = Stage(at=new_york(24, 3)).open().run(new_york(2, 12, month=12))

    days = ["1124", "1125", "1126", "1128", "1201", "1202"]
    reviews = [f"EXITS_2025{day}_{time}" for day in days for time in ("1000", "1530")]
    assert stage.plans() == [one for one in reviews if one not in {"EXITS_20251128_1530", "EXITS_20251202_1530"}]
    assert stage.noted("monitor.skipped") == [{"review": "2025-11-28 15:30", "why": "the market closes before"}]


def test_a_plan_is_the_file_that_people_approve():
    stage = Stage().open().run(new_york(10, 10))

    (filed,) = stage.filed
    plan, _ = read_plan(filed.plan_text.encode(), name="plan.yaml", accounts=["paper"])
    assert (plan.plan_id, plan.expires_at) == (filed.plan_id, filed.expires_at)
    assert [(trade.symbol, trade.side.value, trade.qty) for trade in plan.trades] == [("AA", "sell", 20)]
    assert "# Proposed by the review of 2025-11-10 10:00 New York" in filed.plan_text
    assert "# SELL 20 of 20 AA: last price in USD at or below the stop: 80 against 90" in filed.plan_text


def test_a_plan_is_good_until_the_market_closes_on_the_stores_clock():
    stage = Stage().open().run(new_york(10, 10))

    assert stage.filed[0].expires_at == new_york(10, 16) + AHEAD


def test_nothing_to_sell_files_nothing():
    stage = Stage(positions=(position("AA"),)).open().run(new_york(10, 18))

    assert stage.plans() == []
    assert [one["sells"] for one in stage.noted("monitor.reviewed")] == [0, 0]


def test_a_blocked_account_is_reviewed_and_nothing_is_filed(monkeypatch):
    blocked = look((LOSER,), trading_blocked=True)
    stage = Stage().open().run(new_york(10, 9, 59))
    stage.at = new_york(10, 10)
    answer = stage.answer()
    stage.give(answer.model_copy(update={"snapshot": answer.snapshot.model_copy(update={"account": blocked.account})}))

    assert stage.plans() == []
    assert len(stage.noted("monitor.no_plan")) == 1


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_a_restart_between_reviews_changes_nothing(restarts):
    stage = Stage().open().run(new_york(10, 12))
    for _ in range(restarts):
        stage.restart()

    stage.run(new_york(10, 18))

    assert stage.plans() == ["EXITS_20251110_1000", "EXITS_20251110_1530"]


def test_a_restart_right_after_a_review_doesnt_repeat_it():
    stage = Stage().open().run(new_york(10, 10)).restart().run(new_york(10, 15))

    assert stage.plans() == ["EXITS_20251110_1000"]


def test_a_review_that_fell_due_while_nobody_was_there_is_made_once():
    stage = Stage().open().run(new_york(10, 9, 50))
    stage.at = new_york(10, 11)

    stage.restart().run(new_york(10, 12))

    assert stage.plans() == ["EXITS_20251110_1000"]
    assert stage.noted("monitor.skipped") == []


def test_back_after_the_close_the_missed_reviews_are_told():
    stage = Stage().open().run(new_york(10, 9, 50))
    stage.at = new_york(10, 17)

    stage.restart().run(new_york(11, 9))

    assert stage.plans() == []
    assert [one["review"] for one in stage.noted("monitor.skipped")] == ["2025-11-10 10:00", "2025-11-10 15:30"]


def test_a_look_of_an_older_ask_means_nothing():
    stage = Stage().open().run(new_york(10, 9, 50))
    late = stage.answer()
    stage.restart()
    before = stage.state

    stage.give(late)

    assert stage.state == before


def test_a_look_that_lay_about_is_taken_anew():
    stage = Stage().open().run(new_york(10, 9, 50))
    stage.at = new_york(10, 10)
    answer = stage.answer()

    stage.give(answer, now=answer.snapshot.begun_at + LOOK_IS_FRESH_FOR + timedelta(seconds=1))

    assert stage.plans() == []
    stage.run(new_york(10, 11))
    assert stage.plans() == ["EXITS_20251110_1000"]


def test_switched_off_it_asks_for_nothing():
    stage = Stage(rules=settings(operations={"monitor": {"enabled": False}})).open()

    assert stage.asked is None


def test_switched_off_while_a_look_is_under_way_it_stops():
    stage = Stage().open().run(new_york(10, 9, 50))
    stage.rules = settings(operations={"monitor": {"enabled": False}})
    stage.restart().run(new_york(10, 18))

    assert stage.plans() == []


def test_other_times_count_from_the_next_start():
    stage = Stage().open().run(new_york(10, 9, 50))
    stage.rules = settings(operations={"monitor": {"times": ["11:15"]}})

    stage.restart().run(new_york(10, 18))

    assert stage.plans() == ["EXITS_20251110_1115"]


def test_what_the_plan_said_of_leaving_counts_until_the_position_is_gone():
    told = PlannedLevels(symbol="AA", bought_at=new_york(5, 10), stop_loss_usd=Decimal(95))
    stage = Stage(positions=(position("AA", price="94"),)).open()
    stage.give(LevelsPlanned(levels=(told, told.model_copy(update={"symbol": "GONE"}))))

    stage.run(new_york(10, 10))

    assert stage.plans() == ["EXITS_20251110_1000"]
    assert "at or below the stop of its plan: 94 against 95" in stage.filed[0].plan_text
    assert set(stage.state.levels) == {"AA"}


def test_the_newest_plan_that_bought_counts_as_a_whole():
    first = PlannedLevels(symbol="AA", bought_at=new_york(5, 10), stop_loss_usd=Decimal(95))
    later = PlannedLevels(symbol="AA", bought_at=new_york(6, 10), take_profit_usd=Decimal(200))
    stage = Stage(positions=(position("AA", price="94.5"),)).open()
    for told in (first, later):
        stage.give(LevelsPlanned(levels=(told,)))

    stage.run(new_york(10, 10))

    assert stage.plans() == []


def test_what_became_of_a_filing_is_logged():
    stage = Stage().open().run(new_york(10, 10))
    filed = ProposalFiled(
        plan_id=stage.filed[0].plan_id,
        file="EXITS_20251110_1000.yaml",
        plan_sha256="0" * 64,
        expires_at=stage.filed[0].expires_at,
    )
    before = stage.state

    stage.give(filed)
    stage.give(filed.model_copy(update={"approved_by": "firm"}))

    assert [one["file"] for one in stage.noted("monitor.filed")] == ["EXITS_20251110_1000.yaml"]
    assert [one["by"] for one in stage.noted("monitor.approved")] == ["firm"]
    assert stage.state == before


def test_a_monitor_without_memory_would_be_seen():
    """The planted fault: with what was reviewed forgotten, a restart files the same review again."""
    stage = Stage().open().run(new_york(10, 10))
    stage.state = stage.department.initial()

    stage.open().run(new_york(10, 11))

    assert stage.plans() == ["EXITS_20251110_1000"] * 2
