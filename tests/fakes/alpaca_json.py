"""Alpaca's payloads as it sends them, written by ourselves after its documentation; a test changes what it is about."""

from typing import Any

AT = "2026-10-08T15:10:21.375005748Z"
UPDATED_AT = "2026-10-08T15:10:22.18Z"
RUN = "R" + "0123456789abcdef0123"
OURS = f"{RUN}-S01-1"


def an_order(**changes: Any) -> dict[str, Any]:
    """An order, filled."""
    return {
        "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "client_order_id": OURS,
        "created_at": "2026-10-08T15:10:21.371060727Z",
        "updated_at": UPDATED_AT,
        "submitted_at": AT,
        "filled_at": "2026-10-08T15:10:22.178543328Z",
        "expired_at": None,
        "canceled_at": None,
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
        "symbol": "CTVA",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "190",
        "filled_qty": "190",
        "filled_avg_price": "64.64",
        "order_class": "",
        "order_type": "market",
        "type": "market",
        "side": "sell",
        "time_in_force": "day",
        "limit_price": None,
        "stop_price": None,
        "status": "filled",
        "extended_hours": False,
        "legs": None,
        **changes,
    }


def an_account(**changes: Any) -> dict[str, Any]:
    """A margin account, flat."""
    return {
        "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
        "account_number": "PA3ALPACA000",
        "status": "ACTIVE",
        "currency": "USD",
        "cash": "100005.82",
        "equity": "100005.82",
        "last_equity": "100003.74258806517",
        "buying_power": "400023.28",
        "regt_buying_power": "200011.64",
        "multiplier": "4",
        "long_market_value": "0",
        "short_market_value": "0",
        "trading_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        **changes,
    }


def a_position(**changes: Any) -> dict[str, Any]:
    """A long position."""
    return {
        "symbol": "CTVA",
        "qty": "190",
        "qty_available": "190",
        "avg_entry_price": "62.8",
        "current_price": "64.64",
        "market_value": "12281.6",
        **changes,
    }


def a_clock(**changes: Any) -> dict[str, Any]:
    """New York, the market open."""
    return {
        "timestamp": "2026-10-08T11:10:22.123456789-04:00",
        "is_open": True,
        "next_open": "2026-10-09T09:30:00-04:00",
        "next_close": "2026-10-08T16:00:00-04:00",
        **changes,
    }


def an_asset(symbol: str = "CTVA", **changes: Any) -> dict[str, Any]:
    """An active asset."""
    return {"symbol": symbol, "status": "active", "tradable": True, "fractionable": True, **changes}


def a_frame(event: str = "fill", **changes: Any) -> dict[str, Any]:
    """A frame of the stream."""
    order = changes.pop("order", None) or an_order()
    data = {
        "event": event,
        "execution_id": "2f63ea93-423d-4169-b3f6-3fdafc10c418",
        "timestamp": "2026-10-08T15:10:22.178543328Z",
        "order": order,
        "qty": "190",
        "price": "64.64",
        "position_qty": "0",
        **changes,
    }
    return {"stream": "trade_updates", "data": data}


def a_trading_day(day: str, **changes: Any) -> dict[str, Any]:
    """A day of the calendar."""
    return {
        "date": day,
        "open": "09:30",
        "close": "16:00",
        "session_open": "0400",
        "session_close": "2000",
        "settlement_date": day,
        **changes,
    }


def a_fill(**changes: Any) -> dict[str, Any]:
    """A FILL activity."""
    return {
        "activity_type": "FILL",
        "cum_qty": "10",
        "id": "20261008111022097::7f7a0c9e-5d1a-4b0e-8b0f-0c6b0f6d3a11",
        "leaves_qty": "0",
        "order_id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "order_status": "filled",
        "price": "78.19",
        "qty": "6",
        "side": "buy",
        "symbol": "KO",
        "transaction_time": "2026-10-08T15:10:22.097465Z",
        "type": "fill",
        **changes,
    }


def a_portfolio_history(timestamp: list[Any], equity: list[Any]) -> dict[str, Any]:
    """A portfolio history by the day."""
    return {
        "timestamp": timestamp,
        "equity": equity,
        "profit_loss": [0] * len(equity),
        "profit_loss_pct": [0] * len(equity),
        "base_value": 0,
        "base_value_asof": "2026-10-07",
        "timeframe": "1D",
        "cashflow": {},
    }


def a_bar(**changes: Any) -> dict[str, Any]:
    """A daily bar."""
    return {
        "t": "2026-10-08T04:00:00Z",
        "o": "79.5",
        "h": "81",
        "l": "79",
        "c": "80.5",
        "v": 12_000_000,
        "n": 90_000,
        "vw": "80.1",
        **changes,
    }
