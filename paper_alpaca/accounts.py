"""One account's money: cash, positions, margin, buying power. Pure.

Sources: Alpaca's "Margin and Short Selling" page for the rates, recorded paper accounts for the multiplier: 4 x equity
when flat, half of that by Regulation T.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from paper_alpaca.figures import AVERAGE_STEP, ONE, ZERO, money, text
from paper_alpaca.market import Market, asset_id
from paper_alpaca.orders import Side

MARGIN_EQUITY: Final = Decimal(2000)  # below, the account buys with cash alone
_INITIAL: Final = Decimal("0.5")
_MAINTENANCE: Final = Decimal("0.3")
_CHEAP: Final = Decimal("2.5")
_LOW: Final = Decimal(6)
_RATIO_STEP: Final = Decimal("0.0000000001")


class BrokenBookError(RuntimeError):
    """The exchange broke a promise of its own: a bug here, never something a client did."""


@dataclass(slots=True)
class Position:
    """Shares held of one symbol.

    Attributes:
        qty: Signed: short positions are negative; never 0.
        cost: USD paid for the shares held, signed like `qty`.
    """

    symbol: str
    qty: Decimal
    cost: Decimal

    @property
    def entry(self) -> Decimal:
        """Average entry price, USD per share."""
        return self.cost / self.qty


@dataclass(frozen=True, slots=True)
class Totals:
    """An account's money at one moment, USD.

    Attributes:
        cash: As shown; proceeds that lag their fill are left out.
        reserved: What open BUY orders may still cost.
    """

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    equity: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    multiplier: int
    buying_power: Decimal
    regt_buying_power: Decimal
    reserved: Decimal


@dataclass(slots=True)
class Account:
    """Cash and positions; changes by executions only.

    Attributes:
        cash: USD, negative on margin.
        lagging: Proceeds of SELLs that are in `cash` but not to be seen yet.
        last_equity: Equity the account began with.
    """

    account_id: str
    number: str
    cash: Decimal
    positions: dict[str, Position]
    created_at: str
    balance_asof: str
    last_equity: Decimal = ZERO
    last_maintenance: Decimal = ZERO
    lagging: Decimal = ZERO
    shorting_enabled: bool = True
    max_multiplier: int = 4
    trading_blocked: bool = False
    account_blocked: bool = False
    configurations: dict[str, object] = field(
        default_factory=lambda: {
            "disable_overnight_trading": False,
            "fractional_trading": True,
            "max_margin_multiplier": "4",
            "max_options_trading_level": None,
            "no_shorting": False,
            "ptp_no_exception_entry": False,
            "suspend_trade": False,
            "trade_confirm_email": "all",
        }
    )

    def qty(self, symbol: str) -> Decimal:
        """Return the shares held, signed; 0 without a position."""
        position = self.positions.get(symbol)
        return ZERO if position is None else position.qty

    def execute(self, side: Side, symbol: str, qty: Decimal, price: Decimal) -> Decimal:
        """Book a trade and return the position's new quantity.

        Args:
            side: Which way.
            symbol: What.
            qty: Shares, > 0.
            price: USD per share.

        Raises:
            BrokenBookError: The quantity is not positive.
        """
        if qty <= 0:
            raise BrokenBookError(f"expected to trade more than 0 shares, was {qty}")
        change = qty if side == "buy" else -qty
        self.cash -= change * price
        position = self.positions.get(symbol)
        if position is None:
            self.positions[symbol] = Position(symbol, change, change * price)
            return change
        total = position.qty + change
        if not total:
            del self.positions[symbol]
            return ZERO
        if (position.qty > 0) == (change > 0):
            position.cost += change * price
        elif (total > 0) == (position.qty > 0):
            position.cost = position.cost * total / position.qty
        else:
            position.cost = total * price  # crossed zero: what is left was opened by this trade
        position.qty = total
        return total

    def totals(self, market: Market, reserved: Decimal) -> Totals:
        """Add up the account at the market's last prices."""
        long_value = short_value = maintenance = ZERO
        for position in self.positions.values():
            price = market.last.get(position.symbol)
            if price is None:
                price = position.entry
            value = position.qty * price
            if value >= 0:
                long_value += value
            else:
                short_value += value
            maintenance += abs(value) * maintenance_rate(price)
        equity = self.cash + long_value + short_value
        initial = (long_value - short_value) * _INITIAL
        cash = self.cash - self.lagging
        usable = equity - self.lagging
        multiplier = 1 if equity < MARGIN_EQUITY else self.max_multiplier
        if multiplier == 1:
            power = regt = max(ZERO, cash - reserved)
        else:
            power = max(ZERO, (usable - maintenance) * multiplier - reserved)
            regt = max(ZERO, (usable - initial) * 2 - reserved)
        return Totals(cash, long_value, short_value, equity, initial, maintenance, multiplier, power, regt, reserved)

    def begin(self, market: Market) -> None:
        """Take the present state as yesterday's close."""
        totals = self.totals(market, ZERO)
        self.last_equity = totals.equity
        self.last_maintenance = totals.maintenance_margin

    def may_short(self, equity: Decimal) -> bool:
        """Tell whether the account may sell what it doesn't hold."""
        return self.shorting_enabled and equity >= MARGIN_EQUITY and not self.configurations["no_shorting"]

    def view(self, totals: Totals) -> dict[str, object]:
        """Return the body of `GET /v2/account`. Fields of the pattern-day-trader rule are gone since July 2026."""
        spare = max(ZERO, totals.cash - totals.reserved)
        return {
            "account_blocked": self.account_blocked,
            "account_number": self.number,
            "accrued_fees": "0",
            "admin_configurations": {},
            "balance_asof": self.balance_asof,
            "buying_power": money(totals.buying_power),
            "cash": money(totals.cash),
            "created_at": self.created_at,
            "crypto_status": "ACTIVE",
            "crypto_tier": 1,
            "currency": "USD",
            "effective_buying_power": money(totals.buying_power),
            "equity": money(totals.equity),
            "id": self.account_id,
            "initial_margin": money(totals.initial_margin),
            "intraday_adjustments": "0",
            "last_equity": text(self.last_equity),
            "last_maintenance_margin": money(self.last_maintenance),
            "long_market_value": money(totals.long_value),
            "maintenance_margin": money(totals.maintenance_margin),
            "multiplier": str(totals.multiplier),
            "non_marginable_buying_power": money(spare),
            "options_approved_level": 3,
            "options_buying_power": money(spare),
            "options_trading_level": 3,
            "pending_reg_taf_fees": "0",
            "portfolio_value": money(totals.equity),
            "position_market_value": money(totals.long_value + totals.short_value),
            "regt_buying_power": money(totals.regt_buying_power),
            "short_market_value": money(totals.short_value),
            "shorting_enabled": self.may_short(totals.equity),
            "sma": money(max(ZERO, totals.equity - totals.initial_margin)),
            "status": "ACTIVE",
            "trade_suspended_by_user": bool(self.configurations["suspend_trade"]),
            "trading_blocked": self.trading_blocked,
            "transfers_blocked": False,
            "user_configurations": None,
        }


def position_view(position: Position, market: Market, held: Decimal) -> dict[str, object]:
    """Return a position as REST shows it.

    Args:
        position: The position.
        market: Where its price and asset facts stand.
        held: Shares of it that open orders hold, >= 0.
    """
    symbol, qty, entry = position.symbol, position.qty, position.entry
    price = market.last.get(symbol, entry)
    previous = market.previous.get(symbol, price)
    asset = market.asset(symbol)
    value = qty * price
    gain = value - position.cost
    today = qty * (price - previous)
    return {
        "asset_class": "us_equity",
        "asset_id": asset_id(symbol),
        "asset_marginable": True if asset is None else asset.marginable,
        "avg_entry_price": text(entry.quantize(AVERAGE_STEP)),
        "change_today": _ratio(price - previous, previous),
        "cost_basis": text(position.cost.quantize(AVERAGE_STEP)),
        "current_price": text(price),
        "exchange": "NYSE" if asset is None else asset.exchange,
        "lastday_price": text(previous),
        "market_value": text(value.quantize(AVERAGE_STEP)),
        "qty": text(qty),
        "qty_available": text(qty - held if qty > 0 else qty + held),
        "side": "long" if qty > 0 else "short",
        "symbol": symbol,
        "unrealized_intraday_pl": text(today.quantize(AVERAGE_STEP)),
        "unrealized_intraday_plpc": _ratio(today, abs(qty) * previous),
        "unrealized_pl": text(gain.quantize(AVERAGE_STEP)),
        "unrealized_plpc": _ratio(gain, abs(position.cost)),
    }


def maintenance_rate(price: Decimal) -> Decimal:
    """Return the fraction of a position's value that must be equity."""
    if price < _CHEAP:
        return ONE
    return _INITIAL if price < _LOW else _MAINTENANCE


def _ratio(part: Decimal, whole: Decimal) -> str:
    return text((part / whole).quantize(_RATIO_STEP)) if whole else "0"
