"""Whatever the account and whatever plans follow each other: what is sent creates and worsens no breach.

Each plan goes through the real review, the real fit at the gate and the real recheck; then its orders fill, or rest at
the broker into the next plan, prices move, stops sell. What is sent is judged anew, in fractions and on reserved
values, from the test's own books; no code is shared with the rulebook. Each planted fault must be caught there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from departments.compliance.review import review
from departments.office.settings import OnViolation, Settings
from departments.operations.sizing import fit_buys
from departments.rulebook import fitting, past, portfolio, rules, timing
from departments.rulebook.limits import limits_of
from departments.rulebook.standing import still_stand
from messages.plans import Trade
from messages.reviews import Decision
from messages.snapshots import FillFacts, OrderFacts, Snapshot
from messages.values import Funding, Side, client_order_id_for
from tests.builders.portfolio import (
    OTHER_RUN,
    at_recheck,
    at_submission,
    buy,
    fill,
    gate_money,
    held,
    history,
    open_order,
    quote,
    sell,
    settings,
    snapshot,
    to_fit,
    today,
)

POOL = ("AA", "BB", "CC", "DD", "EE", "FF", "GG", "HH", "II", "JJ")
SECTOR = {symbol: ("Energy", "Tech", "Staples")[n % 3] for n, symbol in enumerate(POOL)}
SPREAD = Decimal("1.004")


@dataclass(frozen=True)
class Buying:
    """One BUY that somebody wants. `rests`: the part of it that stays open at its limit (0: it fills at the ask)."""

    symbol: str
    qty: int
    score: int | None = None
    rests: Decimal = Decimal(0)


@dataclass(frozen=True)
class Step:
    """What happens before a plan, the plan, and how its SELLs fare.

    Attributes:
        drift: Symbol -> what its price is multiplied by before the plan.
        stopped: What a stop sells before the plan.
        settled: Resting orders fill before the plan.
        sells: Symbol -> the part of what is held.
        sold: The part of each SELL that fills.
        slip: What a SELL brings of its bid.
    """

    buys: tuple[Buying, ...] = ()
    drift: Mapping[str, Decimal] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    settled: bool = False
    sells: Mapping[str, Decimal] = field(default_factory=dict)
    sold: Decimal = Decimal(1)
    slip: Decimal = Decimal(1)


@dataclass(frozen=True)
class Story:
    """An account, a rulebook, and what happens to them in one day."""

    rules: Settings
    cash: Decimal
    holdings: Mapping[str, int]
    steps: tuple[Step, ...]
    price: Decimal = Decimal(20)


def exact(figure: Decimal) -> Fraction:
    return Fraction(figure)


class World:
    """The account as the test keeps it."""

    def __init__(self, story: Story) -> None:
        self.rules = story.rules
        self.limits = limits_of(story.rules)
        self.cash = story.cash
        self.prices = dict.fromkeys(POOL, story.price)
        self.shares = {symbol: Decimal(qty) for symbol, qty in story.holdings.items() if qty}
        self.resting: list[OrderFacts] = []
        self.fills: list[FillFacts] = []
        self.plans = 0
        self.orders = 0
        self.stopped: set[str] = set()
        self.bought: set[str] = set()
        self.least_cash = min(story.cash, Decimal(0))

    # -- what happens ----------------------------------------------------------------------------------------------

    def live(self, step: Step) -> None:
        """One plan, from what comes before it to its fills."""
        self.before(step)
        trades = (*self.sells(step), *self.buys(step))
        sells = [leg for leg in trades if leg.side is Side.SELL]
        told = {"past": history(fills=self.fills), "counts": today(plans=self.plans, orders=self.orders)}
        verdict = review(at_submission(trades, self.look(trades), **told), self.limits, OnViolation.CUT)
        assert not verdict.rejected, verdict
        left = {leg.leg: leg.qty for leg in verdict.legs}
        assert all(left[leg.leg] == leg.qty for leg in sells), "a SELL was cut"
        asked = [
            leg.model_copy(update={"qty": left[leg.leg]}) for leg in trades if leg.side is Side.BUY and left[leg.leg]
        ]
        cash_before = self.cash
        run_orders = tuple(self.sell(leg, step) for leg in sells)
        gate = self.look(trades).model_copy(update={"run_orders": run_orders})
        money = gate_money(proceeds=self.cash - cash_before, cash_before=cash_before, cash_now=self.cash)
        fitted = fit_buys(to_fit(asked, gate, money, **told), self.limits, OnViolation.CUT)
        whole = all(leg.decision is Decision.KEEP for leg in fitted.legs)
        assert still_stand(to_fit(asked, gate, money, **told), self.limits) is whole, "the gate's own word differs"
        of = {leg.leg: leg for leg in asked}
        sent = [of[leg.leg].model_copy(update={"qty": leg.qty}) for leg in fitted.legs if leg.qty]
        again = review(at_recheck(sent, gate, money, **told), self.limits, OnViolation.CUT)
        assert all(leg.decision is Decision.KEEP for leg in again.legs), f"the recheck differs: {again}"
        self.judge(sent, len(sells), cash_before)
        self.buy(sent, step)
        self.plans += 1
        self.orders += len(sells) + len(sent)

    def before(self, step: Step) -> None:
        for symbol, factor in step.drift.items():
            self.prices[symbol] *= factor
        for symbol in step.stopped:
            if symbol in self.shares:
                self.cash += self.shares.pop(symbol) * self.prices[symbol]
                self.fills.append(fill(symbol, Side.SELL, order_type="stop"))
                self.stopped.add(symbol)
        if step.settled:
            for order in self.resting:
                rest = order.qty - order.filled_qty
                self.cash -= rest * order.limit_price_usd
                self.shares[order.symbol] = self.shares.get(order.symbol, Decimal(0)) + rest
                self.fills.append(fill(order.symbol, Side.BUY, order_id=order.order_id))
                self.bought.add(order.symbol)
            self.resting = []

    def sells(self, step: Step) -> list[Trade]:
        busy = {order.symbol for order in self.resting}
        legs = [
            (symbol, qty)
            for symbol, part in step.sells.items()
            if symbol not in busy and (qty := self.shares.get(symbol, Decimal(0)) * part // 1)
        ]
        return [sell(f"S{n:02}", symbol, qty, self.prices[symbol]) for n, (symbol, qty) in enumerate(legs, 1)]

    def buys(self, step: Step) -> list[Trade]:
        wanted = [one for one in step.buys if one.symbol not in step.sells]
        return [
            buy(
                f"B{n:02}",
                one.symbol,
                one.qty,
                self.prices[one.symbol],
                score=one.score,
                **({"limit": self.prices[one.symbol]} if one.rests else {}),
            )
            for n, one in enumerate(wanted, 1)
        ]

    def look(self, trades: tuple[Trade, ...]) -> Snapshot:
        positions = [held(symbol, qty, self.prices[symbol]) for symbol, qty in self.shares.items()]
        equity = self.cash + sum((qty * self.prices[symbol] for symbol, qty in self.shares.items()), Decimal(0))
        quotes = [quote(leg.symbol, self.prices[leg.symbol], ask=self.prices[leg.symbol] * SPREAD) for leg in trades]
        return snapshot(
            trades, equity=equity, cash=self.cash, positions=positions, open_orders=self.resting, quotes=quotes
        )

    def sell(self, leg: Trade, step: Step) -> OrderFacts:
        qty = leg.qty * step.sold // 1
        self.shares[leg.symbol] -= qty
        if not self.shares[leg.symbol]:
            del self.shares[leg.symbol]
        self.cash += qty * self.prices[leg.symbol] * step.slip
        if qty:
            self.fills.append(fill(leg.symbol, Side.SELL, order_id=f"order-{leg.symbol}-sell"))
        return open_order(leg.symbol, Side.SELL, leg.qty, own=True, filled=qty)

    def buy(self, sent: list[Trade], step: Step) -> None:
        """Fill at the ask or the limit; what rests is an order of a run before in the next plan."""
        rests = {one.symbol: one.rests for one in step.buys}
        for leg in sent:
            rest = leg.qty * rests[leg.symbol] // 1
            price = leg.limit_price_usd or self.prices[leg.symbol] * SPREAD
            name = f"{self.plans}-{leg.symbol}"
            if rest:
                order = open_order(
                    leg.symbol,
                    Side.BUY,
                    leg.qty,
                    filled=leg.qty - rest,
                    limit=leg.limit_price_usd,
                    client_order_id=client_order_id_for(OTHER_RUN, f"B{self.plans}{POOL.index(leg.symbol)}", 1),
                )
                self.resting.append(order.model_copy(update={"order_id": name}))
            if leg.qty > rest:
                self.cash -= (leg.qty - rest) * price
                self.shares[leg.symbol] = self.shares.get(leg.symbol, Decimal(0)) + leg.qty - rest
                self.fills.append(fill(leg.symbol, Side.BUY, order_id=name))
                self.bought.add(leg.symbol)

    # -- and what must hold ----------------------------------------------------------------------------------------

    def judge(self, sent: list[Trade], sells: int, cash_before: Decimal) -> None:
        """Judge the BUYs of one plan at the moment they are sent."""
        self.judge_money(sent, cash_before)
        if not sent:
            return
        cushion = 1 + exact(self.rules.compliance.prices.price_cushion_fraction)
        cost = {leg.symbol: exact(leg.qty) * self.reserve(leg, cushion) for leg in sent}
        values = {symbol: exact(qty) * exact(self.prices[symbol]) for symbol, qty in self.shares.items()}
        for order in self.resting:
            rest = exact(order.qty - order.filled_qty) * exact(order.limit_price_usd)
            values[order.symbol] = values.get(order.symbol, Fraction(0)) + rest
        equity = exact(self.cash) + sum(exact(q) * exact(self.prices[s]) for s, q in self.shares.items())
        after = {symbol: values.get(symbol, 0) + cost.get(symbol, 0) for symbol in values.keys() | cost.keys()}
        hard, daily = self.rules.hard_constraints, self.rules.compliance.daily
        most = hard.position_limits.max_positions_total
        assert len(after) <= most or after.keys() == values.keys(), "a new position past the most"
        for symbol in cost:
            assert after[symbol] <= exact(hard.position_limits.max_position_fraction) * equity, f"{symbol} too large"
        gross = sum(after.values())
        assert gross <= exact(hard.exposure.max_gross_exposure_fraction) * equity, "gross exposure"
        if hard.exposure.max_sector_fraction is not None:
            for sector in {SECTOR[symbol] for symbol in cost}:
                part = sum(value for symbol, value in after.items() if SECTOR[symbol] == sector)
                assert part <= exact(hard.exposure.max_sector_fraction) * gross, f"too much of {sector}"
        assert self.plans < daily.max_plans, "a plan too many"
        assert self.orders + sells + len(sent) <= daily.max_orders, "an order too many"
        assert cost.keys().isdisjoint(self.bought), "bought twice a day"
        assert cost.keys().isdisjoint(self.stopped), "bought back after a stop"
        trips = self.round_trips()
        assert trips < self.rules.compliance.day_trades.max_round_trips, "a round trip too many if sold today"

    def judge_money(self, sent: list[Trade], cash_before: Decimal) -> None:
        """Even when all that is open fills at its dearest, no debt has grown."""
        cushion = 1 + exact(self.rules.compliance.prices.price_cushion_fraction)
        flight = sum(exact(order.qty - order.filled_qty) * exact(order.limit_price_usd) for order in self.resting)
        cost = sum((exact(leg.qty) * self.reserve(leg, cushion) for leg in sent), Fraction(0))
        worst = exact(self.cash) - flight - cost
        if sent:
            assert worst >= min(exact(cash_before), 0) + exact(self.limits.cash_reserve_usd), "debt grows"
        assert worst >= exact(self.least_cash), "debt has grown over the day"

    def reserve(self, leg: Trade, cushion: Fraction) -> Fraction:
        if leg.limit_price_usd is not None:
            return exact(leg.limit_price_usd)
        return max(exact(self.prices[leg.symbol] * SPREAD), exact(leg.reference_price_usd)) * cushion

    def round_trips(self) -> int:
        found, last = 0, {}
        for one in self.fills:
            found += one.side is Side.SELL and last.get(one.symbol) is Side.BUY
            last[one.symbol] = one.side
        return found


def play(story: Story) -> World:
    world = World(story)
    for step in story.steps:
        world.live(step)
    return world


# -- stories -----------------------------------------------------------------------------------------------------------


def house(*, sector: str | None = None, **hard: object) -> Settings:
    """A rulebook; limits are far away unless given."""
    return settings(
        compliance={
            "position_sizing": {"min_position_value": hard.get("least", 0)},
            "risk": {"max_plan_risk_fraction": 9},
            "cash": {"cash_reserve": hard.get("reserve", 0)},
            "daily": {"max_plans": hard.get("plans", 9), "max_orders": hard.get("orders", 99)},
            "day_trades": {"max_round_trips": hard.get("trips", 9)},
            "sectors": {"of_symbols": SECTOR},
        },
        hard_constraints={
            "position_limits": {
                "max_positions_total": hard.get("positions", 30),
                "max_position_fraction": hard.get("fraction", 5),
            },
            "exposure": {"max_gross_exposure_fraction": hard.get("gross", 50), "max_sector_fraction": sector},
        },
    )


@st.composite
def houses(draw) -> Settings:
    return house(
        sector=draw(st.sampled_from([None, None, "0.4", "0.6"])),
        least=draw(st.sampled_from([0, 500])),
        reserve=draw(st.sampled_from([0, 0, 250])),
        plans=draw(st.sampled_from([9, 9, 9, 1, 2])),
        orders=draw(st.sampled_from([99, 99, 3, 6])),
        trips=draw(st.sampled_from([9, 9, 9, 0, 1])),
        positions=draw(st.sampled_from([30, 30, 3, 5, 6])),
        fraction=draw(st.sampled_from(["5", "5", "0.3", "0.15"])),
        gross=draw(st.sampled_from(["50", "2.0", "1.1", "0.8"])),
    )


FACTORS = st.sampled_from([Decimal(text) for text in ("0.7", "0.95", "1.04", "1.3", "1.8")])
PARTS = st.sampled_from([Decimal(text) for text in ("1", "1", "0.5", "0.2")])


@st.composite
def steps(draw) -> Step:
    symbols = st.sampled_from(POOL)
    buying = st.builds(
        Buying,
        symbol=symbols,
        qty=st.sampled_from([5, 20, 60, 150, 400]),
        score=st.sampled_from([None, 1, 2, 3]),
        rests=st.sampled_from([Decimal(0), Decimal(0), Decimal(1), Decimal("0.5")]),
    )
    return Step(
        buys=tuple(draw(st.lists(buying, min_size=1, max_size=5, unique_by=lambda one: one.symbol))),
        drift=draw(st.dictionaries(symbols, FACTORS, max_size=4)),
        stopped=tuple(draw(st.lists(symbols, max_size=1))),
        settled=draw(st.booleans()),
        sells=draw(st.dictionaries(symbols, PARTS, max_size=3)),
        sold=draw(st.sampled_from([Decimal(1), Decimal(1), Decimal("0.5"), Decimal(0)])),
        slip=draw(st.sampled_from([Decimal(1), Decimal("0.97"), Decimal("1.01")])),
    )


@st.composite
def stories(draw) -> Story:
    return Story(
        rules=draw(houses()),
        cash=draw(st.sampled_from([Decimal(n) for n in (-6_000, -500, 3_000, 20_000, 20_000)])),
        holdings=draw(st.dictionaries(st.sampled_from(POOL), st.sampled_from([10, 60, 200, 500]), max_size=6)),
        steps=tuple(draw(st.lists(steps(), min_size=1, max_size=4))),
    )


@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_no_sequence_of_plans_creates_or_worsens_a_breach(story):
    play(story)


RICH = Decimal(100_000)
SHOWN = {
    "what rests from the first plan is money the second doesn't have": Story(
        house(),
        Decimal(3_000),
        {},
        (Step((Buying("AA", 100, rests=Decimal(1)),)), Step((Buying("BB", 150),))),
    ),
    "what the first plan bought counts among the positions and for its symbol": Story(
        house(positions=3),
        RICH,
        {"AA": 10, "BB": 10},
        (Step((Buying("CC", 10),)), Step((Buying("DD", 10), Buying("AA", 10)))),
    ),
    "a symbol that has risen past its fraction is not bought": Story(
        house(fraction="0.05"),
        RICH,
        {"AA": 300},
        (Step((Buying("AA", 100), Buying("BB", 400)), drift={"AA": Decimal("1.8")}),),
    ),
    "exposure past its limit is not added to": Story(
        house(gross="1.1"),
        Decimal(-6_000),
        {"AA": 300, "BB": 500},
        (Step((Buying("CC", 60),), drift={"AA": Decimal("0.7")}), Step((Buying("DD", 400),), sells={"BB": Decimal(1)})),
    ),
    "two BUYs of one sector, each within its fraction, are not together": Story(
        house(sector="0.4"),
        RICH,
        {"AA": 200, "BB": 200, "CC": 200},
        (Step((Buying("DD", 60), Buying("GG", 60), Buying("JJ", 60))),),
    ),
    "the second plan is one too many": Story(
        house(plans=1), RICH, {}, (Step((Buying("AA", 10),)), Step((Buying("BB", 10),)))
    ),
    "SELLs and BUYs of both plans are counted": Story(
        house(orders=4),
        RICH,
        {"AA": 10, "BB": 10},
        (
            Step((Buying("CC", 10),), sells={"AA": Decimal(1)}),
            Step((Buying("DD", 10), Buying("EE", 10)), sells={"BB": Decimal(1)}),
        ),
    ),
    "what the first plan bought is not bought again": Story(
        house(), RICH, {}, (Step((Buying("AA", 10),)), Step((Buying("AA", 10), Buying("BB", 10))))
    ),
    "what a stop sold is not bought back": Story(
        house(), RICH, {"AA": 50}, (Step((Buying("AA", 10), Buying("BB", 10)), stopped=("AA",)),)
    ),
    "bought in the first plan, sold in the second: the one round trip": Story(
        house(trips=1),
        RICH,
        {},
        (Step((Buying("AA", 10),)), Step((Buying("BB", 10),), sells={"AA": Decimal(1)})),
    ),
    "a debt is not added to, and what is in reserve not spent": Story(
        house(reserve=250),
        Decimal(-500),
        {"AA": 100},
        (Step((Buying("BB", 60), Buying("CC", 60)), sells={"AA": Decimal(1)}, slip=Decimal("0.97")),),
    ),
}


@pytest.mark.parametrize("story", SHOWN.values(), ids=SHOWN)
def test_the_stories_that_show_the_faults_are_sound_themselves(story):
    assert play(story).fills, "expected something to happen, was nothing"


def in_flight_forgotten(monkeypatch):
    monkeypatch.setattr(portfolio, "_open_buy_usd", lambda *_: Decimal(0))


def positions_not_counted(monkeypatch):
    without(monkeypatch, "POSITIONS_ABOVE_MAX")


def held_shares_forgotten(monkeypatch):
    monkeypatch.setattr(portfolio.Book, "held_usd", lambda *_: Decimal(0))


def exposure_of_buys_only(monkeypatch):
    monkeypatch.setattr(portfolio, "held_gross_usd", lambda _: Decimal(0))


def earlier_buys_forgotten(monkeypatch):
    monkeypatch.setattr(portfolio.Book, "with_buy", lambda book, _, **__: book)


def sector_of_each_leg_alone(monkeypatch):
    real = portfolio.Book.with_buy

    def forgetful(book, symbol, **more):
        return replace(real(book, symbol, **more), symbol_usd=book.symbol_usd)

    monkeypatch.setattr(portfolio.Book, "with_buy", forgetful)


def sector_of_all_that_was_asked(monkeypatch):
    """The first guess of the whole is taken for the truth."""
    monkeypatch.setattr(fitting, "_gross_asked_usd", lambda *_: Decimal(10**9))
    monkeypatch.setattr(fitting, "_fit", spied(fitting._fit))


def spied(real):
    def fit_as_if_it_were_worth_it(buys, context, **more):
        decisions, book = real(buys, context, **more)
        return decisions, replace(book, gross_usd=context.sector_base_usd)

    return fit_as_if_it_were_worth_it


def plans_not_counted(monkeypatch):
    without(monkeypatch, "PLANS_ABOVE_MAX")


def orders_of_this_plan_not_counted(monkeypatch):
    real = portfolio.open_book
    for module in ("departments.compliance.review.open_book", "departments.operations.sizing.open_book"):
        monkeypatch.setattr(module, lambda view, **more: replace(real(view, **more), orders=0))


def bought_today_forgotten(monkeypatch):
    monkeypatch.setattr(past.Past, "bought_today", frozenset())


def stops_taken_for_sells(monkeypatch):
    monkeypatch.setattr(past, "STOPS", frozenset())


def round_trips_of_this_plan_forgotten(monkeypatch):
    real = timing.round_trip_is_left

    def blind(leg, context):
        return real(leg, replace(context, book=replace(context.book, sold=frozenset())))

    swap(monkeypatch, "ROUND_TRIPS_ABOVE_MAX", blind)


def buying_power_taken_for_money(monkeypatch):
    real = portfolio.spendable_usd

    def borrowed(figures, **more):
        return real(figures.model_copy(update={"funding": Funding.BUYING_POWER}), **more)

    monkeypatch.setattr(portfolio, "spendable_usd", borrowed)


def reserve_forgotten(monkeypatch):
    real = portfolio.spendable_usd
    monkeypatch.setattr(
        portfolio, "spendable_usd", lambda figures, **more: real(figures, **{**more, "cash_reserve_usd": Decimal(0)})
    )


def without(monkeypatch, code):
    swap(monkeypatch, code, lambda *_: None)


def swap(monkeypatch, code, check):
    """Put another check in a rule's place, wherever the rules are kept."""
    old = next(rule for rule in rules.RULES if rule.code == code)
    monkeypatch.setattr(
        rules, "_FACTS_OF_BUYS", tuple(check if one is old.check else one for one in rules._FACTS_OF_BUYS)
    )
    monkeypatch.setattr(
        fitting,
        "CEILINGS",
        tuple((replace(rule, check=check) if rule.code == code else rule, room) for rule, room in fitting.CEILINGS),
    )


@pytest.mark.parametrize(
    "plant",
    [
        in_flight_forgotten,
        positions_not_counted,
        held_shares_forgotten,
        exposure_of_buys_only,
        earlier_buys_forgotten,
        sector_of_each_leg_alone,
        sector_of_all_that_was_asked,
        plans_not_counted,
        orders_of_this_plan_not_counted,
        bought_today_forgotten,
        stops_taken_for_sells,
        round_trips_of_this_plan_forgotten,
        buying_power_taken_for_money,
        reserve_forgotten,
    ],
)
def test_a_planted_fault_is_caught(monkeypatch, plant):
    plant(monkeypatch)

    def play_all():
        for story in SHOWN.values():
            play(story)

    with pytest.raises(AssertionError):
        play_all()
