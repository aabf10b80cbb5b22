"""Account, positions, assets, clock, calendar, activities: what there is to read of the trading API."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from paper_alpaca import hours
from paper_alpaca.accounts import position_view
from paper_alpaca.figures import micros, parse_time, text
from paper_alpaca.intake import is_true
from paper_alpaca.market import Asset
from paper_alpaca.orders import Execution, Order
from paper_alpaca.past import daily_equity, days_back
from paper_alpaca.refusals import NO_POSITION, invalid, not_found, unprocessable
from paper_alpaca.web import BAD_JSON, Answer, Call, ok, read_json, refuse

_PAGE: Final = 100
_CALENDAR_FIRST: Final = date(1970, 1, 1)
_CALENDAR_LAST: Final = date(2029, 12, 31)
_RATES: Final = {True: ("30", 30), False: ("100", 100)}


def get_account(call: Call) -> Answer:
    """GET /v2/account."""
    return ok(call.desk.account.view(call.desk.exchange.totals()))


def get_configurations(call: Call) -> Answer:
    """GET /v2/account/configurations."""
    return ok(call.desk.account.configurations)


def patch_configurations(call: Call) -> Answer:
    """PATCH /v2/account/configurations: known keys are taken, others ignored."""
    try:
        changes = read_json(call.body)
    except ValueError:
        return refuse(BAD_JSON)
    known = call.desk.account.configurations
    for key, value in changes.items() if isinstance(changes, dict) else ():
        if key in known and value is not None:
            known[key] = is_true(value) if isinstance(known[key], bool) else value
    return ok(known)


def get_positions(call: Call) -> Answer:
    """GET /v2/positions."""
    desk = call.desk
    return ok(
        [
            position_view(position, call.venue.market, desk.exchange.held_qty(position.symbol))
            for position in desk.account.positions.values()
        ]
    )


def get_position(call: Call) -> Answer:
    """GET /v2/positions/{symbol or asset id}."""
    asset = call.venue.market.find_asset(call.tail)
    position = None if asset is None else call.desk.account.positions.get(asset.symbol)
    if position is None:
        return refuse(NO_POSITION)
    held = call.desk.exchange.held_qty(position.symbol)
    return ok(position_view(position, call.venue.market, held))


def get_assets(call: Call) -> Answer:
    """GET /v2/assets: filters status, exchange, asset_class."""
    query = call.query
    if query.get("asset_class", "us_equity") not in {"us_equity", ""}:
        return ok([])
    market = call.venue.market
    found = [asset for asset in map(market.asset, market.symbols()) if asset is not None]
    return ok(
        [
            asset_view(asset)
            for asset in found
            if query.get("status") in {None, "", "all", asset.status}
            and query.get("exchange") in {None, "", asset.exchange}
        ]
    )


def get_asset(call: Call) -> Answer:
    """GET /v2/assets/{symbol or asset id}."""
    asset = call.venue.market.find_asset(call.tail)
    return refuse(not_found(f"asset not found for {call.tail}")) if asset is None else ok(asset_view(asset))


def asset_view(asset: Asset) -> dict[str, object]:
    """Return an asset as REST shows it."""
    rate_text, rate = _RATES[asset.marginable]
    return {
        "attributes": ["fractional_eh_enabled", "has_options"] if asset.fractionable else [],
        "borrow_status": "easy_to_borrow" if asset.easy_to_borrow else "hard_to_borrow",
        "class": "us_equity",
        "easy_to_borrow": asset.easy_to_borrow,
        "exchange": asset.exchange,
        "fractionable": asset.fractionable,
        "id": asset.asset_id,
        "maintenance_margin_requirement": rate,
        "margin_requirement_long": rate_text,
        "margin_requirement_short": rate_text,
        "marginable": asset.marginable,
        "name": asset.name,
        "shortable": asset.shortable,
        "status": asset.status,
        "symbol": asset.symbol,
        "tradable": asset.tradable,
    }


def get_clock(call: Call) -> Answer:
    """GET /v2/clock."""
    return ok(call.venue.clock.view(datetime.now(UTC)))


def get_calendar(call: Call) -> Answer:
    """GET /v2/calendar?start=&end=: trading days, both ends included; without them, this year and the next."""
    query, today = call.query, call.desk.now().date()
    first = _day(query.get("start"), date(today.year, 1, 1))
    last = _day(query.get("end"), date(today.year + 1, 12, 31))
    if first is None or last is None:
        return refuse(invalid("invalid start or end, expected YYYY-MM-DD"))
    return ok(
        [
            {
                "date": session.day.isoformat(),
                "open": f"{session.opens:%H:%M}",
                "close": f"{session.closes:%H:%M}",
                "session_open": "0400",
                "session_close": "2000" if session.closes.hour == 16 else "1700",
                "settlement_date": hours.settlement(session.day).isoformat(),
            }
            for session in hours.sessions(max(first, _CALENDAR_FIRST), min(last, _CALENDAR_LAST))
        ]
    )


def get_activities(call: Call) -> Answer:
    """GET /v2/account/activities and /activities/{type}: executions are the only activities there are.

    `page_token` is the id of the last one seen; `after` and `until` are exclusive; `date` is a day in New York.
    """
    query = call.query
    kinds = call.tail or query.get("activity_types", "")
    if kinds and "FILL" not in kinds.upper().split(","):
        return ok([])
    try:
        size = int(query.get("page_size") or _PAGE)
    except ValueError:
        size = 0
    if not 1 <= size <= _PAGE:
        return refuse(invalid(f"page_size must be from 1 to {_PAGE}"))
    fills = [row for row in call.desk.exchange.fills if _within(row[1].at, query)]
    fills.sort(key=lambda row: row[1].activity_id, reverse=query.get("direction", "desc") != "asc")
    token = query.get("page_token")
    if token:
        rising = query.get("direction", "desc") == "asc"
        fills = [row for row in fills if (row[1].activity_id > token if rising else row[1].activity_id < token)]
    return ok([activity_view(*row) for row in fills[:size]])


def activity_view(order: Order, execution: Execution, status: str) -> dict[str, object]:
    """Return an execution as an account activity."""
    return {
        "activity_type": "FILL",
        "cum_qty": text(execution.cum_qty),
        "id": execution.activity_id,
        "leaves_qty": text(execution.leaves_qty),
        "order_id": order.order_id,
        "order_status": status,
        "price": text(execution.price),
        "qty": text(execution.qty),
        "side": order.side,
        "symbol": order.symbol,
        "transaction_time": micros(execution.at),
        "type": "fill" if status == "filled" else "partial_fill",
    }


def get_portfolio_history(call: Call) -> Answer:
    """GET /v2/account/portfolio/history?timeframe=1D: a close each trading day, today's equity last.

    The window is given by two of `start`, `end` and `period` (1M unless told). Of a day's course nothing is kept:
    shorter timeframes show the close before and now.
    """
    query, desk, now = call.query, call.desk, call.desk.now()
    today = hours.new_york(now).date()
    if all(query.get(key) for key in ("start", "end", "period")):
        return refuse(unprocessable("only two of start, end and period can be specified"))
    timeframe = query.get("timeframe") or "1D"
    last = _new_york_day(query.get("end") or query.get("date_end"), today)
    first: date | None = None
    if timeframe != "1D":
        first = hours.day_before(today)
    elif last is not None:
        first = days_back(query.get("period") or "1M", last)
        if query.get("start"):
            first = _new_york_day(query["start"], today)
            last = last if query.get("end") or not query.get("period") else _ahead(query["period"], first)
    if first is None or last is None:
        return refuse(unprocessable("invalid start, end or period"))
    opened = parse_time(desk.account.created_at)
    equity = desk.exchange.totals().equity
    rows = list(
        daily_equity(
            desk.closes,
            begun_with=desk.begun_with,
            equity=equity,
            today=today,
            first=first if opened is None else max(first, opened.date()),
            last=last,
        )
    )
    base = rows[0][1] if rows else Decimal(0)
    return ok(
        {
            "timestamp": [int(at.timestamp()) for at, _ in rows],
            "equity": [round(float(value), 2) for _, value in rows],
            "profit_loss": [round(float(value - base), 2) for _, value in rows],
            "profit_loss_pct": [round(float((value - base) / base if base else 0), 8) for _, value in rows],
            "base_value": round(float(base), 2),
            "base_value_asof": rows[0][0].date().isoformat() if rows else desk.account.balance_asof,
            "timeframe": timeframe,
            "cashflow": {},
        }
    )


def _new_york_day(value: str | None, default: date) -> date | None:
    """Read a time as New York's day, a bare date as that day."""
    if not value:
        return default
    moment = parse_time(value)
    if moment is None:
        return None
    return moment.date() if len(value) == 10 else hours.new_york(moment).date()


def _ahead(period: str, first: date | None) -> date | None:
    """Return the day on which a period that begins with `first` is over."""
    back = None if first is None else days_back(period, first)
    return None if first is None or back is None else first + (first - back)


def _within(at: datetime, query: dict[str, str]) -> bool:
    after, until = parse_time(query.get("after", "")), parse_time(query.get("until", ""))
    day = query.get("date", "")[:10]
    return (
        (after is None or at > after)
        and (until is None or at < until)
        and (not day or hours.new_york(at).date().isoformat() == day)
    )


def _day(value: str | None, default: date) -> date | None:
    if not value:
        return default
    moment = parse_time(value)
    return None if moment is None else moment.date()
