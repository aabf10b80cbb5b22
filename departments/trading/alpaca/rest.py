"""`Broker` over alpaca-py's REST client, raw data only.

The SDK brings addresses, paths, authentication and the wire's conventions; the session under it is `LightSession`. What
the SDK would do to an order is switched off: its retries of 429 and 504 (POST included), floats, models that fail a
whole list for one new word. Every way in which a call can fail ends in one of the errors of `broker.py`.

`RESTClient` is the base class of the SDK's `TradingClient`; its module imports in a quarter of a second where the
trading module takes a whole one, half of it for pandas, which nothing here uses.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from departments.trading.alpaca.connection import ConnectFailed, ExchangeFailed
from departments.trading.alpaca.endpoints import Endpoints
from departments.trading.alpaca.fields import Untranslatable
from departments.trading.alpaca.http import LightSession, UnreadableBody, read_json
from departments.trading.alpaca.translate import (
    account_facts,
    asset_facts,
    assets_of,
    clock_facts,
    order_facts,
    orders_of,
    positions_of,
    quotes_of,
)
from departments.trading.alpaca.translate_past import bars_of, equity_days_of, fills_of, trading_days_of
from departments.trading.broker import (
    FILLS_PAGE_LIMIT,
    ORDERS_PAGE_LIMIT,
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    CancelReply,
    FillsPage,
    FillsQuery,
    KeysRefused,
    OrdersPage,
    OrdersQuery,
    OutcomeUnknown,
    RateLimited,
    RateSeen,
)
from messages.broker import CancelOutcome
from messages.orders import OrderIntent
from messages.snapshots import (
    AccountFacts,
    AssetFacts,
    BarFacts,
    ClockFacts,
    EquityDay,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
    TradingDay,
)
from messages.values import ClientOrderId, OrderId, OrderType

BARS_FEED = "sip"
"""Daily bars are of all exchanges, as the volume of one is no measure of liquidity. Free for what is 15 minutes old."""
BARS_ADJUSTMENT = "split"
"""Prices in today's shares, so that a split is no jump; dividends stay in them."""
_BARS_PAGE_LIMIT = 10_000
_MOST_BAR_PAGES = 20
_MESSAGE_MAX_LENGTH = 500
_EPOCH_FROM = 1_000_000_000
"""X-RateLimit-Reset above this is a time, below it seconds from now."""
_TIMEOUTS_SAID_BY_OTHERS = frozenset({408, 425, 499})
"""4xx that tell of a request cut short, not of a decision: the outcome is unknown."""

FactsT = TypeVar("FactsT")


class AlpacaBroker:
    """One client for one thread.

    Args:
        endpoints: Where Alpaca is.
        key_id: Alpaca's key.
        secret_key: Its secret; never logged, never part of an error's text.
        connect_timeout_s: For name, TCP and TLS.
        read_timeout_s: Longest silence.
        feed: Which tape the quotes come from; `iex` is free.
        now: Tells the time for `Retry-After` and `X-RateLimit-Reset` only.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        key_id: str,
        secret_key: str,
        connect_timeout_s: float,
        read_timeout_s: float,
        feed: str = "iex",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from alpaca.common.rest import RESTClient

        self._session = LightSession(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)
        self._client = RESTClient(
            base_url=endpoints.rest_url, api_key=key_id, secret_key=secret_key, api_version="v2", raw_data=True
        )
        # Source: alpaca-py 0.44.0, alpaca/common/rest.py. The constructor ignores retry_attempts=0 and an empty list.
        self._client._session.close()  # noqa: SLF001 - the SDK offers no way to hand a session in
        self._client._session = self._session  # noqa: SLF001 - as above
        self._client._retry = 0  # noqa: SLF001 - as above
        self._client._retry_codes = []  # noqa: SLF001 - as above
        headers = self._client._get_default_headers()  # noqa: SLF001 - built anew for each request otherwise
        self._client._get_default_headers = lambda: headers  # noqa: SLF001 - as above
        self._rest_url = endpoints.rest_url
        self._data_url = endpoints.data_url
        self._feed = feed
        self._now = now

    # What `Broker` promises

    @property
    def rate_seen(self) -> RateSeen | None:
        """See `Broker`."""
        headers = self._session.last_headers
        limit, remaining = _count(headers.get("x-ratelimit-limit")), _count(headers.get("x-ratelimit-remaining"))
        if limit is None or remaining is None:
            return None
        reset = _count(headers.get("x-ratelimit-reset"))
        if reset is not None and reset > _EPOCH_FROM:
            reset = max(0, reset - int(self._now().timestamp()))
        return RateSeen(limit=limit, remaining=remaining, reset_in_s=reset)

    def warm(self) -> None:
        """See `Broker`."""
        try:
            self._session.connected(self._rest_url)
        except ConnectFailed as error:
            raise BrokerUnavailable(str(error)) from error

    def submit(self, intent: OrderIntent, departed: Callable[[], None]) -> OrderFacts:
        """See `Broker`."""
        nobody, self._session.departed = self._session.departed, departed
        try:
            body = self._change(lambda: self._client.post("/orders", order_request(intent)))
        finally:
            self._session.departed = nobody
        try:
            order = order_facts(body)
        except Untranslatable as error:
            raise OutcomeUnknown(f"answer unreadable: {error}") from error
        if order.client_order_id != intent.client_order_id:
            raise OutcomeUnknown(f"answer about another order: {order.client_order_id}")
        return order

    def cancel(self, order_id: OrderId) -> CancelReply:
        """See `Broker`."""
        try:
            self._change(lambda: self._client.delete(f"/orders/{order_id}"))
        except BrokerRefused as refusal:
            if refusal.status_code == 404:
                return CancelReply(CancelOutcome.MISSING, refusal.message)
            if refusal.status_code == 422:
                return CancelReply(CancelOutcome.NOT_CANCELABLE, refusal.message)
            raise
        return CancelReply(CancelOutcome.ACCEPTED, "")

    def order_by_client_id(self, client_order_id: ClientOrderId) -> OrderFacts | None:
        """See `Broker`."""
        query = {"client_order_id": client_order_id, "nested": "true"}
        return self._read_or_none(order_facts, lambda: self._client.get("/orders:by_client_order_id", query))

    def orders(self, query: OrdersQuery) -> OrdersPage:
        """See `Broker`."""
        params = {
            "status": query.listing.value,
            "limit": str(ORDERS_PAGE_LIMIT),
            "direction": "asc",
            "nested": "true",
        }
        if query.after is not None:
            params["after"] = query.after.isoformat().replace("+00:00", "Z")
        if query.symbols:
            params["symbols"] = ",".join(query.symbols)

        def translate(raw: Any) -> OrdersPage:
            orders = orders_of(raw)
            return OrdersPage(orders, len(raw))

        return self._read(translate, lambda: self._client.get("/orders", params))

    def account(self) -> AccountFacts:
        """See `Broker`."""
        return self._read(account_facts, lambda: self._client.get("/account"))

    def positions(self) -> tuple[PositionFacts, ...]:
        """See `Broker`."""
        return self._read(positions_of, lambda: self._client.get("/positions"))

    def clock(self) -> ClockFacts:
        """See `Broker`."""
        return self._read(clock_facts, lambda: self._client.get("/clock"))

    def assets(self) -> tuple[AssetFacts, ...]:
        """See `Broker`."""
        query = {"status": "active", "asset_class": "us_equity"}
        return self._read(assets_of, lambda: self._client.get("/assets", query))

    def asset(self, symbol: str) -> AssetFacts | None:
        """See `Broker`."""
        path = symbol.replace("/", "%2F")
        return self._read_or_none(asset_facts, lambda: self._client.get(f"/assets/{path}"))

    def quotes(self, symbols: tuple[str, ...]) -> tuple[QuoteFacts, ...]:
        """See `Broker`. Quote and trade of all symbols in one request: the snapshots of the market data API."""
        query = {"symbols": ",".join(symbols), "feed": self._feed}
        return self._read(
            quotes_of, lambda: self._client.get("/stocks/snapshots", query, base_url=self._data_url, api_version="v2")
        )

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """See `Broker`. Source: GET /v2/calendar."""
        query = {"start": first.isoformat(), "end": last.isoformat()}
        return self._read(trading_days_of, lambda: self._client.get("/calendar", query))

    def fills(self, query: FillsQuery) -> FillsPage:
        """See `Broker`. Source: GET /v2/account/activities/FILL, which knows whole seconds."""
        params = {"direction": "asc", "page_size": str(FILLS_PAGE_LIMIT)}
        if query.after is not None:
            params["after"] = f"{query.after.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if query.page_token is not None:
            params["page_token"] = query.page_token
        return self._read(fills_of, lambda: self._client.get("/account/activities/FILL", params))

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        """See `Broker`. Source: GET /v2/account/portfolio/history.

        A day is stamped 20:00 in New York, 0:00 or 1:00 UTC: the window ends after the last one's stamp, and before it
        could lie ahead of the clock by more than half an hour.
        """
        query = {"timeframe": "1D", "start": f"{first}T12:00:00Z", "end": f"{last + timedelta(days=1)}T04:30:00Z"}

        def translate(raw: Any) -> tuple[EquityDay, ...]:
            return equity_days_of(raw, first, last)

        return self._read(translate, lambda: self._client.get("/account/portfolio/history", query))

    def daily_bars(self, symbols: tuple[str, ...], first: date, last: date) -> tuple[BarFacts, ...]:
        """See `Broker`. Source: GET /v2/stocks/bars of the market data API, a page of 10,000 bars a request."""
        query = {
            "symbols": ",".join(symbols),
            "timeframe": "1Day",
            "start": f"{first}T00:00:00Z",
            "end": f"{last}T23:59:59Z",
            "limit": str(_BARS_PAGE_LIMIT),
            "adjustment": BARS_ADJUSTMENT,
            "feed": BARS_FEED,
            "sort": "asc",
        }
        found: list[BarFacts] = []
        for _ in range(_MOST_BAR_PAGES):
            bars, token = self._read(
                bars_of, lambda: self._client.get("/stocks/bars", query, base_url=self._data_url, api_version="v2")
            )
            found += bars
            if token is None:
                return tuple(sorted(found, key=lambda bar: (bar.symbol, bar.day)))
            query["page_token"] = token
        raise BrokerUnavailable(f"bars: expected at most {_MOST_BAR_PAGES} pages, were more")

    def close(self) -> None:
        """See `Broker`."""
        self._session.close()

    # The ways of failing

    def _read(self, translate: Callable[[Any], FactsT], call: Callable[[], Any]) -> FactsT:
        from alpaca.common.exceptions import APIError

        try:
            return translate(call())
        except APIError as error:
            raise self._failed_read(error) from error
        except (ConnectFailed, ExchangeFailed, UnreadableBody, Untranslatable) as error:
            raise BrokerUnavailable(str(error)) from error

    def _read_or_none(self, translate: Callable[[Any], FactsT], call: Callable[[], Any]) -> FactsT | None:
        try:
            return self._read(translate, call)
        except BrokerRefused as refusal:
            if refusal.status_code == 404:
                return None
            raise

    def _change(self, call: Callable[[], Any]) -> Any:
        from alpaca.common.exceptions import APIError

        try:
            return call()
        except APIError as error:
            raise self._failed_change(error) from error
        except ConnectFailed as error:
            raise BrokerUnavailable(str(error)) from error
        except (ExchangeFailed, UnreadableBody) as error:
            raise OutcomeUnknown(str(error)) from error

    def _failed_read(self, error: Exception) -> BrokerError:
        status_code, code, message = _said(error)
        known = self._said_at_the_door(status_code, code, message)
        if known is not None:
            return known
        if 400 <= status_code < 500 and status_code not in _TIMEOUTS_SAID_BY_OTHERS:
            return BrokerRefused(status_code, code, message)
        return BrokerUnavailable(f"http {status_code} {message}"[:300].rstrip())

    def _failed_change(self, error: Exception) -> BrokerError:
        status_code, code, message = _said(error)
        known = self._said_at_the_door(status_code, code, message)
        if known is not None:
            return known
        in_alpacas_words = code is not None or _is_json_object(str(error))
        if 400 <= status_code < 500 and status_code not in _TIMEOUTS_SAID_BY_OTHERS and in_alpacas_words:
            return BrokerRefused(status_code, code, message)
        return OutcomeUnknown(f"http {status_code} {message}"[:300].rstrip())

    def _said_at_the_door(self, status_code: int, code: int | None, message: str) -> BrokerError | None:
        """Tell refusals that come before anything is looked at: limits and keys."""
        if status_code == 429:
            return RateLimited(f"http 429 {message}".rstrip(), self._retry_after_s())
        if status_code == 401 or (status_code == 403 and code is None):
            return KeysRefused(status_code, message)
        return None

    def _retry_after_s(self) -> float | None:
        headers = self._session.last_headers
        value = headers.get("retry-after")
        if value is not None:
            seconds = _count(value)
            if seconds is not None:
                return float(seconds)
            try:
                return max(0.0, (parsedate_to_datetime(value) - self._now()).total_seconds())
            except (TypeError, ValueError):
                return None
        seen = self.rate_seen
        return None if seen is None or seen.remaining > 0 else seen.reset_in_s


def order_request(intent: OrderIntent) -> dict[str, Any]:
    """Write an order as the POST's body, numbers as text: what was approved leaves digit by digit.

    Nothing is rounded here: a price that Alpaca finds too fine is refused by Alpaca and shown.
    """
    body: dict[str, Any] = {
        "symbol": intent.symbol,
        "qty": exact_text(intent.qty),
        "side": intent.side.value,
        "type": intent.order_type.value,
        "time_in_force": intent.time_in_force.value,
        "client_order_id": intent.client_order_id,
    }
    if intent.order_type is OrderType.LIMIT:
        if intent.limit_price_usd is None:
            raise AssertionError("expected a limit price with a limit order, was none")
        body["limit_price"] = exact_text(intent.limit_price_usd)
    if intent.stop_loss_usd is not None:
        body["stop_loss"] = {"stop_price": exact_text(intent.stop_loss_usd)}
    if intent.take_profit_usd is not None:
        body["take_profit"] = {"limit_price": exact_text(intent.take_profit_usd)}
    protections = len(body.keys() & {"stop_loss", "take_profit"})
    if protections:
        body["order_class"] = "bracket" if protections == 2 else "oto"
    return body


def exact_text(number: Decimal) -> str:
    """Write a decimal without exponent; reading it back gives the same number."""
    text = format(number, "f")
    if Decimal(text) != number:
        raise AssertionError(f"expected {number} to survive as text, was {text}")
    return text


def _said(error: Exception) -> tuple[int, int | None, str]:
    """Read what Alpaca said out of the SDK's APIError: status, code, message. Its own properties raise on HTML."""
    status_code = getattr(error, "status_code", None)
    if not isinstance(status_code, int):
        raise AssertionError(f"expected an HTTP status, was {status_code!r}")  # noqa: TRY004 - a bug, not an input
    text = str(error)
    try:
        body = read_json(text.encode())
    except UnreadableBody:
        body = None
    if not isinstance(body, Mapping):
        return status_code, None, " ".join(text.split())[:_MESSAGE_MAX_LENGTH]
    code, message = body.get("code"), body.get("message")
    return (
        status_code,
        code if isinstance(code, int) and not isinstance(code, bool) else None,
        (message if isinstance(message, str) else text)[:_MESSAGE_MAX_LENGTH],
    )


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(read_json(text.encode()), Mapping)
    except UnreadableBody:
        return False


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 12 else None
