"""What stories are about: plain ones for scripts, and any number of others drawn from seeds."""

from datetime import timedelta
from decimal import Decimal
from random import Random

from messages.plans import Plan, SubmitPlan, Trade
from messages.values import Funding, LegId, OrderType, SellShortfall, Side
from tests.builders.plans import NOW, a_plan, a_submission, an_approval
from tests.simulation.luck import Seeded
from tests.simulation.story import QUICK, Plot, Story

ODDS = {
    # the house
    "*commit": 0.15,
    "*dawdle": 0.05,
    "crash": 0.01,
    "actor.dies": 0.005,
    "actor.naps": 0.003,
    "settings.change": 0.5,
    "mail.doubled": 0.03,
    # the wire
    "post.unavailable": 0.2,
    "post.lost_on_the_way": 0.2,
    "post.answer_lost": 0.25,
    "post.slow": 0.15,
    "post.very_late": 0.05,
    "post.hidden": 0.25,
    "post.refused": 0.12,
    "post.resend_refused_otherwise": 0.5,
    "cancel.unavailable": 0.2,
    "cancel.lost_on_the_way": 0.2,
    "cancel.answer_lost": 0.2,
    "read.slow": 0.2,
    "read.fails": 0.25,
    "snapshot.fails": 0.3,
    "snapshot.spread": 0.3,
    # the stream
    "frame.lost": 0.3,
    "frame.doubled": 0.2,
    "frame.late": 0.3,
    "stream.lost": 0.01,
    # the exchange
    "*order.in_parts": 0.3,
    "order.rejected": 0.1,
    "order.never_fills": 0.1,
    "order.slow": 0.25,
    "order.canceled": 0.1,
    "order.expired": 0.05,
    "order.done_for_day": 0.05,
    "order.partial_before_end": 0.5,
    "order.replaced": 0.05,
    "order.expires_at_close": 0.5,
    "cancel.pending": 0.5,
    "cancel.overtaken": 0.3,
    "cash.lags": 0.5,
    "prices.move": 0.02,
    "prices.fall": 0.002,
    "market.closes": 0.003,
    "account.blocked": 0.002,
    "stranger": 0.003,
    "bust": 0.003,
    # people
    "operator.halt": 0.004,
    "operator.halt_cancel": 0.002,
    "operator.reduce": 0.004,
    "operator.resume": 0.004,
    "operator.release": 0.01,
    "operator.abort": 0.002,
}


def plain(
    *,
    sells: int = 2,
    buys: int = 2,
    policy: SellShortfall | None = None,
    funding: Funding | None = None,
    cash_usd: Decimal = Decimal(1000),
    **more: object,
) -> Plot:
    """So many SELLs of 20 shares and BUYs of 10, at $100, all held, nothing in the way."""
    trades = [_trade(f"S{n + 1:02}", f"S{chr(65 + n)}", Side.SELL, 20) for n in range(sells)]
    trades += [_trade(f"B{n + 1:02}", f"B{chr(65 + n)}", Side.BUY, 10) for n in range(buys)]
    plan = a_plan(trades=trades, sell_shortfall=policy, funding=funding)
    return _around(((0.01, a_submission(plan)),), cash_usd=cash_usd, **more)


def drawn(seed: int) -> tuple[Plot, Seeded]:
    """A plot and its luck."""
    rng = Random(seed)
    luck = Seeded(rng, ODDS)
    plans = [_plan(rng, "PLAN_A")]
    if rng.random() < 0.25:
        plans.append(_plan(rng, "PLAN_B"))
    submissions = []
    for plan in plans:
        expires_in_s = rng.choice((86_400, 86_400, 86_400, 86_400, rng.uniform(0.2, 60)))
        approval = an_approval(plan, expires_at=NOW + timedelta(seconds=expires_in_s))
        submissions.append((rng.uniform(0, 3), a_submission(plan, approval)))
        if rng.random() < 0.15:
            again = an_approval(plan, nonce="0002")
            submissions.append((rng.uniform(0, 40), a_submission(plan, again)))
    unusual = rng.random()
    symbols = sorted(trade.symbol for plan in plans for trade in plan.trades)
    dead = frozenset(rng.sample(symbols, 1)) if symbols and rng.random() < 0.05 else frozenset()
    return _around(
        tuple(submissions),
        cash_usd=Decimal(rng.choice((0, 1000, 5000, -3000, -20000))),
        rng=rng,
        skew=timedelta(seconds=rng.choice((0, 0, 0.4, -45, 3600, -86_400 * 200))),
        trouble_s=rng.choice((5.0, 20.0, 60.0, 120.0)),
        eager=rng.random() < 0.1,
        dead_assets=dead,
        opens_in_s=rng.uniform(1, 40) if unusual < 0.08 else None,
        closes_in_s=rng.uniform(2, 60) if 0.08 < unusual < 0.16 else None,
    ), luck


def play(seed: int) -> Story:
    """Play the story of a seed to its end."""
    plot, luck = drawn(seed)
    story = Story(plot, luck)
    try:
        return story.play()
    except BaseException as error:
        error.add_note(f"SEED={seed}")
        error.add_note(story.told())
        raise


def _trade(leg: str, symbol: str, side: Side, qty: int, price: str = "100", **more: object) -> Trade:
    return Trade(leg=LegId(leg), symbol=symbol, side=side, qty=Decimal(qty), reference_price_usd=Decimal(price), **more)


def _plan(rng: Random, name: str) -> Plan:
    tag = name[-1]
    trades = []
    for n in range(rng.choice((0, 1, 1, 2, 2, 3))):
        price = Decimal(rng.randrange(500, 20_000)) / 100
        limit = {"order_type": OrderType.LIMIT, "limit_price_usd": price} if rng.random() < 0.1 else {}
        trades.append(
            _trade(f"S{n + 1:02}", f"S{tag}{chr(65 + n)}", Side.SELL, rng.randrange(2, 90), str(price), **limit)
        )
    for n in range(rng.choice((0, 1, 2, 2, 3))):
        price = Decimal(rng.randrange(500, 20_000)) / 100
        qty = max(1, int(Decimal(rng.randrange(400, 4000)) / price))
        score = Decimal(rng.randrange(100)) if rng.random() < 0.7 else None
        limit = {"order_type": OrderType.LIMIT, "limit_price_usd": price} if rng.random() < 0.1 else {}
        trades.append(_trade(f"B{n + 1:02}", f"B{tag}{chr(65 + n)}", Side.BUY, qty, str(price), score=score, **limit))
    return a_plan(
        trades=trades,
        plan_id=name,
        sell_shortfall=rng.choice((None, *SellShortfall)),
        funding=rng.choice((None, None, *Funding)),
        expires_at=NOW + timedelta(seconds=rng.uniform(1, 90)) if rng.random() < 0.08 else None,
    )


def _around(
    submissions: tuple[tuple[float, SubmitPlan], ...], *, cash_usd: Decimal, rng: Random | None = None, **more: object
) -> Plot:
    """The account that the plans are for: what they sell is held, and something else besides."""
    trades = [trade for _, letter in submissions for trade in letter.plan.trades]
    holdings = {"ZZZ": Decimal(600)}
    for trade in trades:
        if trade.side is Side.SELL:
            extra = 0 if rng is None else rng.choice((0, 0, 5))
            holdings[trade.symbol] = trade.qty + extra
    prices = {"ZZZ": Decimal(100), **{trade.symbol: trade.reference_price_usd for trade in trades}}
    return Plot(
        submissions=submissions,
        cash_usd=cash_usd,
        holdings=holdings,
        prices_usd=prices,
        settings=QUICK,
        **more,  # type: ignore[arg-type]
    )
