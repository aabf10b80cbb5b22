"""A proposal, pure: candidates and an account become trades that pass Compliance's review unchanged.

Every judgement is the rulebook's own: a name is let in by `fitting.fit_leg` at the fewest shares that the house buys,
bounded by the rooms of its ceilings, and the whole is fitted once more by `fitting.fit` before it is given out: limits
come last. Every candidate comes back, bought or with the reasons why not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal, localcontext

from departments.office.settings import Regime, Settings, SizingMethod
from departments.operations.candidates import Candidate
from departments.operations.deployment import Line, whole_shares
from departments.operations.reasons import (
    all_deployed,
    dear_for_target,
    in_plan_already,
    minimum_above_left,
    price_missing,
    quote_is_fresh,
    target_reached,
    unweighed,
)
from departments.operations.targets import Bounded, shared_out, weight_of
from departments.rulebook.context import Context
from departments.rulebook.fitting import by_priority, fit, fit_leg, let_in
from departments.rulebook.limits import Limits, limits_of
from departments.rulebook.money import EXACT_DIGITS
from departments.rulebook.plan_rules import against_plan
from departments.rulebook.portfolio import Book, View, look, open_book
from departments.rulebook.rules import CEILINGS, FLOORS, facts_against
from messages.plans import Trade
from messages.reviews import Decision, LegDecision, Today, Violation
from messages.snapshots import History, Snapshot
from messages.values import Funding, LegId, Side, run_id_for

ZERO = Decimal(0)
ONE = Decimal(1)
PRICE_STEP = Decimal("0.000000001")
"""The finest price that a plan file takes."""
TOO_FAR = 2
"""A share that costs more than this many times its target is nearer to none than to one."""
RISK_ROUNDS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a proposal is made of.

    Attributes:
        account: The account's name.
        candidates: In file order.
        kept: Trades that are part of the plan whatever is proposed, as numbered in their file.
        snapshot: The account, with assets and quotes of all these symbols.
        funding: What may pay for the BUYs.
        method: How candidates are weighed.
        regime: None: nothing is scaled.
        target_fraction: Of equity: the value of all positions aimed at, before the regime.
        history: What went before, of all these symbols; None: rules that need it let nothing in.
        today: The firm's own counts, the proposal taken as approved now; None: as above.
    """

    account: str
    candidates: tuple[Candidate, ...]
    kept: tuple[Trade, ...] = ()
    snapshot: Snapshot
    funding: Funding
    method: SizingMethod
    regime: Regime | None = None
    target_fraction: Decimal
    history: History | None = None
    today: Today | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of one candidate or one kept trade.

    Attributes:
        trade: As it stands in the plan; None where it is left out.
        target_usd: What it was meant to come to; None where it never got a target.
        reasons: Why it was left out, or cut.
    """

    symbol: str
    trade: Trade | None
    target_usd: Decimal | None = None
    reasons: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The trades of a plan, and why. USD.

    Attributes:
        trades: Kept trades in their order, then the new BUYs by priority.
        kept: What became of each kept trade.
        candidates: What became of each candidate, in file order.
        violations: What forbids any plan on this account, or the kept SELLs; then there are no trades.
        target_usd: The value of all positions aimed at.
        deployed_usd: Their value after the SELLs and kept BUYs, orders in flight included; None: not known.
        budget_usd: What was to be spent, at prices without the cushion.
        spent_usd: What the new BUYs cost at these prices.
    """

    trades: tuple[Trade, ...]
    kept: tuple[Told, ...]
    candidates: tuple[Told, ...]
    violations: tuple[Violation, ...] = ()
    equity_usd: Decimal = ZERO
    target_usd: Decimal = ZERO
    deployed_usd: Decimal | None = None
    budget_usd: Decimal = ZERO
    spent_usd: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """A candidate that may be bought: its probe is a trade over the fewest shares that the house buys."""

    candidate: Candidate
    probe: Trade
    weight: Decimal
    price_usd: Decimal
    risk_usd: Decimal
    most: int
    is_new: bool

    @property
    def least(self) -> int:
        return int(self.probe.qty)

    @property
    def least_usd(self) -> Decimal:
        return self.least * self.price_usd


def propose(ask: Ask, settings: Settings) -> Proposal:
    """Make a proposal. The same question gives the same proposal, to the share."""
    with localcontext(prec=EXACT_DIGITS):
        return _propose(ask, settings)


def _propose(ask: Ask, settings: Settings) -> Proposal:
    limits = limits_of(settings)
    run_id = run_id_for(ask.account, "a proposal")
    view = look(ask.snapshot, run_id=run_id, buys=True, history=ask.history, today=ask.today)
    if not isinstance(view, View):
        return _nothing(ask, view)
    sells = tuple(trade for trade in ask.kept if trade.side is Side.SELL)
    book = open_book(view, sells=sells, money=ask.funding, limits=limits)
    context = Context(view=view, book=book, limits=limits)
    against = against_plan(ask.kept, view) + tuple(reason for sell in sells for reason in facts_against(sell, context))
    if against:
        return _nothing(ask, against)
    kept_buys = tuple(trade for trade in ask.kept if trade.side is Side.BUY)
    decisions = fit(kept_buys, view=view, book=book, limits=limits, whole_or_nothing=False)
    kept = _kept_lines(ask.kept, decisions)
    kept_trades = tuple(line.trade for line in kept if line.trade is not None)
    deployed_usd = book.gross_usd
    for trade in kept_trades:
        book = _with(book, trade, context)
        price_usd = context.buy_price_usd(trade)
        if deployed_usd is not None and trade.side is Side.BUY and price_usd is not None:
            deployed_usd += trade.qty * price_usd
    sizing = _Sizing(ask, settings, limits, view, book, deployed_usd)
    bought, lines = sizing.run({trade.symbol for trade in ask.kept})
    trades, lines = _numbered_and_fitted(kept_trades, bought, lines, ask, view, limits)
    prices = {trade.leg: context.buy_price_usd(trade) for trade in trades}
    old = {trade.leg for trade in kept_trades}
    return Proposal(
        trades=trades,
        kept=tuple(replace(line, trade=_renumbered(line.trade, trades)) for line in kept),
        candidates=lines,
        equity_usd=book.equity_usd,
        target_usd=sizing.target_usd,
        deployed_usd=sizing.deployed_usd,
        budget_usd=sizing.budget_usd,
        spent_usd=sum((trade.qty * (prices[trade.leg] or ZERO) for trade in trades if trade.leg not in old), ZERO),
    )


def _nothing(ask: Ask, violations: tuple[Violation, ...]) -> Proposal:
    return Proposal(
        trades=(),
        kept=tuple(Told(symbol=trade.symbol, trade=None, reasons=violations) for trade in ask.kept),
        candidates=tuple(Told(symbol=one.symbol, trade=None, reasons=violations) for one in ask.candidates),
        violations=violations,
    )


def _kept_lines(kept: tuple[Trade, ...], decisions: tuple[LegDecision, ...]) -> tuple[Told, ...]:
    """Kept trades as Compliance would leave them: a BUY that a limit cuts is cut here already, and said."""
    by_leg = {decision.leg: decision for decision in decisions}
    lines = []
    for trade in kept:
        decision = by_leg.get(trade.leg)
        if decision is None or decision.decision is Decision.KEEP:
            lines.append(Told(symbol=trade.symbol, trade=trade))
            continue
        left = trade.model_copy(update={"qty": decision.qty}) if decision.qty else None
        lines.append(Told(symbol=trade.symbol, trade=left, reasons=decision.violations))
    return tuple(lines)


def _renumbered(trade: Trade | None, trades: tuple[Trade, ...]) -> Trade | None:
    """A kept trade under the leg that it has in the new plan."""
    return None if trade is None else next(one for one in trades if one.symbol == trade.symbol)


def _with(book: Book, trade: Trade, context: Context) -> Book:
    return book if trade.side is Side.SELL else let_in(trade, trade.qty, replace(context, book=book)).book


class _Sizing:
    """One sizing of candidates on one book; `run` does it.

    Attributes:
        target_usd: The value of all positions aimed at.
        deployed_usd: What there is of it; None: not known.
        budget_usd: What may be spent, at prices without the cushion.
    """

    def __init__(
        self, ask: Ask, settings: Settings, limits: Limits, view: View, book: Book, deployed_usd: Decimal | None
    ) -> None:
        operations = settings.operations
        factors = None if ask.regime is None else getattr(operations.regimes, ask.regime.value)
        self._ask = ask
        self._settings = settings
        self._limits = limits
        self._view = view
        self._book = book
        self._context = Context(view=view, book=book, limits=limits)
        self._target_fraction = ask.target_fraction * (ONE if factors is None else factors.target_factor)
        self._size_usd = (
            operations.max_position_target_fraction
            * (ONE if factors is None else factors.size_factor)
            * max(book.equity_usd, ZERO)
        )
        self.target_usd = self._target_fraction * max(book.equity_usd, ZERO)
        self.deployed_usd = deployed_usd
        self.budget_usd = self._budget_usd()

    def _budget_usd(self) -> Decimal:
        """What may be spent: up to the target, the funding and the gross exposure; market BUYs reserve the cushion."""
        book = self._book
        if self.deployed_usd is None or book.gross_usd is None or book.left_usd is None:
            return ZERO
        cushioned = 1 + self._limits.price_cushion_fraction
        gross_left_usd = self._limits.max_gross_exposure_fraction * book.equity_usd - book.gross_usd
        return max(
            min(self.target_usd - self.deployed_usd, book.left_usd / cushioned, gross_left_usd / cushioned), ZERO
        )

    def run(self, taken: set[str]) -> tuple[tuple[Trade, ...], tuple[Told, ...]]:
        """Size every candidate; symbols of the plan as it is are left out."""
        lines: dict[str, Told] = {}
        names: list[_Name] = []
        for candidate in self._ask.candidates:
            found = self._name(candidate, taken)
            if isinstance(found, _Name):
                names.append(found)
            else:
                lines[candidate.symbol] = Told(symbol=candidate.symbol, trade=None, reasons=found)
        order = {trade.symbol: at for at, trade in enumerate(by_priority(tuple(name.probe for name in names)))}
        names.sort(key=lambda name: order[name.probe.symbol])
        chosen, targets = self._chosen(names, lines)
        trades = self._deployed(chosen, targets)
        for trade, target_usd in zip(trades, targets, strict=True):
            lines[trade.symbol] = Told(symbol=trade.symbol, trade=trade, target_usd=target_usd)
        return trades, tuple(lines[candidate.symbol] for candidate in self._ask.candidates)

    def _name(self, candidate: Candidate, taken: set[str]) -> _Name | tuple[Violation, ...]:
        """A candidate as something to size, or why it can't be."""
        if candidate.symbol in taken:
            return (in_plan_already(candidate.symbol),)
        probe = self._probe(candidate)
        if probe is None:
            return (price_missing(),)
        clock = self._ask.snapshot.clock
        stale = quote_is_fresh(
            self._view.quotes.get(candidate.symbol),
            clock,
            timedelta(seconds=self._settings.operations.max_quote_age_s),
        )
        decision = fit_leg(probe, self._context, whole_or_nothing=False)
        price_usd, risk_usd = self._context.buy_price_usd(probe), self._context.risk_a_share_usd(probe)
        if decision.decision is not Decision.KEEP or price_usd is None or risk_usd is None:
            return decision.violations or (price_missing(),)
        if stale is not None:
            return (stale,)
        weight = weight_of(
            self._ask.method,
            price_usd=price_usd,
            score=candidate.score,
            atr_usd=candidate.atr_usd,
            risk_a_share_usd=risk_usd,
        )
        if weight is None:
            return (unweighed(self._ask.method, candidate.score, risk_usd),)
        return self._bounded(candidate, probe, weight, price_usd, risk_usd)

    def _bounded(
        self, candidate: Candidate, probe: Trade, weight: Decimal, price_usd: Decimal, risk_usd: Decimal
    ) -> _Name | tuple[Violation, ...]:
        """A name with the most shares that its target and each limit let in."""
        held_usd = self._book.held_usd(candidate.symbol) or ZERO
        aimed = (self._size_usd - held_usd) // price_usd
        widest = probe.model_copy(update={"qty": self._limits.max_order_qty})
        rooms = [room for _, rule in CEILINGS if (room := rule(widest, self._context)) is not None]
        if aimed < probe.qty:
            least_usd = held_usd + probe.qty * price_usd
            return (target_reached(least_usd, self._size_usd, "max_position_target_fraction"),)
        return _Name(
            candidate=candidate,
            probe=probe,
            weight=weight,
            price_usd=price_usd,
            risk_usd=risk_usd,
            most=int(min(aimed, *rooms) // 1),
            is_new=candidate.symbol not in self._book.symbols,
        )

    def _probe(self, candidate: Candidate) -> Trade | None:
        """The fewest whole shares that the house buys, as a trade; None without any price."""
        quote = self._view.quotes.get(candidate.symbol)
        price_usd = candidate.price_usd
        if price_usd is None and quote is not None and quote.ask_usd is not None:
            price_usd = quote.ask_usd if quote.ask_usd % PRICE_STEP == 0 else quote.ask_usd.quantize(PRICE_STEP)
        if price_usd is None or price_usd <= 0:
            return None
        fewest = (self._limits.min_position_value_usd / price_usd).to_integral_value(ROUND_CEILING)
        return Trade(
            leg=LegId("B"),
            symbol=candidate.symbol,
            side=Side.BUY,
            qty=max(fewest, ONE),
            reference_price_usd=price_usd,
            sector=candidate.sector,
            score=candidate.score,
            stop_loss_usd=candidate.stop_usd,
            take_profit_usd=candidate.target_usd,
            atr_usd=candidate.atr_usd,
            earnings_date=candidate.earnings_date,
        )

    def _chosen(self, names: list[_Name], lines: dict[str, Told]) -> tuple[list[_Name], tuple[Decimal, ...]]:
        """Who is bought, by priority, and each one's target; those left out get their reasons.

        A name is out when the least of it doesn't fit beside the least of those before it, or when its one share is
        so dear that buying none is nearer to its target.
        """
        dear: set[str] = set()
        while True:
            left_out: dict[str, Told] = {}
            chosen = self._admitted([name for name in names if name.probe.symbol not in dear], left_out)
            targets, plain = self._targets(chosen)
            off = [
                (name.least_usd / usd if usd else Decimal("Infinity"), -at)
                for at, (name, usd) in enumerate(zip(chosen, plain, strict=True))
                if name.least == 1 and len(chosen) > 1
            ]
            worst = max(off, default=(ZERO, 0))
            if worst[0] <= TOO_FAR:
                lines |= left_out
                return chosen, targets
            name, usd = chosen[-worst[1]], plain[-worst[1]]
            dear.add(name.probe.symbol)
            lines[name.probe.symbol] = Told(
                symbol=name.probe.symbol, trade=None, reasons=(dear_for_target(name.price_usd, usd),)
            )

    def _admitted(self, names: list[_Name], lines: dict[str, Told]) -> list[_Name]:
        left_usd = self.budget_usd
        book = self._book
        chosen: list[_Name] = []
        for name in names:
            context = replace(self._context, book=book)
            decision = fit_leg(name.probe, context, whole_or_nothing=False)
            if decision.decision is Decision.KEEP and name.least_usd <= left_usd:
                left_usd -= name.least_usd
                book = _with(book, name.probe, context)
                chosen.append(name)
                continue
            reasons = decision.violations or self._too_little(name, left_usd, context)
            lines[name.probe.symbol] = Told(symbol=name.probe.symbol, trade=None, reasons=reasons)
        return chosen

    def _too_little(self, name: _Name, left_usd: Decimal, context: Context) -> tuple[Violation, ...]:
        """Why what is left to deploy buys none of a name: by the house's own floors, on the shares it would pay for."""
        if self.deployed_usd is not None and self.deployed_usd >= self.target_usd:
            return (all_deployed(self.deployed_usd, self.target_usd),)
        could = left_usd // name.price_usd
        if not could:
            return (minimum_above_left(name.least_usd, left_usd),)
        small = name.probe.model_copy(update={"qty": could})
        floors = (rule.check(small, context) for rule in FLOORS)
        return (minimum_above_left(name.least_usd, left_usd), *(found for found in floors if found is not None))

    def _targets(self, chosen: list[_Name]) -> tuple[tuple[Decimal, ...], tuple[Decimal, ...]]:
        """Target values within everybody's bounds and the loss at all stops; and what weights alone would give."""
        weights = sum((name.weight for name in chosen), ZERO)
        plain = tuple(self.budget_usd * name.weight / weights for name in chosen)
        bounded = [
            Bounded(weight=name.weight, least_usd=name.least_usd, most_usd=name.most * name.price_usd)
            for name in chosen
        ]
        risk_left_usd = self._risk_left_usd()

        def risk_of(targets: tuple[Decimal, ...]) -> Decimal:
            parts = zip(chosen, targets, strict=True)
            return sum((usd / name.price_usd * name.risk_usd for name, usd in parts), ZERO)

        targets = shared_out(self.budget_usd, bounded)
        if risk_of(targets) <= risk_left_usd:
            return targets, plain
        low, high = sum((one.least_usd for one in bounded), ZERO), self.budget_usd
        for _ in range(RISK_ROUNDS):
            middle = (low + high) / 2
            low, high = (middle, high) if risk_of(shared_out(middle, bounded)) <= risk_left_usd else (low, middle)
        return shared_out(low, bounded), plain

    def _risk_left_usd(self) -> Decimal:
        return self._limits.max_plan_risk_fraction * self._book.equity_usd - self._book.risk_usd

    def _deployed(self, chosen: list[_Name], targets: tuple[Decimal, ...]) -> tuple[Trade, ...]:
        lines = [
            Line(
                price_usd=name.price_usd,
                target_usd=target_usd,
                least=name.least,
                most=name.most,
                risk_usd=name.risk_usd,
            )
            for name, target_usd in zip(chosen, targets, strict=True)
        ]
        shares = whole_shares(lines, budget_usd=self.budget_usd, risk_usd=self._risk_left_usd())
        return tuple(
            name.probe.model_copy(update={"qty": Decimal(count)}) for name, count in zip(chosen, shares, strict=True)
        )


def _numbered_and_fitted(
    kept: tuple[Trade, ...],
    bought: tuple[Trade, ...],
    lines: tuple[Told, ...],
    ask: Ask,
    view: View,
    limits: Limits,
) -> tuple[tuple[Trade, ...], tuple[Told, ...]]:
    """The plan's trades, legs numbered as their file will be read, after the rulebook has had the last word.

    Sized right, nothing is left to cut; what is cut all the same is a new BUY, since kept ones are counted before.
    """
    sells = tuple(trade for trade in kept if trade.side is Side.SELL)
    kept_buys = tuple(trade for trade in kept if trade.side is Side.BUY)
    book = open_book(view, sells=sells, money=ask.funding, limits=limits)
    for trade in kept_buys:
        book = _with(book, trade, Context(view=view, book=book, limits=limits))
    decisions = fit(bought, view=view, book=book, limits=limits, whole_or_nothing=False)
    by_symbol: Mapping[str, LegDecision] = {
        trade.symbol: decision for trade, decision in zip(by_priority(bought), decisions, strict=True)
    }
    fitted = tuple(
        trade.model_copy(update={"qty": by_symbol[trade.symbol].qty}) for trade in bought if by_symbol[trade.symbol].qty
    )
    seen = {Side.SELL: 0, Side.BUY: 0}
    trades = []
    for trade in (*kept, *fitted):
        seen[trade.side] += 1
        leg = LegId(f"{'S' if trade.side is Side.SELL else 'B'}{seen[trade.side]:02d}")
        trades.append(trade.model_copy(update={"leg": leg}))
    final = {trade.symbol: trade for trade in trades}
    told = tuple(
        line
        if line.trade is None
        else replace(
            line,
            trade=final.get(line.symbol),
            reasons=by_symbol[line.symbol].violations if by_symbol[line.symbol].decision is not Decision.KEEP else (),
        )
        for line in lines
    )
    return tuple(trades), told
