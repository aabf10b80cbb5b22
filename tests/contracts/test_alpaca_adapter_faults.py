"""Every way in which the SDK, the network or a server can fail ends in one of our few errors - and sends once."""

import json
import select
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from departments.trading.alpaca.endpoints import Endpoints, endpoints
from departments.trading.alpaca.rest import AlpacaBroker, exact_text, order_request
from departments.trading.broker import (
    BrokerRefused,
    BrokerUnavailable,
    KeysRefused,
    Listing,
    OrdersQuery,
    OutcomeUnknown,
    RateLimited,
    RateSeen,
)
from messages.broker import CancelOutcome
from messages.orders import OrderIntent
from messages.values import ClientOrderId, LegId, OrderId, OrderType, Side, TimeInForce
from tests.fakes.alpaca_json import OURS, a_clock, a_position, an_account, an_asset, an_order
from tests.fakes.wire import Wire, chunked, cut, drip, garbage, hang, hang_up, reset, send

NOW = datetime(2026, 10, 8, 15, 10, 22, tzinfo=UTC)
SECRET = "S3CRET"  # noqa: S105 - of nobody
HTML = "<html><head><title>504 Gateway Time-out</title></head></html>"
NEW_ORDER = an_order(status="pending_new", filled_qty="0", filled_avg_price=None, filled_at=None)


def a_broker(url, *, read_timeout_s=5.0) -> AlpacaBroker:
    return AlpacaBroker(
        endpoints=Endpoints(rest_url=url, data_url=url, stream_url="ws://unused"),
        key_id="K",
        secret_key=SECRET,
        connect_timeout_s=2.0,
        read_timeout_s=read_timeout_s,
        now=lambda: NOW,
    )


def an_intent(**changes) -> OrderIntent:
    fields = {
        "leg": LegId("S01"),
        "client_order_id": ClientOrderId(OURS),
        "symbol": "CTVA",
        "side": Side.SELL,
        "qty": Decimal(190),
    }
    return OrderIntent(**(fields | changes))


def nobody() -> None:
    """Care not when it leaves."""


def refusal(code, message):
    return {"code": code, "message": message}


# A POST that may or may not have been taken


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(send(500, {"message": "internal"}), id="500"),
        pytest.param(send(502, HTML), id="502 html"),
        pytest.param(send(503, b""), id="503 empty"),
        pytest.param(send(504, HTML), id="504 html"),
        pytest.param(send(504, refusal(50410000, "timeout")), id="504 json"),
        pytest.param(send(408, {"message": "request timeout"}), id="408"),
        pytest.param(send(499, refusal(49910000, "gone")), id="499"),
        pytest.param(send(404, HTML), id="404 that is not Alpaca's"),
        pytest.param(send(422, HTML), id="422 that is not Alpaca's"),
        pytest.param(send(301, b"", Location="http://127.0.0.1:1/"), id="301"),
        pytest.param(send(307, b"", Location="http://127.0.0.1:1/"), id="307"),
        pytest.param(send(200, b""), id="200 empty"),
        pytest.param(send(204, b""), id="204"),
        pytest.param(send(200, HTML), id="200 html"),
        pytest.param(send(200, b"null"), id="200 null"),
        pytest.param(send(200, []), id="200 list"),
        pytest.param(send(200, an_order(id=None)), id="200 order without id"),
        pytest.param(send(200, an_order(client_order_id="another")), id="200 another order"),
        pytest.param(send(200, b"\xff\xfe\x00"), id="200 bytes"),
        pytest.param(cut(200, b'{"id": "61e', of=500), id="200 cut short"),
        pytest.param(garbage, id="no http"),
        pytest.param(reset, id="reset"),
        pytest.param(hang_up, id="hung up"),
    ],
)  # fmt: skip
def test_a_post_without_an_answer_that_can_be_trusted_is_unknown_and_sent_once(answer):
    with Wire(answer, default=send(200, NEW_ORDER)) as wire:
        with pytest.raises(OutcomeUnknown) as caught:
            a_broker(wire.url).submit(an_intent(), nobody)

        assert [asked.method for asked in wire.asked] == ["POST"]
        assert "\n" not in caught.value.why


@pytest.mark.parametrize("answer", [hang, drip])
def test_a_post_that_is_never_answered_is_unknown_after_the_timeout(answer):
    with Wire(answer) as wire:
        with pytest.raises(OutcomeUnknown, match="timeout"):
            a_broker(wire.url, read_timeout_s=0.3).submit(an_intent(), nobody)

        assert len(wire.asked) == 1


def test_a_504_is_not_retried_by_the_sdk():
    """The SDK's own habit: three more POSTs, three seconds apart."""
    with Wire(send(504, HTML), default=send(200, NEW_ORDER)) as wire:
        broker = a_broker(wire.url)
        with pytest.raises(OutcomeUnknown):
            broker.submit(an_intent(), nobody)

        assert [asked.path for asked in wire.asked] == ["/v2/orders"]
        assert broker._client._retry == 0


def test_the_planted_fault_an_sdk_left_as_it_is_sends_twice():
    """What the test above is for: with the SDK's retry on, the same 504 makes a second POST."""
    with Wire(send(504, HTML), default=send(200, NEW_ORDER)) as wire:
        broker = a_broker(wire.url)
        broker._client._retry, broker._client._retry_codes, broker._client._retry_wait = 3, [504], 0

        broker.submit(an_intent(), nobody)

        assert len(wire.asked) == 2


# A POST that was certainly not taken


def test_a_post_that_finds_no_server_never_left():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        with pytest.raises(BrokerUnavailable) as caught:
            a_broker(f"http://127.0.0.1:{taken.getsockname()[1]}").submit(an_intent(), nobody)

    assert not isinstance(caught.value, RateLimited)


@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "Thu, 08 Oct 2026 15:10:32 GMT"}, 10.0),
        ({"Retry_After": "soon"}, None),
        ({"X_RateLimit_Limit": "200", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1791472234"}, 12.0),
        ({"X_RateLimit_Limit": "200", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "5"}, 5.0),
        ({"X_RateLimit_Limit": "200", "X_RateLimit_Remaining": "0"}, None),
        ({"X_RateLimit_Limit": "many", "X_RateLimit_Remaining": "-1"}, None),
    ],
)
@pytest.mark.parametrize("body", [refusal(42910000, "rate limit exceeded"), "too many requests.", b""])
def test_a_429_was_not_taken_and_says_when_to_come_again(headers, retry_after_s, body):
    with Wire(send(429, body, **headers)) as wire:
        with pytest.raises(RateLimited) as caught:
            a_broker(wire.url).submit(an_intent(), nobody)

        assert caught.value.retry_after_s == retry_after_s
        assert len(wire.asked) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, {"message": "unauthorized."}), (401, HTML), (401, b""), (403, {"message": "forbidden."}), (403, HTML)],
)
def test_refused_keys_are_told_from_refused_orders(status, body):
    with Wire(default=send(status, body)) as wire:
        broker = a_broker(wire.url)
        for call in (lambda: broker.submit(an_intent(), nobody), broker.account, broker.clock):
            with pytest.raises(KeysRefused) as caught:
                call()
            assert caught.value.status_code == status


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, 40310000, "insufficient buying power"),
        (403, 40310000, "insufficient qty available for order (requested: 10, available: 0)"),
        (422, 42210000, "invalid limit_price 0.123. sub-penny increment does not fulfill minimum pricing criteria"),
        (422, 40010001, "qty must be > 0"),
        (400, 40010000, "request body format is invalid"),
    ],
)
def test_a_refusal_keeps_alpacas_words(status, code, message):
    with Wire(send(status, refusal(code, message))) as wire, pytest.raises(BrokerRefused) as caught:
        a_broker(wire.url).submit(an_intent(), nobody)

    assert (caught.value.status_code, caught.value.code, caught.value.message) == (status, code, message)
    assert not caught.value.says_id_is_taken


@pytest.mark.parametrize("code", [40010001, 42210000])
def test_an_id_that_is_there_already_is_known_by_its_words(code):
    with Wire(send(422, refusal(code, "client_order_id must be unique"))) as wire:
        with pytest.raises(BrokerRefused) as caught:
            a_broker(wire.url).submit(an_intent(), nobody)

        assert caught.value.says_id_is_taken


def test_a_refusal_without_a_code_is_a_refusal():
    with Wire(send(422, {"message": "no"})) as wire, pytest.raises(BrokerRefused) as caught:
        a_broker(wire.url).submit(an_intent(), nobody)

    assert (caught.value.code, caught.value.message) == (None, "no")


def test_long_words_are_cut():
    with Wire(send(422, refusal(1, "x" * 5000))) as wire, pytest.raises(BrokerRefused) as caught:
        a_broker(wire.url).submit(an_intent(), nobody)

    assert len(caught.value.message) == 500


# What is sent


def test_an_order_leaves_digit_by_digit():
    with Wire(send(200, NEW_ORDER)) as wire:
        order = a_broker(wire.url).submit(an_intent(qty=Decimal("0.1") + Decimal("0.2")), nobody)

        assert order.symbol == "CTVA"
        assert wire.asked[0].json == {
            "symbol": "CTVA",
            "qty": "0.3",
            "side": "sell",
            "type": "market",
            "time_in_force": "day",
            "client_order_id": OURS,
        }
        assert wire.asked[0].headers["APCA-API-KEY-ID"] == "K"
        assert wire.asked[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("protection", "expected"),
    [
        ({}, {}),
        (
            {"stop_loss_usd": Decimal("60.5")},
            {"order_class": "oto", "stop_loss": {"stop_price": "60.5"}},
        ),
        (
            {"take_profit_usd": Decimal("70.10")},
            {"order_class": "oto", "take_profit": {"limit_price": "70.10"}},
        ),
        (
            {"stop_loss_usd": Decimal("60.5"), "take_profit_usd": Decimal(70)},
            {
                "order_class": "bracket",
                "stop_loss": {"stop_price": "60.5"},
                "take_profit": {"limit_price": "70"},
            },
        ),
    ],
)
def test_protection_is_part_of_the_entry(protection, expected):
    body = order_request(
        an_intent(
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            limit_price_usd=Decimal("64.640"),
            time_in_force=TimeInForce.GTC,
            **protection,
        )
    )

    assert body == expected | {
        "symbol": "CTVA",
        "qty": "190",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "64.640",
        "client_order_id": OURS,
    }


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**12))
def test_no_number_changes_on_its_way_out(number):
    text = exact_text(number)

    assert Decimal(json.loads(json.dumps({"qty": text}))["qty"]) == number
    assert "E" not in text


def test_a_post_has_left_before_its_answer_comes_and_only_a_post_tells():
    left = threading.Event()

    def answer_once_it_left(handler):
        assert left.wait(10.0)
        send(200, NEW_ORDER)(handler)

    with Wire(answer_once_it_left, default=send(200, a_clock())) as wire:
        broker = a_broker(wire.url)
        broker.submit(an_intent(), left.set)
        left.clear()
        broker.clock()

        assert not left.is_set()


def test_warming_opens_the_connection_and_sends_nothing():
    with Wire(default=send(200, a_clock())) as wire:
        broker = a_broker(wire.url)
        broker.warm()
        port = broker._session.connected(wire.url).sock.getsockname()[1]
        broker.clock()

        assert [asked.connection for asked in wire.asked] == [port]


def test_warming_without_a_server_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        with pytest.raises(BrokerUnavailable):
            a_broker(f"http://127.0.0.1:{taken.getsockname()[1]}").warm()


def test_a_request_leaves_in_one_piece():
    """A server that reads many connections would otherwise take one request's head, then another's whole."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = a_broker(f"http://127.0.0.1:{server.getsockname()[1]}", read_timeout_s=1.0)
        broker.warm()
        connection, _ = server.accept()
        with connection:
            left = threading.Event()
            poster = threading.Thread(target=_post_unanswered, args=(broker, left.set))
            poster.start()
            assert left.wait(10.0)
            piece = connection.recv(65536)
            poster.join(10.0)

    head, _, body = piece.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/orders HTTP/1.1")
    assert json.loads(body)["symbol"] == "CTVA"


def _post_unanswered(broker, departed):
    with pytest.raises(OutcomeUnknown):
        broker.submit(an_intent(), departed)


def test_a_certificate_of_nobody_is_not_trusted_and_nothing_leaves(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    with Wire(default=send(200, NEW_ORDER)) as wire:
        wire.secure(context)
        with pytest.raises(BrokerUnavailable, match=r"(?i)certificate"):
            a_broker(wire.url.replace("http:", "https:")).submit(an_intent(), nobody)

        assert wire.asked == []


def _self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return path


def test_calls_reuse_one_connection():
    with Wire(default=send(200, a_clock())) as wire:
        broker = a_broker(wire.url)
        for _ in range(5):
            broker.clock()

        assert len({asked.connection for asked in wire.asked}) == 1


def test_a_connection_that_the_server_closed_meanwhile_costs_nothing():
    def answer_and_close(handler):
        send(200, a_clock())(handler)
        handler.close_connection = True

    with Wire(answer_and_close, default=send(200, NEW_ORDER)) as wire:
        broker = a_broker(wire.url)
        broker.clock()
        (idle,) = (connection.sock for connection in broker._session._connections.values())
        assert select.select([idle], [], [], 10.0)[0]  # the server's goodbye is here

        assert broker.submit(an_intent(), nobody).symbol == "CTVA"
        assert len(wire.asked) == 2


def test_proxies_and_passwords_of_the_environment_are_ignored(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Wire(send(200, a_clock())) as wire:
        assert a_broker(wire.url).clock().is_open

        assert "Authorization" not in wire.asked[0].headers


@pytest.mark.parametrize("answer", [send(401, {"message": "unauthorized."}), send(500, b"x"), hang_up, reset])
def test_no_error_tells_the_secret(answer):
    with Wire(answer) as wire, pytest.raises(Exception, match=r"(?s).*") as caught:
        a_broker(wire.url).account()

    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


# Reads


READS = [
    pytest.param(lambda broker: broker.account(), id="account"),
    pytest.param(lambda broker: broker.positions(), id="positions"),
    pytest.param(lambda broker: broker.clock(), id="clock"),
    pytest.param(lambda broker: broker.assets(), id="assets"),
    pytest.param(lambda broker: broker.asset("CTVA"), id="asset"),
    pytest.param(lambda broker: broker.quotes(("CTVA",)), id="quotes"),
    pytest.param(lambda broker: broker.orders(OrdersQuery(listing=Listing.ALL)), id="orders"),
    pytest.param(lambda broker: broker.order_by_client_id(OURS), id="order"),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(send(500, HTML), id="500"),
        pytest.param(send(504, b""), id="504"),
        pytest.param(send(408, b""), id="408"),
        pytest.param(send(301, b""), id="301"),
        pytest.param(send(200, b""), id="200 empty"),
        pytest.param(send(200, HTML), id="200 html"),
        pytest.param(send(200, b"null"), id="200 null"),
        pytest.param(send(200, b"17"), id="200 number"),
        pytest.param(cut(200, b"[", of=10), id="cut short"),
        pytest.param(reset, id="reset"),
        pytest.param(hang_up, id="hung up"),
        pytest.param(garbage, id="no http"),
    ],
)
def test_a_read_that_fails_is_never_an_empty_answer(read, answer):
    with Wire(answer, default=answer) as wire, pytest.raises(BrokerUnavailable):
        read(a_broker(wire.url))


@pytest.mark.parametrize("read", READS)
def test_a_read_that_hangs_ends(read):
    with Wire(default=hang) as wire, pytest.raises(BrokerUnavailable, match="timeout"):
        read(a_broker(wire.url, read_timeout_s=0.2))


@pytest.mark.parametrize("read", READS)
def test_a_read_that_is_limited_says_so(read):
    with Wire(send(429, b"", Retry_After="3")) as wire, pytest.raises(RateLimited) as caught:
        read(a_broker(wire.url))

    assert caught.value.retry_after_s == 3.0


def test_only_a_404_of_a_look_up_is_nothing():
    with Wire(default=send(404, refusal(40410000, "order not found"))) as wire:
        broker = a_broker(wire.url)

        assert broker.order_by_client_id(OURS) is None
        assert broker.asset("NOPE") is None
        for read in (broker.account, broker.positions, broker.assets):
            with pytest.raises(BrokerRefused):
                read()


def test_an_account_without_its_money_is_an_error():
    with Wire(send(200, an_account(cash=None))) as wire, pytest.raises(BrokerUnavailable, match="cash"):
        a_broker(wire.url).account()


def test_a_list_with_one_unknown_word_is_read():
    with Wire(send(200, [an_order(), an_order(id="b", status="teleported", type="iceberg")])) as wire:
        page = a_broker(wire.url).orders(OrdersQuery(listing=Listing.ALL))

    assert [order.raw_status for order in page.orders] == ["filled", "teleported"]
    assert page.rows == 2


def test_a_list_asks_for_a_whole_page_oldest_first_with_legs():
    with Wire(send(200, [])) as wire:
        query = OrdersQuery(listing=Listing.ALL, after=NOW, symbols=("CTVA", "BRK.B"))
        a_broker(wire.url).orders(query)

        assert wire.asked[0].path == (
            "/v2/orders?status=all&limit=500&direction=asc&nested=true&after=2026-10-08T15%3A10%3A22Z&symbols=CTVA%2CBRK.B"
        )


def test_chunked_answers_are_read():
    body = json.dumps([a_position()]).encode()
    with Wire(chunked(200, body[:10], body[10:])) as wire:
        assert a_broker(wire.url).positions()[0].symbol == "CTVA"


def test_quotes_come_from_the_data_address_with_the_free_tape():
    with Wire(send(200, {})) as data, Wire(send(200, a_clock())) as trading:
        broker = AlpacaBroker(
            endpoints=Endpoints(rest_url=trading.url, data_url=data.url, stream_url="ws://unused"),
            key_id="K",
            secret_key=SECRET,
            connect_timeout_s=2,
            read_timeout_s=5,
        )
        broker.quotes(("CTVA", "COMM"))
        broker.clock()

        assert data.asked[0].path == "/v2/stocks/snapshots?symbols=CTVA%2CCOMM&feed=iex"
        assert trading.asked[0].path == "/v2/clock"


def test_an_asset_with_a_slash_is_asked_for_by_one_path_segment():
    with Wire(send(200, an_asset("BTC/USD"))) as wire:
        a_broker(wire.url).asset("BTC/USD")

        assert wire.asked[0].path == "/v2/assets/BTC%2FUSD"


def test_what_the_headers_say_of_the_limit_is_kept_for_one_call():
    headers = {"X_RateLimit_Limit": "200", "X_RateLimit_Remaining": "150", "X_RateLimit_Reset": "1791472252"}
    with Wire(send(200, a_clock(), **headers), send(200, a_clock()), hang_up) as wire:
        broker = a_broker(wire.url)
        broker.clock()
        assert broker.rate_seen == RateSeen(limit=200, remaining=150, reset_in_s=30)
        broker.clock()
        assert broker.rate_seen is None
        with pytest.raises(BrokerUnavailable):
            broker.clock()
        assert broker.rate_seen is None


# Cancels


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (send(204), CancelOutcome.ACCEPTED),
        (send(200, {}), CancelOutcome.ACCEPTED),
        (send(404, refusal(40410000, "order not found")), CancelOutcome.MISSING),
        (send(422, refusal(42210000, 'order is already in "filled" state')), CancelOutcome.NOT_CANCELABLE),
    ],
)
def test_a_cancel_is_answered_in_three_ways(answer, outcome):
    with Wire(answer) as wire:
        assert a_broker(wire.url).cancel(OrderId("abc")).outcome is outcome
        assert (wire.asked[0].method, wire.asked[0].path) == ("DELETE", "/v2/orders/abc")


@pytest.mark.parametrize("answer", [send(500, b""), send(504, HTML), send(200, HTML), send(302, b""), reset, hang_up])
def test_a_cancel_without_an_answer_is_unknown_and_sent_once(answer):
    with Wire(answer, default=send(204)) as wire:
        with pytest.raises(OutcomeUnknown):
            a_broker(wire.url).cancel(OrderId("abc"))

        assert len(wire.asked) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(status=st.integers(200, 599), body=st.binary(max_size=60))
def test_no_answer_whatsoever_escapes_our_few_errors(status, body):
    known = (OutcomeUnknown, BrokerUnavailable, BrokerRefused, KeysRefused)
    with Wire(default=send(status, b"" if status in {204, 304} else body)) as wire:
        broker = a_broker(wire.url)
        with pytest.raises(known):
            broker.submit(an_intent(), nobody)
        with pytest.raises(known):
            broker.account()
        assert len(wire.asked) == 2


# The addresses, and what an import costs


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {},
            (
                "https://paper-api.alpaca.markets",
                "https://data.alpaca.markets",
                "wss://paper-api.alpaca.markets/stream",
            ),
        ),
        (
            {"APCA_API_BASE_URL": "http://127.0.0.1:7000/"},
            ("http://127.0.0.1:7000", "http://127.0.0.1:7000", "ws://127.0.0.1:7000/stream"),
        ),
        (
            {"APCA_API_BASE_URL": "https://api.alpaca.markets/v2", "APCA_API_DATA_URL": "https://data.example/"},
            ("https://api.alpaca.markets", "https://data.example", "wss://api.alpaca.markets/stream"),
        ),
        (
            {"APCA_API_BASE_URL": "http://[::1]:7000", "APCA_API_STREAM_URL": "ws://127.0.0.1:7001/stream/"},
            ("http://[::1]:7000", "http://[::1]:7000", "ws://127.0.0.1:7001/stream"),
        ),
    ],
)
def test_addresses_derive_from_the_base_url(environ, expected):
    found = endpoints(environ)

    assert (found.rest_url, found.data_url, found.stream_url) == expected


@pytest.mark.parametrize(
    "environ",
    [
        {"APCA_API_BASE_URL": "paper-api.alpaca.markets"},
        {"APCA_API_BASE_URL": "ftp://127.0.0.1"},
        {"APCA_API_STREAM_URL": "http://127.0.0.1"},
    ],
)
def test_an_address_that_is_none_is_refused_by_name(environ):
    with pytest.raises(ValueError, match=next(iter(environ))):
        endpoints(environ)


def test_importing_the_adapter_imports_neither_alpaca_nor_pandas():
    code = (
        "import sys, departments.trading.alpaca.rest, departments.trading.desk\n"
        "assert 'alpaca' not in sys.modules, 'alpaca'\n"
        "from departments.trading.alpaca.endpoints import endpoints\n"
        "departments.trading.alpaca.rest.AlpacaBroker(endpoints=endpoints({}), key_id='K', secret_key='S',"
        " connect_timeout_s=1, read_timeout_s=1)\n"
        "assert 'alpaca' in sys.modules and 'pandas' not in sys.modules, 'pandas'\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
