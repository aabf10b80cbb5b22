"""Market data: latest trades and quotes, snapshots, bars. Figures are JSON numbers here, as Alpaca has them."""

import base64
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Final

from paper_alpaca import hours
from paper_alpaca.figures import nanos, parse_time, seconds
from paper_alpaca.market import DailyBar, Market
from paper_alpaca.refusals import Refusal, not_found
from paper_alpaca.web import Answer, Call, ok, refuse

_DAY_VOLATILITY: Final = 0.015
_LIMIT: Final = 1000
_MOST: Final = 10_000
_TIMEFRAMES: Final = {
    "1day": "day", "1d": "day", "day": "day",
    "1week": "week", "1w": "week",
    "1month": "month", "1m": "month",
}  # fmt: skip


def latest_quotes(call: Call) -> Answer:
    """GET /v2/stocks/quotes/latest?symbols=."""
    return ok({"quotes": {s: quote_view(call.venue.market, s, call.desk.now()) for s in _symbols(call)}})


def latest_quote(call: Call) -> Answer:
    """GET /v2/stocks/{symbol}/quotes/latest."""
    if call.tail not in call.venue.market.last:
        return refuse(_no_data(call.tail))
    return ok({"symbol": call.tail, "quote": quote_view(call.venue.market, call.tail, call.desk.now())})


def latest_trades(call: Call) -> Answer:
    """GET /v2/stocks/trades/latest?symbols=."""
    return ok({"trades": {s: trade_view(call.venue.market, s, call.desk.now()) for s in _symbols(call)}})


def latest_trade(call: Call) -> Answer:
    """GET /v2/stocks/{symbol}/trades/latest."""
    if call.tail not in call.venue.market.last:
        return refuse(_no_data(call.tail))
    return ok({"symbol": call.tail, "trade": trade_view(call.venue.market, call.tail, call.desk.now())})


def latest_bars(call: Call) -> Answer:
    """GET /v2/stocks/bars/latest?symbols=: the minute that just went by."""
    return ok({"bars": {s: minute_view(call.venue.market, s, call.desk.now()) for s in _symbols(call)}})


def latest_bar(call: Call) -> Answer:
    """GET /v2/stocks/{symbol}/bars/latest."""
    if call.tail not in call.venue.market.last:
        return refuse(_no_data(call.tail))
    return ok({"symbol": call.tail, "bar": minute_view(call.venue.market, call.tail, call.desk.now())})


def snapshots(call: Call) -> Answer:
    """GET /v2/stocks/snapshots?symbols=."""
    return ok({s: _snapshot(call, s) for s in _symbols(call)})


def snapshot(call: Call) -> Answer:
    """GET /v2/stocks/{symbol}/snapshot."""
    if call.tail not in call.venue.market.last:
        return refuse(_no_data(call.tail))
    return ok({"symbol": call.tail, **_snapshot(call, call.tail)})


def bars(call: Call) -> Answer:
    """GET /v2/stocks/bars?symbols=&timeframe=: daily bars, also by week and month; pages run through the symbols.

    A symbol has the bars that the state file tells of it and no others; where it tells none, they are made up.
    """
    query = call.query
    symbols = _symbols(call, call.venue.market.bars)
    timeframe = _TIMEFRAMES.get(query.get("timeframe", "1Day").lower())
    if timeframe is None:
        return refuse(Refusal(400, {"message": "invalid timeframe: only 1Day, 1Week and 1Month are kept here"}))
    try:
        limit = min(int(query.get("limit") or _LIMIT), _MOST)
        skip = int(base64.urlsafe_b64decode(query.get("page_token") or b"MA==").decode())
    except ValueError:
        return refuse(Refusal(400, {"message": "invalid limit or page_token"}))
    now = call.desk.now()
    start = parse_time(query.get("start", "")) or datetime.combine(hours.new_york(now).date(), datetime.min.time(), UTC)
    end = parse_time(query.get("end", "")) or now
    rows: list[tuple[str, dict[str, object]]] = []
    for symbol in symbols:
        found = daily_bars(call.venue.market, symbol, start, min(end, now), now, call.venue.seed)
        found = _merge(found, timeframe)
        if query.get("sort") == "desc":
            found.reverse()
        rows.extend((symbol, bar) for bar in found)
    page = rows[skip : skip + limit]
    by_symbol: dict[str, list[dict[str, object]]] = {}
    for symbol, bar in page:
        by_symbol.setdefault(symbol, []).append(bar)
    more = skip + limit < len(rows)
    token = base64.urlsafe_b64encode(str(skip + limit).encode()).decode() if more else None
    return ok({"bars": by_symbol, "next_page_token": token})


def bars_of(call: Call) -> Answer:
    """GET /v2/stocks/{symbol}/bars: as `bars`, for one symbol."""
    call.raw_query += b"&symbols=" + call.tail.encode()
    answer = bars(call)
    if answer.status != 200:
        return answer
    symbol = call.tail
    body = answer.body.replace(b'{"bars":{"' + symbol.encode() + b'":', b'{"bars":', 1)
    if body != answer.body:
        body = body.replace(b']},"next_page_token"', b'],"next_page_token"', 1)
    else:
        body = body.replace(b'{"bars":{}', b'{"bars":[]', 1)
    return Answer(200, body[:-1] + b',"symbol":"' + symbol.encode() + b'"}')


def quote_view(market: Market, symbol: str, now: datetime) -> dict[str, object]:
    """Return the latest quote of a symbol that has a price."""
    quote = market.quote(symbol)
    bid, ask = quote if quote is not None else (Decimal(0), Decimal(0))
    return {
        "ap": float(ask), "as": 2, "ax": "V", "bp": float(bid), "bs": 2, "bx": "V",
        "c": ["R"], "t": nanos(now), "z": "C",
    }  # fmt: skip


def trade_view(market: Market, symbol: str, now: datetime) -> dict[str, object]:
    """Return the latest trade of a symbol that has a price."""
    price = float(market.last[symbol])
    return {"c": ["@"], "i": 1, "p": price, "s": 100, "t": nanos(now), "x": "V", "z": "C"}


def minute_view(market: Market, symbol: str, now: datetime) -> dict[str, object]:
    """Return the bar of the minute before `now`."""
    price = float(market.last[symbol])
    minute = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    return {
        "c": price, "h": price, "l": price, "n": 1, "o": price,
        "t": seconds(minute), "v": 100, "vw": price,
    }  # fmt: skip


def daily_bars(
    market: Market, symbol: str, start: datetime, end: datetime, now: datetime, seed: int
) -> list[dict[str, object]]:
    """Return the daily bars that begin from `start` to `end`, oldest first.

    Those that the state file tells, as they are. Else they are synthetic: each day's return is drawn from seed, symbol
    and date alone, counted back from yesterday's close, so the same day reads the same in every window; the last bar
    ends at the last price.
    """
    told = market.bars.get(symbol)
    if told is not None:
        stamped = ((_midnight(bar.day), bar) for bar in told)
        return [_told(at, bar) for at, bar in stamped if _within(at, start, end)]
    today = hours.new_york(now).date()
    return _days(symbol, market.last[symbol], market.previous[symbol], start, end, today, seed)


def _days(
    symbol: str, last: Decimal, previous: Decimal, start: datetime, end: datetime, today: date, seed: int
) -> list[dict[str, object]]:
    first = hours.new_york(start).date() if start.time() != datetime.min.time() else start.date()
    found: list[dict[str, object]] = []
    for day, opens, closes, rng in _walk(symbol, float(last), float(previous), first, today, seed):
        midnight = _midnight(day)
        if _within(midnight, start, end):
            found.append(_bar(midnight, opens, closes, rng))
    found.reverse()
    return found


@lru_cache(maxsize=8192)
def _last_two_days(
    symbol: str, last: Decimal, previous: Decimal, today: date, seed: int
) -> tuple[dict[str, object], dict[str, object]]:
    """Return the bars of the last two trading days; drawn once for each price."""
    midnight = datetime.combine(today, datetime.min.time(), UTC)
    days = _days(symbol, last, previous, midnight - timedelta(days=12), midnight + timedelta(days=1), today, seed)
    return days[-2], days[-1]


def _walk(
    symbol: str, last: float, previous: float, first: date, today: date, seed: int
) -> Iterator[tuple[date, float, float, Random]]:
    """Yield (day, open, close, its generator) from today back to `first`."""
    day = today
    opens, closes = previous, last
    while day >= first:
        rng = Random(f"{seed}:{symbol}:{day.isoformat()}")  # noqa: S311 - repeatable on purpose
        if hours.is_trading_day(day):
            if day != today:
                opens = closes / (1 + rng.gauss(0, _DAY_VOLATILITY))
            yield day, opens, closes, rng
            closes = opens
        day -= timedelta(days=1)


def _midnight(day: date) -> datetime:
    """Return when a trading day begins in New York: what its bar is stamped with."""
    session = hours.session_on(day)
    if session is None:
        return datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=5)
    return session.opens.replace(hour=0, minute=0).astimezone(UTC)


def _within(at: datetime, start: datetime, end: datetime) -> bool:
    return start <= at + timedelta(hours=5) and at <= end


def _told(at: datetime, bar: DailyBar) -> dict[str, object]:
    o, h, low, c = (float(price) for price in (bar.open, bar.high, bar.low, bar.close))
    return {
        "c": c, "h": h, "l": low, "n": max(1, bar.volume // 150), "o": o,
        "t": seconds(at), "v": bar.volume, "vw": round((o + h + low + c) / 4, 6),
    }  # fmt: skip


def _bar(at: datetime, opens: float, closes: float, rng: Random) -> dict[str, object]:
    high = max(opens, closes) * (1 + abs(rng.gauss(0, 0.004)))
    low = min(opens, closes) * (1 - abs(rng.gauss(0, 0.004)))
    volume = rng.randint(500_000, 5_000_000)
    return {
        "c": round(closes, 4), "h": round(high, 4), "l": round(low, 4), "n": volume // 150, "o": round(opens, 4),
        "t": seconds(at), "v": volume, "vw": round((opens + closes + high + low) / 4, 6),
    }  # fmt: skip


def _merge(days: list[dict[str, object]], timeframe: str) -> list[dict[str, object]]:
    """Join daily bars to weeks or months."""
    if timeframe == "day":
        return days
    groups: dict[object, list[dict[str, object]]] = {}
    for bar in days:
        day = date.fromisoformat(str(bar["t"])[:10])
        key: object = day.isocalendar()[:2] if timeframe == "week" else (day.year, day.month)
        groups.setdefault(key, []).append(bar)
    merged = []
    for group in groups.values():
        values = [{key: float(str(bar[key])) for key in ("h", "l", "v", "n", "vw")} for bar in group]
        merged.append(
            {
                "c": group[-1]["c"],
                "h": max(v["h"] for v in values),
                "l": min(v["l"] for v in values),
                "n": int(sum(v["n"] for v in values)),
                "o": group[0]["o"],
                "t": group[0]["t"],
                "v": int(sum(v["v"] for v in values)),
                "vw": group[-1]["vw"],
            }
        )
    return merged


def _snapshot(call: Call, symbol: str) -> dict[str, object]:
    market, now = call.venue.market, call.desk.now()
    today = hours.new_york(now).date()
    before, latest = _last_two_days(symbol, market.last[symbol], market.previous[symbol], today, call.venue.seed)
    return {
        "dailyBar": latest,
        "latestQuote": quote_view(market, symbol, now),
        "latestTrade": trade_view(market, symbol, now),
        "minuteBar": minute_view(market, symbol, now),
        "prevDailyBar": before,
    }


def _symbols(call: Call, besides: Iterable[str] = ()) -> list[str]:
    """Return the symbols asked for that have a price, or are known besides; Alpaca leaves the others out."""
    asked = call.query.get("symbols", "").upper().split(",")
    return sorted({symbol.strip() for symbol in asked} & {*call.venue.market.last, *besides})


def _no_data(symbol: str) -> Refusal:
    return not_found(f"no data found for {symbol}")
