"""Few requests, nothing missed: whatever happens at the broker, the lists that are asked for show every live order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.trading.broker import (
    ORDERS_PAGE_LIMIT,
    BrokerUnavailable,
    Listing,
    OrdersPage,
    OrdersQuery,
    next_page,
)
from departments.trading.looks import (
    AssetCache,
    OrdersHorizon,
    QuoteCache,
    joined,
    live_orders,
    live_orders_of_others,
    orders_of_run,
)
from messages.snapshots import TERMINAL_BROKER_STATUSES, AssetFacts, BrokerStatus, OrderFacts, QuoteFacts
from messages.values import ClientOrderId, OrderId, RunId, Side

T0 = datetime(2026, 10, 8, 14, 0, tzinfo=UTC)
RUN = RunId("R" + "ab" * 10)


def an_order(name, *, at=T0, status=BrokerStatus.NEW, client_order_id=None, as_of=None, legs=(), symbol="SA"):
    return OrderFacts(
        order_id=OrderId(name),
        client_order_id=ClientOrderId(client_order_id or name),
        symbol=symbol,
        side=Side.SELL,
        qty=Decimal(1),
        filled_qty=Decimal(0),
        filled_avg_price_usd=None,
        status=status,
        raw_status=status.value,
        order_type="market",
        time_in_force="day",
        submitted_at=at,
        as_of=as_of or at,
        legs=legs,
    )


def listed(orders, queries):
    """What a broker shows for these queries."""
    return joined(
        [
            order
            for order in orders
            if (query.after is None or order.submitted_at > query.after)
            and (not query.symbols or order.symbol in query.symbols)
            and (query.listing is Listing.ALL or order.status not in TERMINAL_BROKER_STATUSES)
        ]
        for query in queries
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 3000)),
        st.tuples(st.just("end"), st.integers(0, 50)),
        st.tuples(st.just("look"), st.integers(0, 3)),
        st.tuples(st.just("clock"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(0, 100_000)),
        st.tuples(st.just("list"), st.integers(0, 3)),
    ),
    max_size=40,
)


def missed_orders(horizon_type, steps):
    """Play a day at the broker; live orders and orders since a run's start that a look did not show."""
    horizon, orders, now = horizon_type(), [an_order("old")], T0 + timedelta(hours=1)
    run_began = now
    missed = set()
    for what, number in steps:
        now += timedelta(milliseconds=1)
        match what:
            case "submit":
                orders.append(an_order(f"order-{len(orders)}", at=now - timedelta(milliseconds=number)))
            case "end":
                at = number % len(orders)
                orders[at] = orders[at].model_copy(update={"status": BrokerStatus.FILLED, "as_of": now})
            case "wait":
                now += timedelta(seconds=number)
            case "clock":
                horizon.saw_clock(now)
            case "look" | "list":
                symbols = ("SA",) if what == "list" else ()
                asked_at = horizon.broker_time
                shown = listed(orders, horizon.queries(run_began, symbols))
                if what == "look":
                    horizon.saw_account(shown, asked_at=asked_at)
                due = (o for o in orders if o.status not in TERMINAL_BROKER_STATUSES or o.submitted_at > run_began)
                missed |= {order.order_id for order in due} - {order.order_id for order in shown}
    return missed


@given(STEPS)
def test_no_live_order_and_none_of_the_run_is_ever_missed(steps):
    assert missed_orders(OrdersHorizon, steps) == set()


def test_the_planted_fault_of_forgetting_older_live_orders_is_caught():
    class Forgetful(OrdersHorizon):
        def saw_account(self, orders, *, asked_at):
            super().saw_account([], asked_at=asked_at)

    story = [("clock", 0), ("look", 0), ("wait", 10), ("clock", 0), ("look", 0)]

    assert missed_orders(Forgetful, story) == {"old"}
    assert missed_orders(OrdersHorizon, story) == set()


def test_without_any_look_before_two_lists_are_asked_for():
    queries = OrdersHorizon().queries(T0)

    assert [query.listing for query in queries] == [Listing.ALL, Listing.OPEN]


def test_after_a_look_one_list_serves_for_both():
    horizon = OrdersHorizon()
    horizon.saw_clock(T0)
    horizon.saw_account([], asked_at=T0)

    (query,) = horizon.queries(T0 + timedelta(hours=1))

    assert query.listing is Listing.ALL
    assert query.after is not None
    assert query.after < T0


def test_a_look_before_any_time_of_the_brokers_is_no_basis():
    horizon = OrdersHorizon()
    horizon.saw_account([an_order("a")], asked_at=None)

    assert len(horizon.queries(T0)) == 2


def test_a_start_that_lies_ahead_of_the_brokers_clock_means_now():
    horizon = OrdersHorizon()
    horizon.saw_clock(T0)
    horizon.saw_account([], asked_at=T0)

    (query,) = horizon.queries(T0 + timedelta(days=365))

    assert query.after is not None
    assert query.after < T0


def test_a_clock_turned_back_forgets_what_was_known():
    horizon = OrdersHorizon()
    horizon.saw_clock(T0)
    horizon.saw_account([], asked_at=T0)
    horizon.saw_clock(T0 - timedelta(days=1))

    assert len(horizon.queries(T0)) == 2
    assert horizon.broker_time == T0 - timedelta(days=1)


def test_lists_join_to_the_newest_view_of_each_order():
    old, new = an_order("a"), an_order("a", as_of=T0 + timedelta(seconds=1), status=BrokerStatus.FILLED)

    assert joined([[old, an_order("b")], [new]]) == (new, an_order("b"))
    assert joined([[new], [old]]) == (new,)


def test_the_runs_orders_are_known_by_the_prefix_of_their_id():
    ours = an_order("a", client_order_id=f"{RUN}-S01-1", status=BrokerStatus.FILLED)
    other_run = an_order("b", client_order_id="R" + "cd" * 10 + "-S01-1")

    assert orders_of_run([ours, other_run, an_order("c")], RUN) == (ours,)


def test_a_stop_that_outlives_its_entry_is_live():
    stop = an_order("stop", client_order_id="uuid")
    entry = an_order("entry", status=BrokerStatus.FILLED, legs=(stop,))

    assert live_orders([entry]) == (stop,)


def test_legs_of_our_own_orders_are_no_strangers():
    ours = an_order("a", client_order_id=f"{RUN}-B01-1", status=BrokerStatus.FILLED, legs=(an_order("stop"),))
    theirs = an_order("b", status=BrokerStatus.FILLED, legs=(an_order("their stop"),))
    elsewhere = an_order("c", symbol="ZZ")

    found = live_orders_of_others([ours, theirs, elsewhere], RUN, ("SA",))

    assert [order.order_id for order in found] == ["their stop"]


def test_a_page_that_is_not_full_is_the_last():
    query = OrdersQuery(listing=Listing.ALL)

    assert next_page(query, OrdersPage((an_order("a"),), 1)) is None
    assert next_page(query, OrdersPage((), 0)) is None


def test_the_next_page_begins_where_this_one_ends_and_a_microsecond_before():
    last = T0 + timedelta(seconds=9)
    page = OrdersPage((an_order("a"), an_order("b", at=last)), ORDERS_PAGE_LIMIT)

    following = next_page(OrdersQuery(listing=Listing.OPEN, symbols=("SA",)), page)

    assert following == OrdersQuery(listing=Listing.OPEN, after=last - timedelta(microseconds=1), symbols=("SA",))


def test_a_page_that_leads_nowhere_is_an_error():
    query = OrdersQuery(listing=Listing.ALL, after=T0 - timedelta(microseconds=1))

    with pytest.raises(BrokerUnavailable, match="does not lead past"):
        next_page(query, OrdersPage((an_order("a"),), ORDERS_PAGE_LIMIT))


def test_assets_are_forgotten_overnight():
    cache = AssetCache()
    cache.turn_to(T0.date())
    cache.learn("SA", AssetFacts(symbol="SA", status="active", tradable=True, fractionable=True))
    cache.learn("NOPE", None)

    assert cache.missing(("SA", "NOPE", "SB")) == ("SB",)
    assert [asset.symbol for asset in cache.known(("SA", "NOPE"))] == ["SA"]

    cache.turn_to(T0.date() + timedelta(days=1))

    assert cache.missing(("SA", "NOPE")) == ("SA", "NOPE")


def test_the_list_of_all_assets_is_worth_it_from_five_symbols_and_once_a_day():
    cache = AssetCache()
    cache.turn_to(T0.date())

    assert not cache.wants_list(("A", "B", "C", "D"))
    assert cache.wants_list(("A", "B", "C", "D", "E"))

    cache.learn_list([])

    assert not cache.wants_list(("A", "B", "C", "D", "E"))


def a_quote(symbol):
    return QuoteFacts(symbol=symbol, bid_usd=None, ask_usd=Decimal(20), last_usd=None, at=T0)


@pytest.mark.parametrize(
    ("age_s", "symbols", "served"),
    [(0, ("A", "B"), ["A"]), (1.9, ("A",), ["A"]), (1, ("B",), []), (2, ("A",), None), (1, ("A", "C"), None)],
    ids=["just now", "a moment ago", "one that has no price", "too long ago", "one that was not asked for"],
)
def test_quotes_of_a_moment_ago_serve_again(age_s, symbols, served):
    cache = QuoteCache()
    cache.learn(T0, ("A", "B"), (a_quote("A"),))

    found = cache.recent(T0 + timedelta(seconds=age_s), symbols, timedelta(seconds=2))

    assert (found if found is None else [quote.symbol for quote in found]) == served


def test_quotes_serve_nobody_before_they_were_read_nor_when_the_clock_went_back():
    cache = QuoteCache()
    assert cache.recent(T0, ("A",), timedelta(seconds=2)) is None

    cache.learn(T0, ("A",), (a_quote("A"),))
    assert cache.recent(T0 - timedelta(seconds=1), ("A",), timedelta(seconds=2)) is None
