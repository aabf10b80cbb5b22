"""An account with a past, and a journal with runs, in memory: what the portfolio database is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from departments.portfolio.records import LookRecord, OrderRecord, RunBooked, RunRecord, instant_text
from messages.snapshots import AccountFacts, ClockFacts, EquityDay, FillFacts, PositionFacts, TradingDay
from tests.builders.fills import OPENED, total
from tests.builders.portfolio import account, held


@dataclass
class FakePast:
    """The account at the broker; a `Reader`.

    Attributes:
        unexplained: Shares by symbol that no fill brought.
        asked: Every call, in order: its name and what was asked for.
        before: Run before each call answers: a test changes the account, or fails, here.
    """

    fills: list[FillFacts] = field(default_factory=list)
    unexplained: dict[str, Decimal] = field(default_factory=dict)
    now: datetime = OPENED + timedelta(hours=1)
    account_number: str = "PA1"
    asked: list[tuple[str, object]] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None

    def account(self) -> AccountFacts:
        self._ask("account")
        return account(equity=1, cash=1, account_number=self.account_number)

    def clock(self) -> ClockFacts:
        self._ask("clock")
        today = datetime.combine(self.now.date(), time(14, 30), UTC)
        opening = today if self.now < today else today + timedelta(days=1)
        return ClockFacts(at=self.now, is_open=True, next_open=opening, next_close=opening + timedelta(hours=6.5))

    def positions(self) -> tuple[PositionFacts, ...]:
        self._ask("positions")
        symbols = {fill.symbol for fill in self.fills} | self.unexplained.keys()
        shares = {
            symbol: total(fill for fill in self.fills if fill.symbol == symbol)
            + self.unexplained.get(symbol, Decimal(0))
            for symbol in sorted(symbols)
        }
        return tuple(held(symbol, qty, 10) for symbol, qty in shares.items() if qty)

    def fills_after(self, after: datetime | None) -> tuple[FillFacts, ...]:
        self._ask("fills", after)
        return tuple(fill for fill in self.fills if after is None or fill.at > after)

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        self._ask("days", (first, last))
        return tuple(
            TradingDay(
                day=day,
                opens_at=datetime.combine(day, time(14, 30), UTC),
                closes_at=datetime.combine(day, time(21), UTC),
            )
            for day in _days(first, last)
        )

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        self._ask("equity", (first, last))
        return tuple(EquityDay(day=day, equity_usd=Decimal(day.toordinal())) for day in _days(first, last))

    def count(self, call: str) -> int:
        return sum(name == call for name, _ in self.asked)

    def _ask(self, call: str, about: object = None) -> None:
        self.asked.append((call, about))
        self.before(call)


def _days(first: date, last: date) -> list[date]:
    every = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in every if day.weekday() < 5]


@dataclass
class FakeRegister:
    """The journal's runs; a `Register`."""

    kept: dict[str, RunBooked] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def runs(self) -> Mapping[str, bool]:
        return {run_id: booked.run.outcome is not None for run_id, booked in self.kept.items()}

    def booked(self, run_id: str) -> RunBooked:
        self.read.append(run_id)
        return self.kept[run_id]

    def end(self, run_id: str) -> None:
        """Let a run end."""
        booked = self.kept[run_id]
        self.kept[run_id] = replace(booked, run=replace(booked.run, phase="aborted", outcome="aborted"))

    def add(
        self,
        run_id: str,
        *,
        outcome: str | None = "completed",
        orders: Mapping[str, str] | None = None,
        looks: Mapping[datetime, str] | None = None,
    ) -> None:
        """Have a run, instead of the one of that name.

        Args:
            run_id: Its name.
            outcome: None: it goes on.
            orders: Order id -> leg.
            looks: When -> the symbols held.
        """
        run = RunRecord(
            run_id=run_id,
            plan_id=f"PLAN_{run_id}",
            plan_sha256="0" * 64,
            account="paper",
            phase=outcome or "selling",
            outcome=outcome,
            reason=None,
            sell_shortfall="hold",
            funding="proceeds",
            approved_by="mara",
            accepted_at=instant_text(OPENED),
            started_at=None,
            ended_at=None,
            legs=2,
            legs_filled=2,
            proceeds="100.5",
            spent="99",
            cash_before="0",
            cash_after=None,
            implementation_shortfall="0",
            verified="yes",
        )
        self.kept[run_id] = RunBooked(
            run=run,
            orders=tuple(
                OrderRecord(order_id=order_id, client_order_id=f"{run_id}-{leg}-1", run_id=run_id, leg=leg)
                for order_id, leg in (orders or {}).items()
            ),
            looks=tuple(
                LookRecord(run_id=run_id, at=instant_text(at), held=f" {symbols} ".replace("  ", " "))
                for at, symbols in (looks or {}).items()
            ),
        )
