"""When positions are reviewed: times of New York's day on trading days, by the broker's clock and calendar. Pure.

Half days end early, holidays and weekends are no sessions: nothing is reviewed outside of one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from messages.new_york import from_new_york
from messages.snapshots import ClockFacts, TradingDay

LOOK_AGAIN: Final = timedelta(minutes=1)
"""When the calendar has a session and the clock says closed."""
NO_SESSION_KNOWN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A review that will not be made."""

    day: date
    time: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What is to be done now, and when to look again.

    Attributes:
        day: The session that `done` is about; None where the calendar shows none.
        done: Times of that day that need no review any more, those skipped now among them; the due one isn't.
        due: The review to be made now; None: none.
        closes_at: Of that session; None without one.
        wake_at: By the broker's clock; after now.
    """

    day: date | None
    done: frozenset[str]
    due: str | None
    closes_at: datetime | None
    wake_at: datetime
    skipped: tuple[Skipped, ...] = ()


def agenda(
    clock: ClockFacts, days: Sequence[TradingDay], times: Iterable[str], day: date | None, done: frozenset[str]
) -> Agenda:
    """Say which review is due.

    Args:
        clock: The broker's, now.
        days: Trading days around it, oldest first.
        times: `10:00`, New York.
        day: The session that was looked at last; None: none yet.
        done: Its times that need no review any more.
    """
    ordered = sorted(set(times))
    session = next((one for one in days if one.closes_at > clock.at), None)
    skipped: list[Skipped] = []
    if day is not None and (session is None or session.day != day):
        skipped += [Skipped(day=day, time=one, why="the market had closed") for one in ordered if one not in done]
    if session is None:
        wake_at = clock.at + NO_SESSION_KNOWN
        return Agenda(day=None, done=frozenset(), due=None, closes_at=None, wake_at=wake_at, skipped=tuple(skipped))
    if session.day != day:
        done = frozenset()
    for one in ordered:
        if one not in done and time_of(one, session) >= session.closes_at:
            skipped.append(Skipped(day=session.day, time=one, why="the market closes before"))
            done |= {one}
    passed = [one for one in ordered if one not in done and time_of(one, session) <= clock.at]
    waiting = [time_of(one, session) for one in ordered if one not in done and time_of(one, session) > clock.at]
    due = None
    if passed and clock.is_open and session.opens_at <= clock.at:
        due = passed[-1]
        skipped += [Skipped(day=session.day, time=one, why=f"that of {due} is due as well") for one in passed[:-1]]
        done |= frozenset(passed[:-1])
    wake_at = min([*waiting, session.closes_at])
    if passed and due is None:
        wake_at = min(wake_at, clock.at + LOOK_AGAIN)
    return Agenda(
        day=session.day, done=done, due=due, closes_at=session.closes_at, wake_at=wake_at, skipped=tuple(skipped)
    )


def time_of(text: str, session: TradingDay) -> datetime:
    """A time of New York's day, on the day of a session."""
    return from_new_york(session.day, time.fromisoformat(text))
