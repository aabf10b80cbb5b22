"""Whether the limits leave something to do: each against the others, and against the equity. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from departments.office.settings import Settings

WHOLE = Decimal(1)


@dataclass(frozen=True, slots=True)
class LimitTrouble:
    """Limits that don't go together. `fatal`: no BUY can pass, or a wait can't work as meant."""

    fatal: bool
    text: str


def limit_troubles(settings: Settings, equity_usd: Decimal | None) -> tuple[LimitTrouble, ...]:
    """Name every pair that doesn't go together.

    Args:
        settings: The firm's.
        equity_usd: The account's; None leaves out what needs it.
    """
    return (*_sizes(settings, equity_usd), *_waits(settings))


def _sizes(settings: Settings, equity_usd: Decimal | None) -> tuple[LimitTrouble, ...]:
    compliance, hard = settings.compliance, settings.hard_constraints
    fraction, most = hard.position_limits.max_position_fraction, hard.position_limits.max_positions_total
    gross = hard.exposure.max_gross_exposure_fraction
    least = compliance.position_sizing.min_position_value
    reserve = compliance.cash.cash_reserve
    daily, sector = compliance.daily, hard.exposure.max_sector_fraction
    stop, risk = compliance.risk.assumed_stop_fraction, compliance.risk.max_plan_risk_fraction
    found = [
        (fraction <= 0, True, f"max_position_fraction {fraction} lets no BUY in"),
        (
            fraction * most < min(gross, WHOLE),
            False,
            f"{most} positions of at most {fraction} hold {fraction * most} of equity: the rest can never be invested",
        ),
        (fraction > gross, False, f"max_position_fraction {fraction} is above max_gross_exposure_fraction {gross}"),
        (daily.max_plans == 0, True, "max_plans 0 lets no BUY in"),
        (daily.max_orders == 0, True, "max_orders 0 lets no BUY in"),
        (compliance.day_trades.max_round_trips == 0, True, "max_round_trips 0 lets no BUY in"),
        (
            sector is not None and not compliance.sectors.of_symbols,
            False,
            f"max_sector_fraction {sector} without a line in sectors.of_symbols: nothing is bought beside what is held",
        ),
        (
            least > compliance.orders.max_order_value,
            True,
            f"min_position_value {least} is above max_order_value {compliance.orders.max_order_value}: no BUY can pass",
        ),
        (
            compliance.price_bounds.min_price >= compliance.price_bounds.max_price,
            True,
            f"min_price {compliance.price_bounds.min_price} is not below max_price {compliance.price_bounds.max_price}",
        ),
        (
            compliance.orders.max_order_qty * compliance.price_bounds.max_price < least,
            True,
            f"max_order_qty {compliance.orders.max_order_qty} at max_price is below min_position_value {least}",
        ),
    ]
    a_day, altogether = hard.loss_limits.max_daily_loss_fraction, hard.loss_limits.max_drawdown_fraction
    if a_day is not None and altogether is not None:
        what = f"max_daily_loss_fraction {a_day} is above max_drawdown_fraction {altogether}: the other breaks first"
        found.append((a_day > altogether, False, what))
    if equity_usd is not None:
        found += [
            (
                least > fraction * equity_usd,
                True,
                f"min_position_value {least} is above max_position_fraction of equity: no BUY can pass",
            ),
            (reserve >= equity_usd, True, f"cash_reserve {reserve} is all the equity there is: no BUY can pass"),
            (
                stop * least > risk * equity_usd,
                True,
                f"max_plan_risk_fraction {risk} of the equity is less than one smallest BUY may lose: no BUY can pass",
            ),
        ]
    return tuple(LimitTrouble(fatal, text) for is_so, fatal, text in found if is_so)


def _waits(settings: Settings) -> tuple[LimitTrouble, ...]:
    executive, trading = settings.executive, settings.trading
    answer_s = trading.connect_timeout_s + trading.read_timeout_s
    found = [
        (
            trading.intent_ttl_s <= answer_s,
            f"intent_ttl_s {trading.intent_ttl_s} is not above connect_timeout_s + read_timeout_s {answer_s}",
        ),
        (
            executive.silence_s <= answer_s,
            f"silence_s {executive.silence_s} is not above connect_timeout_s + read_timeout_s {answer_s}",
        ),
        (
            executive.sell_timeout_s < trading.reconcile_interval_s,
            f"sell_timeout_s {executive.sell_timeout_s} is below reconcile_interval_s {trading.reconcile_interval_s}",
        ),
        (
            executive.cash_wait_s < executive.cash_poll_s,
            f"cash_wait_s {executive.cash_wait_s} is below cash_poll_s {executive.cash_poll_s}",
        ),
        (
            executive.verify_wait_s < executive.verify_poll_s,
            f"verify_wait_s {executive.verify_wait_s} is below verify_poll_s {executive.verify_poll_s}",
        ),
        (
            trading.unknown_quiet_s < trading.look_up_interval_s,
            f"unknown_quiet_s {trading.unknown_quiet_s} is below look_up_interval_s {trading.look_up_interval_s}",
        ),
    ]
    return tuple(LimitTrouble(fatal=False, text=text) for is_so, text in found if is_so)
