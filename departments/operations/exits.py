"""Which positions to leave, pure: SELLs with a reason each, and for every position what each rule found.

A rule that lacks its data says so and sells nothing. Where several rules apply all are told, and a sale of all beats a
trim. What is proposed is at most what is held and free, and passes the rulebook: a SELL that it would refuse is left
out with the rulebook's own reasons.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal, localcontext
from enum import StrEnum
from typing import Final

from departments.office.settings import Settings
from departments.operations.reasons import FILE, quote_is_fresh
from departments.rulebook.ceilings import finest_lot
from departments.rulebook.context import Context, fraction_of, plain
from departments.rulebook.limits import MAX_POSITION_FRACTION, Limits, limits_of
from departments.rulebook.money import EXACT_DIGITS
from departments.rulebook.plan_rules import against_plan
from departments.rulebook.portfolio import View, look, open_book
from departments.rulebook.rules import facts_against
from messages.plans import Trade
from messages.reviews import Violation
from messages.snapshots import HoldingFacts, PlannedLevels, PositionFacts, Snapshot
from messages.values import Funding, LegId, Side, can_be_planned, run_id_for

ZERO: Final = Decimal(0)
SAME_PURCHASE: Final = timedelta(minutes=1)
"""The broker's times of an execution and of its order's last update may differ a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitAsk:
    """What is judged.

    Attributes:
        account: The account's name.
        snapshot: The account, with clock, assets and quotes of all that is held.
        holdings: What is known of each position; one without is judged by what is left.
        levels: By symbol: what the plan that bought it said.
        scores: By symbol: newer than the plan's.
    """

    account: str
    snapshot: Snapshot
    holdings: tuple[HoldingFacts, ...]
    levels: Mapping[str, PlannedLevels]
    scores: Mapping[str, Decimal]


class Found(StrEnum):
    """What a rule says of a position."""

    SELL = "sell"
    TRIM = "trim"
    KEEP = "keep"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule's word on one position.

    Attributes:
        rule: Its key below `exits`.
    """

    rule: str
    found: Found
    reason: Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitLine:
    """What became of one position.

    Attributes:
        trade: The SELL; None: it is kept.
        judged: What each rule that is switched on found.
        hindered: Why it is kept although it should be sold, or can't be judged at all.
        price_usd: What it was judged at; None where it isn't known.
    """

    symbol: str
    qty: Decimal
    price_usd: Decimal | None
    trade: Trade | None
    judged: tuple[Judged, ...] = ()
    hindered: tuple[Violation, ...] = ()

    @property
    def found(self) -> Found:
        """The weightiest word: all beats a trim."""
        words = {one.found for one in self.judged}
        return next((word for word in (Found.SELL, Found.TRIM) if word in words), Found.KEEP)

    @property
    def reasons(self) -> tuple[Violation, ...]:
        """Why it is, or should be, sold."""
        return tuple(one.reason for one in self.judged if one.found in {Found.SELL, Found.TRIM})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitProposal:
    """The SELLs of a plan, and why.

    Attributes:
        lines: Every position, by symbol.
        violations: What forbids any plan on this account; then nothing is sold.
    """

    trades: tuple[Trade, ...]
    lines: tuple[ExitLine, ...]
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One position, as the rules see it; its price is known."""

    position: PositionFacts
    holding: HoldingFacts
    levels: PlannedLevels | None
    score: Decimal | None
    price_usd: Decimal
    equity_usd: Decimal
    settings: Settings
    limits: Limits


def propose_exits(ask: ExitAsk, settings: Settings) -> ExitProposal:
    """Judge every position. The same question gives the same proposal."""
    with localcontext(prec=EXACT_DIGITS):
        return _propose(ask, settings)


def _propose(ask: ExitAsk, settings: Settings) -> ExitProposal:
    limits = limits_of(settings)
    view = look(ask.snapshot, run_id=run_id_for(ask.account, "an exit proposal"), buys=True)
    if not isinstance(view, View):
        return ExitProposal(trades=(), lines=(), violations=view)
    book = open_book(view, sells=(), money=Funding.PROCEEDS, limits=limits)
    context = Context(view=view, book=book, limits=limits)
    blocked = against_plan((), view)
    lines = []
    count = 0
    for symbol in sorted(view.positions):
        line = _line(ask, view.positions[symbol], context, settings, count + 1)
        if blocked and line.trade is not None:
            line = _kept(line, blocked)
        count += line.trade is not None
        lines.append(line)
    trades = tuple(line.trade for line in lines if line.trade is not None)
    return ExitProposal(trades=trades, lines=tuple(lines), violations=blocked)


def _line(ask: ExitAsk, position: PositionFacts, context: Context, settings: Settings, number: int) -> ExitLine:
    symbol = position.symbol
    line = ExitLine(symbol=symbol, qty=position.qty, price_usd=None, trade=None)
    if position.qty < 0 or not can_be_planned(symbol):
        what = "a short position" if position.qty < 0 else "not a share"
        return _kept(line, (_unfit("positions that exits are proposed for", what),))
    quote = context.view.quotes.get(symbol)
    most_age = timedelta(seconds=settings.operations.max_quote_age_s)
    stale = quote_is_fresh(quote, ask.snapshot.clock, most_age)
    if quote is None or quote.last_usd is None or stale is not None:
        return _kept(line, (stale or _unfit("last price", "not judged: missing"),))
    holding = next((one for one in ask.holdings if one.symbol == symbol), HoldingFacts(symbol=symbol))
    levels = ask.levels.get(symbol)
    case = _Case(
        position=position,
        holding=holding,
        levels=levels if _is_of(levels, holding) else None,
        score=ask.scores.get(symbol),
        price_usd=quote.last_usd,
        equity_usd=context.view.account.equity_usd,
        settings=settings,
        limits=context.limits,
    )
    judged = tuple(found for rule in EXIT_RULES if (found := rule(case)) is not None)
    line = ExitLine(symbol=symbol, qty=position.qty, price_usd=case.price_usd, trade=None, judged=judged)
    if line.found is Found.KEEP:
        return line
    return _sold(line, case, context, number)


def _sold(line: ExitLine, case: _Case, context: Context, number: int) -> ExitLine:
    """The line with its SELL, or with what hinders it."""
    wanted = case.position.qty if line.found is Found.SELL else _excess_qty(case)
    trade = Trade(
        leg=LegId(f"S{number:02d}"),
        symbol=line.symbol,
        side=Side.SELL,
        qty=wanted,
        reference_price_usd=case.price_usd,
    )
    free = min(wanted, case.position.qty_available)
    lot = finest_lot(trade, context, house_allows=line.found is Found.SELL)
    free = free if free % lot == 0 else free // lot * lot
    if free > 0:
        trade = trade.model_copy(update={"qty": free})
    hindered = facts_against(trade, context)
    if hindered or free <= 0:
        return _kept(line, hindered or (_unfit("shares that can be ordered", plain(wanted)),))
    return ExitLine(symbol=line.symbol, qty=line.qty, price_usd=line.price_usd, trade=trade, judged=line.judged)


def _kept(line: ExitLine, hindered: tuple[Violation, ...]) -> ExitLine:
    return ExitLine(
        symbol=line.symbol, qty=line.qty, price_usd=line.price_usd, trade=None, judged=line.judged, hindered=hindered
    )


def _unfit(rule: str, figure: str) -> Violation:
    return Violation(code="EXIT_NOT_JUDGED", leg=None, rule=rule, figure=figure)


def _is_of(levels: PlannedLevels | None, holding: HoldingFacts) -> bool:
    """Whether a plan's levels are those of this position: it was not opened after the plan's BUY."""
    if levels is None:
        return False
    return holding.entered_at is None or holding.entered_at <= levels.bought_at + SAME_PURCHASE


# The rules: None where a rule is switched off.


def stop_loss(case: _Case) -> Judged | None:
    """Sell all at or below the plan's stop, or a fraction below the average entry price."""
    exits = case.settings.operations.exits.stop_loss
    if not exits.enabled:
        return None
    own_usd = None if case.levels is None else case.levels.stop_loss_usd
    level_usd = _level_usd(case, "stop_loss", own_usd, -exits.fraction)
    if isinstance(level_usd, Judged):
        return level_usd
    return _at_level(case, "stop_loss", level_usd, reached=case.price_usd <= level_usd, own=own_usd is not None)


def target(case: _Case) -> Judged | None:
    """Sell all at or above the plan's target, or a fraction above the average entry price."""
    exits = case.settings.operations.exits.target
    if not exits.enabled:
        return None
    own_usd = None if case.levels is None else case.levels.take_profit_usd
    level_usd = _level_usd(case, "target", own_usd, exits.fraction)
    if isinstance(level_usd, Judged):
        return level_usd
    return _at_level(case, "target", level_usd, reached=case.price_usd >= level_usd, own=own_usd is not None)


def trailing_stop(case: _Case) -> Judged | None:
    """Sell all at or below the highest close since the entry less a multiple of the average true range."""
    exits = case.settings.operations.exits.trailing_stop
    if not exits.enabled:
        return None
    rule, key, holding = "trailing_stop", "atr_multiple", case.holding
    if holding.atr_usd is None:
        return _missing(rule, key, "average true range missing")
    if holding.highest_close_usd is None:
        return _missing(rule, key, "highest close since the entry missing")
    stop_usd = holding.highest_close_usd - exits.atr_multiple * holding.atr_usd
    made_of = f"{plain(holding.highest_close_usd)} less {plain(exits.atr_multiple)} x {plain(holding.atr_usd)}"
    reached = case.price_usd <= stop_usd
    return _told(
        rule,
        key,
        Found.SELL if reached else Found.KEEP,
        words=f"last price in USD {'at or below' if reached else 'above'} the trailing stop (highest close {made_of})",
        figure=plain(case.price_usd),
        limit=plain(stop_usd),
    )


def time(case: _Case) -> Judged | None:
    """Sell all that was held for more trading days than allowed and has gained less than it should."""
    exits = case.settings.operations.exits.time
    if not exits.enabled:
        return None
    rule, key = "time", "max_trading_days"
    days, average_usd = case.holding.trading_days, case.holding.avg_entry_price_usd
    if days is None:
        return _missing(rule, key, "day of the entry missing")
    if average_usd is None:
        return _missing(rule, key, "average entry price missing")
    gain_usd = case.price_usd - average_usd
    if days > exits.max_trading_days and gain_usd >= exits.min_gain_fraction * average_usd:
        least = plain(exits.min_gain_fraction)
        return _told(rule, "min_gain_fraction", Found.KEEP, words="gain", figure=_gain(case, average_usd), limit=least)
    return _told(
        rule,
        key,
        Found.SELL if days > exits.max_trading_days else Found.KEEP,
        words=f"trading days held, with a gain of {_gain(case, average_usd)}",
        figure=str(days),
        limit=str(exits.max_trading_days),
    )


def score(case: _Case) -> Judged | None:
    """Sell all with a score below the floor."""
    exits = case.settings.operations.exits.score
    if not exits.enabled:
        return None
    own = None if case.levels is None or case.holding.entered_at is None else case.levels.score
    figure = own if case.score is None else case.score
    if figure is None:
        return _missing("score", "floor", "score missing")
    found, words = (Found.SELL, "score below the floor") if figure < exits.floor else (Found.KEEP, "score")
    return _told("score", "floor", found, words=words, figure=plain(figure), limit=plain(exits.floor))


def trim(case: _Case) -> Judged | None:
    """Sell what is above the largest fraction of equity that a position may have, in whole shares."""
    if not case.settings.operations.exits.trim.enabled:
        return None
    value_usd = case.position.qty * case.price_usd
    if case.equity_usd <= 0:
        return _missing("trim", "enabled", f"equity {plain(case.equity_usd)}")
    most = case.limits.max_position_fraction
    reason = Violation(
        code="EXIT_TRIM",
        leg=None,
        rule="position as a fraction of equity",
        figure=fraction_of(value_usd, case.equity_usd),
        limit=plain(most),
        file=MAX_POSITION_FRACTION.file,
        key=MAX_POSITION_FRACTION.key,
    )
    return Judged("trim", Found.TRIM if value_usd > most * case.equity_usd else Found.KEEP, reason)


EXIT_RULES: tuple[Callable[[_Case], Judged | None], ...] = (stop_loss, target, trailing_stop, time, score, trim)
"""Every rule, in the order in which they are told."""


def _excess_qty(case: _Case) -> Decimal:
    """The fewest whole shares whose sale brings the position to its limit; all of it where no share fits."""
    most_usd = case.limits.max_position_fraction * case.equity_usd
    excess_usd = case.position.qty * case.price_usd - most_usd
    return min((excess_usd / case.price_usd).to_integral_value(ROUND_CEILING), case.position.qty)


def _level_usd(case: _Case, rule: str, own_usd: Decimal | None, fraction: Decimal) -> Decimal | Judged:
    """The plan's level, or one so far from the average entry price; or the word that neither is known."""
    average_usd = case.holding.avg_entry_price_usd
    if own_usd is not None:
        if case.holding.entered_at is not None:
            return own_usd
        return _missing(rule, "fraction", f"day of the entry missing: whether its plan's {plain(own_usd)} still counts")
    return (
        _missing(rule, "fraction", "average entry price missing")
        if average_usd is None
        else average_usd * (1 + fraction)
    )


def _at_level(case: _Case, rule: str, level_usd: Decimal, *, reached: bool, own: bool) -> Judged:
    side = {
        ("stop_loss", True): "at or below the stop",
        ("stop_loss", False): "above the stop",
        ("target", True): "at or above the target",
        ("target", False): "below the target",
    }[rule, reached]
    return _told(
        rule,
        None if own else "fraction",
        Found.SELL if reached else Found.KEEP,
        words=f"last price in USD {side}{' of its plan' if own else ''}",
        figure=plain(case.price_usd),
        limit=plain(level_usd),
    )


def _gain(case: _Case, average_usd: Decimal) -> str:
    """The gain as a fraction of the entry price, to six decimals."""
    return plain(((case.price_usd - average_usd) / average_usd).quantize(Decimal("0.000001")))


def _missing(rule: str, key: str, what: str) -> Judged:
    return _told(rule, key, Found.NOT_JUDGED, words=rule.replace("_", " "), figure=f"not judged: {what}", limit=None)


def _told(rule: str, key: str | None, found: Found, *, words: str, figure: str, limit: str | None) -> Judged:
    """A word of the rule; without a key where the limit stands in the plan that bought the position."""
    return Judged(
        rule,
        found,
        Violation(
            code=f"EXIT_{rule.upper()}" if found is not Found.NOT_JUDGED else "EXIT_NOT_JUDGED",
            leg=None,
            rule=words,
            figure=figure,
            limit=limit,
            file=None if key is None else FILE,
            key=None if key is None else f"exits.{rule}.{key}",
        ),
    )
