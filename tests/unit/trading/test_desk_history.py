"""The desk's looks with a history: what they cost, what fails them, whose day it is."""

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from departments.trading.broker import BrokerUnavailable, RateLimited
from departments.trading.turns import Requests
from messages import broker as mail
from messages.orders import SnapshotPurpose
from messages.snapshots import HistoryPart, SnapshotPart
from tests.builders.plans import NOW
from tests.fakes.broker import FakeExchange
from tests.unit.trading import test_desk
from tests.unit.trading.test_desk import ALL_PARTS, LIMIT_S, RUN, a_look, an_intent, an_office
from tests.unit.trading.test_histories import a_fill, bars_upto

ALL_PAST = tuple(HistoryPart)
MOST = (HistoryPart.DAYS, HistoryPart.FILLS, HistoryPart.EQUITY)
LOOK = ["account", "clock", "orders", "positions", "quotes"]


def an_exchange(**changes):
    prices = {"SA": Decimal(100), "BA": Decimal(100), "OLD": Decimal(5)}
    return FakeExchange(prices=prices, shares={"SA": Decimal(10), "OLD": Decimal(3)}, **changes)


def a_whole_look(*history, parts=ALL_PARTS, ask=1, after=NOW):
    return mail.FetchSnapshot(
        run_id=RUN,
        ask=ask,
        purpose=SnapshotPurpose.RECEIVED,
        parts=parts,
        symbols=("SA", "BA"),
        run_orders_after=after,
        history=history,
    )


def asked(office, look):
    """One look's answer, and the names of the calls it cost."""
    before = len(office.exchange.calls)
    answer = office.ask(look)
    return answer, sorted(name for name, _ in office.exchange.calls[before:])


def warmed(office):
    office.ask(a_look(SnapshotPart.ACCOUNT))
    office.ask(a_look(SnapshotPart.ACCOUNT))  # warming came before them


def test_without_a_history_not_one_request_more_leaves():
    with an_office(exchange=an_exchange(), warm=True) as office:
        warmed(office)

        answer, calls = asked(office, a_whole_look(after=office.exchange.now))

        assert calls == LOOK
        assert answer.history is None
        past = {"trading_days", "fills", "equity_days", "daily_bars"}
        assert past.isdisjoint(name for name, _ in office.exchange.calls)


def test_the_first_look_of_a_day_costs_three_requests_more_and_later_ones_one():
    with an_office(exchange=an_exchange(), warm=True) as office:
        warmed(office)

        first, first_calls = asked(office, a_whole_look(*MOST, after=office.exchange.now))
        second, second_calls = asked(office, a_whole_look(*MOST, ask=2, after=office.exchange.now))

        assert first_calls == sorted([*LOOK, "trading_days", "fills", "equity_days"])
        assert second_calls == sorted([*LOOK, "fills"])
        assert first.history.model_copy(update={"read_at": NOW}) == second.history.model_copy(update={"read_at": NOW})
        assert len(first.history.trading_days) == 10
        assert first.history.fills == ()
        assert first.history.equity.last_close_usd == 101_015
        assert first.history.bars is None


def test_executions_since_the_last_look_cost_the_list_of_their_orders():
    with an_office(exchange=an_exchange(), warm=True) as office:
        warmed(office)
        office.ask(a_whole_look(*MOST, after=office.exchange.now))
        office.exchange.place(an_intent("S01"))

        answer, calls = asked(office, a_whole_look(*MOST, ask=2, after=office.exchange.now))

        assert calls == sorted([*LOOK, "fills", "orders"])
        assert [(one.symbol, one.order_type) for one in answer.history.fills] == [("SA", "market")]


def test_parts_that_were_not_asked_for_are_none():
    with an_office(exchange=an_exchange()) as office:
        answer, calls = asked(office, a_whole_look(HistoryPart.EQUITY, parts=(SnapshotPart.CLOCK,)))

        assert calls == ["clock", "equity_days", "trading_days"]
        assert answer.history.equity is not None
        assert (answer.history.trading_days, answer.history.fills, answer.history.bars) == (None, None, None)


def test_bars_are_those_of_the_plan_and_of_what_is_held():
    exchange = an_exchange(bars=[bar for name in ("SA", "OLD", "ELSE") for bar in bars_upto(name, 2)])
    exchange.shares |= {"BTC/USD": Decimal(1)}
    exchange.prices |= {"BTC/USD": Decimal(1)}
    with an_office(exchange=exchange) as office:
        answer, calls = asked(office, a_whole_look(HistoryPart.BARS))

        assert calls.count("daily_bars") == 1
        assert {bar.symbol for bar in answer.history.bars} == {"SA", "OLD"}
        assert dict(exchange.calls)["daily_bars"] == ("SA", "BA", "OLD")


@pytest.mark.parametrize("call", ["trading_days", "fills", "equity_days", "daily_bars"])
def test_one_part_that_can_not_be_read_fails_the_look_with_one_answer(call):
    with an_office(exchange=an_exchange()) as office:
        office.exchange.plan(call, BrokerUnavailable(f"{call}: http 500"))

        answer = office.ask(a_whole_look(*ALL_PAST))
        again = office.ask(a_whole_look(*ALL_PAST, ask=2))

        assert isinstance(answer, mail.FetchFailed)
        assert (answer.call, answer.ask, answer.why) == ("snapshot", 1, f"{call}: http 500")
        assert again.history.fills == ()
        assert len(office.answers) == 2


@pytest.mark.parametrize("part", ["clock", "positions", "account"])
def test_a_part_of_the_snapshot_that_fails_fails_the_history_too(part):
    with an_office(exchange=an_exchange()) as office:
        office.exchange.plan(part, BrokerUnavailable("http 500"))

        answer = office.ask(a_whole_look(*ALL_PAST))

        assert isinstance(answer, mail.FetchFailed)
        assert len(office.answers) == 1


def test_a_429_on_a_page_of_executions_is_asked_again():
    with an_office(exchange=an_exchange()) as office:
        office.exchange.plan("fills", RateLimited("http 429", 0.05), times=2)

        assert office.ask(a_whole_look(*ALL_PAST)).history.fills == ()


def test_the_day_is_the_brokers_whatever_ours_is():
    """Sunday here; by the broker's clock it is Friday evening in New York."""
    exchange = an_exchange(now=datetime(2026, 10, 10, 3, 30, tzinfo=UTC))
    with an_office(exchange=exchange) as office:
        office.now = datetime(2026, 10, 11, 12, tzinfo=UTC)

        days = office.ask(a_whole_look(HistoryPart.DAYS)).history.trading_days

        assert days[-1].day == date(2026, 10, 9)


def test_a_new_day_of_the_brokers_is_read_anew():
    with an_office(exchange=an_exchange()) as office:
        office.ask(a_whole_look(*MOST))
        office.exchange.now += timedelta(days=1)

        answer, calls = asked(office, a_whole_look(*MOST, ask=2))

        assert {"trading_days", "equity_days"} <= set(calls)
        assert answer.history.trading_days[-1].day == date(2026, 10, 9)


def test_a_history_without_a_snapshot_asks_for_the_clock():
    with an_office(exchange=an_exchange()) as office:
        answer, calls = asked(office, a_whole_look(HistoryPart.DAYS, parts=()))

        assert calls == ["clock", "trading_days"]
        assert len(answer.history.trading_days) == 10
        assert answer.snapshot.clock is None


def test_parts_of_the_past_are_read_side_by_side():
    with an_office(exchange=an_exchange()) as office:
        together = threading.Barrier(3)

        def meet(name, _about):
            if name in {"fills", "equity_days", "daily_bars"}:
                together.wait(LIMIT_S)

        office.exchange.before = meet

        assert isinstance(office.ask(a_whole_look(*ALL_PAST)), mail.SnapshotFetched)


def test_warming_fills_what_a_day_needs_but_for_the_bars():
    exchange = an_exchange(executions=[a_fill(1, FakeExchange().now)])
    with an_office(exchange=exchange, warm=True, warm_history=ALL_PAST) as office:
        warmed(office)

        _, calls = asked(office, a_whole_look(*ALL_PAST, after=exchange.now))

        assert calls == sorted([*LOOK, "fills", "daily_bars"])


def test_a_past_that_can_not_be_warmed_is_read_when_it_is_wanted():
    exchange = an_exchange()
    exchange.plan("trading_days", BrokerUnavailable("http 500"))
    with an_office(exchange=exchange, warm=True, warm_history=MOST) as office:
        warmed(office)

        assert isinstance(office.ask(a_whole_look(*MOST)), mail.SnapshotFetched)


def many_looks_on_a_small_limit():
    with an_office(exchange=an_exchange(), requests_per_minute=40) as office:
        for ask in range(1, 32):
            office.ask(a_whole_look(HistoryPart.DAYS, HistoryPart.EQUITY, parts=(SnapshotPart.CLOCK,), ask=ask))
        return len(office.exchange.calls)


def test_what_is_known_takes_no_slot_of_the_limit():
    assert many_looks_on_a_small_limit() == 31 + 2


def test_slots_that_are_not_given_back_are_missed(monkeypatch):
    monkeypatch.setattr(Requests, "over", lambda _: None)
    monkeypatch.setattr(test_desk, "LIMIT_S", 0.5)

    with pytest.raises(AssertionError):
        many_looks_on_a_small_limit()
