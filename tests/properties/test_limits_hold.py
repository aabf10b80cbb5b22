"""Whatever the plan, the account, the quotes and the limits: what Compliance and Operations let through breaks nothing.

The checks below reckon anew, in fractions, from the snapshot alone; they share no code with the rulebook. Each planted
fault changes one thing in the rulebook and must be caught by one of them.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, auto
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from departments.compliance.review import review
from departments.office.settings import OnViolation, Settings
from departments.operations.sizing import fit_buys
from departments.rulebook import fitting, money, portfolio
from departments.rulebook.limits import limits_of
from departments.rulebook.standing import still_stand
from messages.plans import Trade
from messages.reviews import Decision, LegDecision, Money
from messages.snapshots import Snapshot
from messages.values import Funding, Side
from tests.builders.portfolio import (
    asset,
    at_recheck,
    at_submission,
    buy,
    gate_money,
    held,
    open_order,
    quote,
    sell,
    settings,
    snapshot,
    to_fit,
)

POOL = ("AA", "BB", "CC", "DD", "EE", "FF", "GG", "HH")


@dataclass(frozen=True)
class Case:
    """A plan, an account and a rulebook. `cash_now`, `spent` and `proceeds` are the gate's."""

    trades: tuple[Trade, ...]
    look: Snapshot
    gate: Snapshot
    money: Money
    rules: Settings
    on_violation: OnViolation


def usd(low: int, high: int) -> st.SearchStrategy[Decimal]:
    """Dollars and cents, evenly: Hypothesis draws wide ranges mostly near zero."""
    step = Decimal(high - low) / 100
    return st.tuples(st.integers(0, 100), st.integers(0, 99)).map(
        lambda drawn: (low + step * drawn[0] + Decimal(drawn[1]) / 100).quantize(Decimal("0.01"))
    )


class Tight(Enum):
    """Which limit is near what the plan asks for; the others are far, so each of them gets its share of cases."""

    FRACTION = auto()
    POSITIONS = auto()
    GROSS = auto()
    FUNDING = auto()
    RISK = auto()
    ALL = auto()


@st.composite
def rulebooks(draw, tight: Tight, owned: int) -> Settings:
    def near(limit: Tight, strategy, far):
        return draw(strategy) if tight in {limit, Tight.ALL} else far

    return settings(
        operations={"allow_fractional": draw(st.booleans())},
        compliance={
            "position_sizing": {"min_position_value": draw(st.sampled_from([0, 100, 500]))},
            "prices": {"price_cushion_fraction": draw(st.sampled_from(["0.03", "0", "0.1"]))},
            "cash": {"cash_reserve": draw(st.sampled_from([0, 250]))},
            "risk": {"max_plan_risk_fraction": near(Tight.RISK, st.sampled_from(["0.001", "0.003", "0.01"]), "5")},
        },
        hard_constraints={
            "position_limits": {
                "max_positions_total": near(Tight.POSITIONS, st.integers(max(owned - 2, 1), owned + 3), 30),
                "max_position_fraction": near(Tight.FRACTION, st.sampled_from(["0.01", "0.02", "0.04"]), "5"),
            },
            "exposure": {
                "max_gross_exposure_fraction": near(Tight.GROSS, st.sampled_from(["0.03", "0.08", "0.15"]), "50")
            },
            "loss_limits": {"max_daily_loss_fraction": None, "max_drawdown_fraction": None},
        },
    )


@st.composite
def legs_and_quotes(draw, bought: list[str], prices: dict[str, Decimal], *, fractional: bool):
    """BUYs with mostly good quotes: one in twelve has no ask, one in ten moved too far."""
    legs, quotes = [], []
    for n, symbol in enumerate(bought, 1):
        qty = draw(usd(1, 120)) if fractional else Decimal(draw(st.integers(1, 150)))
        more = {"limit": prices[symbol]} if draw(st.integers(0, 5)) == 5 else {}
        score = draw(st.sampled_from([None, 0, 1, 2]))
        legs.append(buy(f"B{n:02}", symbol, qty, prices[symbol], score=score, **more))
        drift = Decimal(draw(st.sampled_from(["1", "0.9", "0.99", "1.01", "1.05", "1.1", "1.07", "0.95", "1", "1.2"])))
        ask = None if draw(st.integers(0, 11)) == 11 else prices[symbol] * drift
        quotes.append(quote(symbol, None, ask=ask, last=prices[symbol]))
    return legs, quotes


@st.composite
def orders_in_flight(draw, symbols: list[str], prices: dict[str, Decimal]):
    """Orders of the run and of others, on symbols bought, held or neither."""
    return [
        open_order(
            symbol,
            draw(st.sampled_from([Side.BUY, Side.BUY, Side.SELL])),
            draw(st.integers(2, 60)),
            filled=draw(st.integers(0, 1)),
            limit=draw(st.sampled_from([prices[symbol], prices[symbol], None])),
            own=draw(st.sampled_from([True, False])),
        )
        for symbol in symbols
    ]


@st.composite
def cases(draw) -> Case:
    tight = draw(st.sampled_from([*Tight, Tight.FUNDING, Tight.FUNDING]))
    prices = {symbol: draw(usd(4, 60)) for symbol in POOL}
    shuffled = draw(st.permutations(POOL))
    owned = shuffled[: draw(st.integers(0, 5))]
    sold = [symbol for symbol in owned if draw(st.integers(0, 2)) == 0]
    others = [symbol for symbol in reversed(shuffled) if symbol not in sold]
    bought = others[: draw(st.integers(1, 5))]
    rules = draw(rulebooks(tight, len(owned)))
    quantities = {symbol: Decimal(draw(st.integers(1, 100))) for symbol in owned}
    positions = [held(symbol, quantities[symbol], prices[symbol]) for symbol in owned]
    sells = [
        sell(f"S{n:02}", symbol, draw(st.sampled_from([quantities[symbol], Decimal(1)])), prices[symbol])
        for n, symbol in enumerate(sold, 1)
    ]
    buys, quotes = draw(legs_and_quotes(bought, prices, fractional=rules.operations.allow_fractional))
    in_flight = draw(st.lists(st.sampled_from(others), unique=True, max_size=1)) if others else []
    trades = (*sells, *buys) if draw(st.booleans()) else (*reversed(buys), *sells)
    poor = tight in {Tight.FUNDING, Tight.ALL}
    account = {
        "equity": draw(st.sampled_from([*[100_000] * 12, 20_000, 20_000, 0, -5])),
        "quotes": quotes,
        "open_orders": draw(orders_in_flight(in_flight, prices)),
        "assets": [asset(symbol, fractionable=draw(st.booleans())) for symbol in bought],
        "buying_power_usd": draw(usd(0, 10_000)) if poor else Decimal(1_000_000),
    }
    cash = draw(usd(-4_000, 4_000)) if poor else Decimal(1_000_000)
    proceeds = draw(usd(0, 10_000))
    spent = draw(st.sampled_from([Decimal(0), Decimal("350.5")]))
    return Case(
        trades=trades,
        look=snapshot(trades, cash=cash, positions=positions, **account),
        gate=snapshot(
            trades, cash=cash + proceeds, positions=[one for one in positions if one.symbol not in sold], **account
        ),
        money=gate_money(
            proceeds=proceeds,
            cash_before=cash,
            cash_now=cash + proceeds - draw(st.sampled_from([spent, Decimal(0), Decimal("3.33")])),
            spent=spent,
            funding=draw(st.sampled_from([Funding.PROCEEDS, Funding.PROCEEDS, Funding.CASH, Funding.BUYING_POWER])),
        ),
        rules=rules,
        on_violation=draw(st.sampled_from([OnViolation.CUT, OnViolation.CUT, OnViolation.DROP, OnViolation.REJECT])),
    )


@dataclass(frozen=True)
class Reckoning:
    """The account after some SELLs, reckoned from the snapshot alone; None: can't be known."""

    symbols: frozenset[str]
    values: dict[str, Fraction]
    gross: Fraction | None
    spendable: Fraction | None


def exact(figure: Decimal) -> Fraction:
    return Fraction(figure)


def reserve(leg: Trade, case: Case, look: Snapshot) -> Fraction | None:
    if leg.limit_price_usd is not None:
        return exact(leg.limit_price_usd)
    asks = [one.ask_usd for one in look.quotes if one.symbol == leg.symbol]
    if not asks or asks[0] is None:
        return None
    cushion = exact(case.rules.compliance.prices.price_cushion_fraction)
    return max(exact(asks[0]), exact(leg.reference_price_usd)) * (1 + cushion)


def price_of(leg: Trade, look: Snapshot) -> Fraction:
    if leg.limit_price_usd is not None:
        return exact(leg.limit_price_usd)
    ask = next(one.ask_usd for one in look.quotes if one.symbol == leg.symbol)
    return max(exact(ask), exact(leg.reference_price_usd))


def reckon(case: Case, look: Snapshot, sells: list[Trade], figures: Money) -> Reckoning:
    cushion = exact(case.rules.compliance.prices.price_cushion_fraction)
    shares = {one.symbol: exact(one.qty) for one in look.positions}
    price = {one.symbol: exact(one.current_price_usd) for one in look.positions}
    for leg in sells:
        shares[leg.symbol] -= exact(leg.qty)
    values = {symbol: qty * price[symbol] for symbol, qty in shares.items()}
    symbols = {symbol for symbol, qty in shares.items() if qty}
    flight = Fraction(0)
    known = True
    for order in look.open_orders:
        if order.side is Side.SELL:
            continue
        symbols.add(order.symbol)
        remaining = exact(order.qty) - exact(order.filled_qty)
        if order.limit_price_usd is not None:
            cost = remaining * exact(order.limit_price_usd)
        else:
            quoted = [q for one in look.quotes if one.symbol == order.symbol for q in (one.ask_usd, one.last_usd) if q]
            basis = [exact(figure) for figure in quoted] or [price[s] for s in [order.symbol] if s in price]
            if not basis:
                known = False
                continue
            cost = remaining * max(basis) * (1 + cushion)
        flight += cost
        values[order.symbol] = values.get(order.symbol, Fraction(0)) + cost
    earned = exact(figures.proceeds_usd) - exact(figures.spent_usd)
    before = exact(figures.cash_before_usd)
    kept_back = exact(case.rules.compliance.cash.cash_reserve)
    if figures.funding is Funding.BUYING_POWER:
        expected = sum((exact(leg.qty) * bid_of(leg, look) for leg in sells), Fraction(0))
        spendable = exact(look.account.buying_power_usd) + expected - kept_back
    else:
        debt_stays = figures.funding is Funding.PROCEEDS
        own = earned + (max(before, 0) if debt_stays else before)
        spendable = min(own, exact(figures.cash_now_usd) - (min(before, 0) if debt_stays else 0)) - flight - kept_back
    gross = sum(values.values(), Fraction(0))
    return Reckoning(
        symbols=frozenset(symbols),
        values=values,
        gross=gross if known else None,
        spendable=spendable if known else None,
    )


def bid_of(leg: Trade, look: Snapshot) -> Fraction:
    return exact(next(one.bid_usd for one in look.quotes if one.symbol == leg.symbol))


def broken(case: Case, look: Snapshot, before: Reckoning, bought: list[tuple[Trade, Decimal]]) -> list[str]:
    """The limits that these BUYs break or worsen; each is judged only if something is bought that adds to it."""
    rules = case.rules.hard_constraints
    equity = exact(look.account.equity_usd)
    bought = [(leg, exact(qty)) for leg, qty in bought if qty]
    if not bought:
        return []
    unknown = [leg.leg for leg, _ in bought if reserve(leg, case, look) is None]
    if unknown or before.gross is None or before.spendable is None:
        return ["unknown"]
    cost = {leg.symbol: qty * reserve(leg, case, look) for leg, qty in bought}
    new = {leg.symbol for leg, _ in bought} - before.symbols
    total = sum(cost.values())
    found = []
    if new and len(before.symbols | new) > rules.position_limits.max_positions_total:
        found.append("positions")
    for symbol, value in cost.items():
        if before.values.get(symbol, 0) + value > exact(rules.position_limits.max_position_fraction) * equity:
            found.append(f"fraction {symbol}")
    if before.gross + total > exact(rules.exposure.max_gross_exposure_fraction) * equity:
        found.append("gross")
    risk = case.rules.compliance.risk
    lost = sum(qty * price_of(leg, look) * exact(risk.assumed_stop_fraction) for leg, qty in bought)
    if lost > exact(risk.max_plan_risk_fraction) * equity:
        found.append("risk")
    if total > before.spendable:
        found.append("funding")
    return found


def lot_of(leg: Trade, case: Case, look: Snapshot) -> Decimal:
    fractions = (
        case.rules.operations.allow_fractional
        and leg.limit_price_usd is None
        and next(one.fractionable for one in look.assets if one.symbol == leg.symbol)
    )
    return Decimal("1E-9") if fractions else Decimal(1)


def check(case: Case) -> None:
    """All that must hold of the review before the start, the fit at the gate and the recheck."""
    limits = limits_of(case.rules)
    buys = [leg for leg in case.trades if leg.side is Side.BUY]
    sells = [leg for leg in case.trades if leg.side is Side.SELL]
    verdict = review(at_submission(case.trades, case.look, case.money.funding), limits, case.on_violation)
    assert [leg.leg for leg in verdict.legs] == [leg.leg for leg in case.trades]
    if not verdict.rejected:
        by_leg = {leg.leg: leg for leg in verdict.legs}
        assert all(by_leg[leg.leg].qty == leg.qty for leg in sells), "a SELL was cut"
        proceeds = sum((exact(leg.qty) * bid_of(leg, case.look) for leg in sells), Fraction(0))
        cash = case.look.account.cash_usd
        figures = gate_money(
            proceeds=Decimal(proceeds.numerator) / proceeds.denominator, cash_before=cash, funding=case.money.funding
        )
        check_fit(case, case.look, reckon(case, case.look, sells, figures), buys, verdict.legs, case.on_violation)
    else:
        assert case.on_violation is OnViolation.REJECT, f"only limits speak against it: {verdict}"
        assert all(leg.qty == 0 for leg in verdict.legs)

    fitted = fit_buys(to_fit(buys, case.gate, case.money), limits, case.on_violation)
    at_gate = OnViolation.CUT if case.on_violation is OnViolation.CUT else OnViolation.DROP
    check_fit(case, case.gate, reckon(case, case.gate, [], case.money), buys, fitted.legs, at_gate)
    assert sorted(leg.leg for leg in fitted.legs) == sorted(leg.leg for leg in buys)
    scores = {leg.leg: (leg.score is None, -(leg.score or 0)) for leg in buys}
    assert [scores[leg.leg] for leg in fitted.legs] == sorted(scores.values()), "not in the order of sending"

    of = {leg.leg: leg for leg in buys}
    sent = [of[leg.leg].model_copy(update={"qty": leg.qty}) for leg in fitted.legs if leg.qty]
    again = review(at_recheck(sent, case.gate, case.money), limits, case.on_violation)
    assert not again.rejected
    assert all(leg.decision is Decision.KEEP for leg in again.legs), f"the recheck differs: {again}"

    whole = all(leg.decision is Decision.KEEP for leg in fitted.legs)
    assert still_stand(to_fit(buys, case.gate, case.money), limits) is whole, (
        "what stands is what a fit lets pass whole"
    )
    assert still_stand(to_fit(sent, case.gate, case.money), limits), "what was fitted stands on the same look"


def check_fit(
    case: Case,
    look: Snapshot,
    before: Reckoning,
    buys: list[Trade],
    legs: tuple[LegDecision, ...],
    on_violation: OnViolation,
) -> None:
    """Nothing is broken, nothing exceeds what was approved, and no more was cut than the limits ask."""
    by_leg = {leg.leg: leg for leg in legs}
    bought = [(leg, by_leg[leg.leg].qty) for leg in buys]
    assert all(qty <= leg.qty for leg, qty in bought), "more than was approved"
    assert broken(case, look, before, bought) == []
    minimum = exact(case.rules.compliance.position_sizing.min_position_value)
    ahead: list[tuple[Trade, Decimal]] = []
    for leg in sorted(buys, key=lambda leg: (leg.score is None, -(leg.score or 0))):
        decision = by_leg[leg.leg]
        assert bool(decision.violations) is (decision.decision is not Decision.KEEP), "a reason for each cut, no other"
        price = exact(leg.limit_price_usd or leg.reference_price_usd)
        assert decision.qty == 0 or exact(decision.qty) * price >= minimum
        facts = {why.code for why in decision.violations} & {
            "QUOTE_MISSING",
            "PRICE_DEVIATION",
            "ORDER_OF_OTHERS_OPEN",
            "POSITION_VALUE_BELOW_MIN",
        }
        lot = lot_of(leg, case, look)
        if decision.decision is not Decision.KEEP and not facts:
            more = decision.qty + lot if on_violation is OnViolation.CUT else leg.qty
            too_much = more > leg.qty // lot * lot
            assert too_much or broken(case, look, before, [*ahead, (leg, more)]), "cut more than the limits ask"
        ahead.append((leg, decision.qty))


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_no_plan_creates_or_worsens_a_breach(case):
    check(case)


def a_case(
    trades,
    *,
    positions=(),
    in_flight=(),
    quotes=(),
    cash=0,
    proceeds=0,
    spent=0,
    cash_now=None,
    limits=None,
    compliance=None,
) -> Case:
    """A case by hand: equity 100,000, limits far away unless given."""
    far = {
        "position_limits": {"max_positions_total": 30, "max_position_fraction": 5},
        "exposure": {"max_gross_exposure_fraction": 50},
    }
    figures = gate_money(proceeds=proceeds, cash_before=cash, cash_now=cash_now, spent=spent)
    sold = {leg.symbol for leg in trades if leg.side is Side.SELL}
    account = {"equity": 100_000, "open_orders": in_flight, "quotes": quotes, "buying_power_usd": 90_000}
    left = [one for one in positions if one.symbol not in sold]
    return Case(
        trades=trades,
        look=snapshot(trades, cash=cash, positions=positions, **account),
        gate=snapshot(trades, cash=figures.cash_now_usd, positions=left, **account),
        money=figures,
        rules=settings(hard_constraints={**far, **(limits or {})}, compliance=compliance or {}),
        on_violation=OnViolation.CUT,
    )


OUT = sell("S01", "AA", 150, 20)
FIRST, SECOND = buy("B01", "BB", 100, 20, score=1), buy("B02", "CC", 100, 20, score=2)
SHOWN = {
    "the proceeds of 3,000, less 350.50 spent, 250 in reserve and 200 in flight, pay for the better BUY": a_case(
        (OUT, FIRST, SECOND),
        positions=[held("AA", 150, 20)],
        in_flight=[open_order("DD", Side.BUY, 20, limit=10)],
        quotes=[quote("BB", "20.20"), quote("CC", "20.20")],
        cash=-5_000,
        proceeds=3_000,
        spent="350.50",
        cash_now=-2_000,
        compliance={"cash": {"cash_reserve": 250}, "position_sizing": {"min_position_value": 0}},
    ),
    "one of three places is free once AA is sold": a_case(
        (OUT, FIRST, SECOND),
        positions=[held("AA", 150, 20), held("DD", 1, 20), held("EE", 1, 20)],
        cash=10_000,
        limits={"position_limits": {"max_positions_total": 3, "max_position_fraction": 5}},
    ),
    "1,600 of the 2,000 a symbol may be worth are held": a_case(
        (FIRST,),
        positions=[held("BB", 80, 20)],
        cash=10_000,
        limits={"position_limits": {"max_positions_total": 30, "max_position_fraction": "0.02"}},
        compliance={"position_sizing": {"min_position_value": 0}},
    ),
    "10,000 of the 12,000 that all may be worth are held": a_case(
        (FIRST, SECOND),
        positions=[held("DD", 500, 20)],
        cash=10_000,
        limits={"exposure": {"max_gross_exposure_fraction": "0.12"}},
    ),
    "the plan may lose 300 at its stops, 10 % below; both BUYs together lose 400": a_case(
        (FIRST, SECOND), cash=10_000, compliance={"risk": {"max_plan_risk_fraction": "0.003"}}
    ),
    "500 pay for 24 shares: 480, below the minimum": a_case((FIRST,), cash=500),
}


@pytest.mark.parametrize("case", SHOWN.values(), ids=SHOWN)
def test_the_cases_that_show_the_faults_are_sound_themselves(case):
    check(case)


def in_flight_forgotten(monkeypatch):
    monkeypatch.setattr(portfolio, "_open_buy_usd", lambda *_: Decimal(0))


def cushion_forgotten(monkeypatch):
    real = money.reserve_price_usd
    monkeypatch.setattr(
        "departments.rulebook.context.reserve_price_usd", lambda leg, quoted, _: real(leg, quoted, Decimal(0))
    )


def ask_ignored(monkeypatch):
    def by_reference(leg, quoted, cushion):
        same = None if quoted is None else quoted.model_copy(update={"ask_usd": leg.reference_price_usd})
        return money.reserve_price_usd(leg, same, cushion)

    monkeypatch.setattr("departments.rulebook.context.reserve_price_usd", by_reference)


def counted_before_the_sells(monkeypatch):
    real = portfolio.open_book
    monkeypatch.setattr(
        "departments.compliance.review.open_book",
        lambda view, *, sells, money, limits: replace(
            real(view, sells=sells, money=money, limits=limits), symbols=frozenset(view.positions)
        ),
    )


def positions_counted_as_none(monkeypatch):
    swap_ceiling(monkeypatch, "POSITIONS_ABOVE_MAX", lambda *_: None, lambda *_: None)


def held_shares_forgotten(monkeypatch):
    monkeypatch.setattr(portfolio.Book, "held_usd", lambda *_: Decimal(0))


def earlier_buys_forgotten(monkeypatch):
    monkeypatch.setattr(portfolio.Book, "with_buy", lambda book, _, **__: book)


def spent_twice(monkeypatch):
    real = portfolio.spendable_usd
    monkeypatch.setattr(
        portfolio,
        "spendable_usd",
        lambda figures, **more: real(figures.model_copy(update={"spent_usd": Decimal(0)}), **more),
    )


def buying_power_taken_for_money(monkeypatch):
    real = portfolio.spendable_usd
    monkeypatch.setattr(
        portfolio,
        "spendable_usd",
        lambda figures, **more: real(figures.model_copy(update={"funding": Funding.BUYING_POWER}), **more),
    )


def reserve_forgotten(monkeypatch):
    real = portfolio.spendable_usd
    monkeypatch.setattr(
        portfolio,
        "spendable_usd",
        lambda figures, **more: real(figures, **{**more, "cash_reserve_usd": Decimal(0)}),
    )


def rounded_up(monkeypatch):
    real = fitting.in_lots
    monkeypatch.setattr(
        fitting, "in_lots", lambda qty, leg, context: min(leg.qty // 1, real(qty, leg, context) + 1) if qty else qty
    )


def minimum_judged_before_cutting(monkeypatch):
    monkeypatch.setattr(fitting, "FLOORS", ())


def operations_by_file_order(monkeypatch):
    monkeypatch.setattr(fitting, "by_priority", tuple)


def exposure_of_buys_only(monkeypatch):
    monkeypatch.setattr(portfolio, "held_gross_usd", lambda _: Decimal(0))


def risk_of_each_leg_alone(monkeypatch):
    real = portfolio.Book.with_buy
    monkeypatch.setattr(
        portfolio.Book,
        "with_buy",
        lambda book, symbol, *, risk_usd, **more: real(book, symbol, risk_usd=risk_usd * 0, **more),
    )


def swap_ceiling(monkeypatch, code, check_, room):
    swapped = tuple(
        (replace(rule, check=check_, room=room), room) if rule.code == code else (rule, old)
        for rule, old in fitting.CEILINGS
    )
    monkeypatch.setattr(fitting, "CEILINGS", swapped)


def sells_cut(monkeypatch):
    real = review

    def cutting(ask, limits, on_violation):
        verdict = real(ask, limits, on_violation)
        legs = tuple(
            leg.model_copy(update={"qty": leg.qty - 1}) if leg.leg.startswith("S") and leg.qty else leg
            for leg in verdict.legs
        )
        return verdict.model_copy(update={"legs": legs})

    monkeypatch.setitem(check.__globals__, "review", cutting)


@pytest.mark.parametrize(
    "plant",
    [
        in_flight_forgotten,
        cushion_forgotten,
        ask_ignored,
        counted_before_the_sells,
        positions_counted_as_none,
        held_shares_forgotten,
        earlier_buys_forgotten,
        spent_twice,
        buying_power_taken_for_money,
        reserve_forgotten,
        rounded_up,
        minimum_judged_before_cutting,
        operations_by_file_order,
        exposure_of_buys_only,
        risk_of_each_leg_alone,
        sells_cut,
    ],
)
def test_a_planted_fault_is_caught(monkeypatch, plant):
    plant(monkeypatch)

    def check_all():
        for case in SHOWN.values():
            check(case)

    with pytest.raises(AssertionError):
        check_all()
