import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from string import Formatter

import pytest
import structlog

from departments.office.clock import DrivenClock
from departments.office.log_reading import LogFollower, printable, readable, record_of
from departments.office.logs import KEY_ORDER, Log, log_path
from departments.office.sentences import SENTENCES, sentence
from messages.orders import StreamHealth

DEPARTMENTS = Path(__file__).parents[3] / "departments"
NOW = datetime(2025, 11, 10, 15, 9, 12, 123456, tzinfo=UTC)
KEY, SECRET = "PKTESTTESTTESTTEST00", 'sE"cret\\sE"cret/sEcret+sEcret=sEcret00'


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    structlog.reset_defaults()


def a_log(home: Path, **options) -> Log:
    return Log(home, clock=DrivenClock(NOW), account="paper", secrets=(KEY, SECRET), **options)


def lines(home: Path) -> list[str]:
    return log_path(home).read_text().splitlines()


def records(home: Path) -> list[dict]:
    return [json.loads(line) for line in lines(home)]


def test_a_line_has_its_keys_in_the_fixed_order_and_the_rest_behind(home):
    log = a_log(home)
    office = structlog.get_logger().bind(department="trading")

    office.info("order.filled", qty=Decimal(190), client_order_id="R1-S01-1", symbol="CTVA", leg="S01", run_id="R1")
    log.stop()

    (record,) = records(home)
    assert list(record) == [
        "timestamp",
        "level",
        "event",
        "message",
        "department",
        "account",
        "run_id",
        "leg",
        "symbol",
        "client_order_id",
        "qty",
    ]
    assert record["timestamp"] == "2025-11-10T15:09:12.123456Z"
    assert (record["level"], record["account"], record["qty"]) == ("info", "paper", "190")


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("sells.executing", {"count": 5}, "STEP 1: Executing 5 SELL orders"),
        (
            "sells.waiting",
            {"count": 3, "symbols": ("CTVA", "DVN", "EXE")},
            "Waiting for 3 orders to fill: CTVA, DVN, EXE",
        ),
        ("sells.waiting", {"count": 2, "symbols": "CTVA, DVN"}, "Waiting for 2 orders to fill: CTVA, DVN"),
        ("sells.filled", {}, "All SELL orders filled successfully"),
        ("buys.executing", {"count": 11}, "STEP 2: Executing 11 BUY orders"),
        ("buys.filled", {}, "All BUY orders filled successfully"),
        (
            "leg.denied",
            {"symbol": "CVE", "rule": "position value", "figure": "164.20", "limit": Decimal(500)},
            "REJECTED BUY CVE: position value: 164.20 against 500",
        ),
        (
            "leg.denied",
            {"symbol": "CVE", "side": "buy", "rule": "a quote", "figure": "missing", "limit": None},
            "REJECTED BUY CVE: a quote: missing against no limit",
        ),
        (
            "gate.opened",
            {"proceeds": "36450.1380", "cash_at_gate": "-27687.31"},
            "The gate is open: proceeds $36,450.14, cash -$27,687.31",
        ),
    ],
)
def test_operators_find_the_sentences_they_watch_for(home, event, fields, expected):
    log = a_log(home)

    structlog.get_logger().info(event, **fields)
    log.stop()

    assert records(home)[0]["message"] == expected


def test_a_sentence_with_a_missing_field_says_so_and_an_unknown_event_speaks_for_itself():
    assert sentence("sells.waiting", {"count": 1}) == "Waiting for 1 orders to fill: ?"
    assert sentence("no.such_event", {"count": 1}) == "no.such_event"


FAMILIES = {event.partition(".")[0] for event in SENTENCES}


def events_used(source: str) -> set[str]:
    """Dotted constants that name an event: given to `Note(...)`, or of a family that the table knows."""
    used: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            family, _, rest = node.value.partition(".")
            if family in FAMILIES and rest not in {"yaml", "jsonl", "db"}:
                used.add(node.value)
        if (
            isinstance(node, ast.Call)
            and "note" in (getattr(node.func, "attr", "") or getattr(node.func, "id", "")).lower()
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                used.add(first.value)
    return {event for event in used if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", event)}


def test_every_event_that_a_department_notes_has_its_sentence():
    used = {event: path for path in DEPARTMENTS.rglob("*.py") for event in events_used(path.read_text())}

    assert {"run.completed", "sells.executing", "actor.replaced"} <= set(used)
    assert {event: str(path) for event, path in used.items() if event not in SENTENCES} == {}


@pytest.mark.parametrize("health", [health.value for health in StreamHealth])
def test_every_state_of_the_stream_has_its_sentence(health):
    assert f"stream.{health}" in SENTENCES


def test_an_event_without_a_sentence_would_be_found():
    source = (
        'Note("a.first", {}); log.info("run.second"); sheet.note_order("c.third", x)\nEVENTS = {1: ("run.fourth", 1)}'
    )

    assert events_used(source) == {"a.first", "run.second", "c.third", "run.fourth"}


def test_every_sentence_is_a_format_of_plain_fields():
    for event, template in SENTENCES.items():
        fields = [field for _, field, spec, conversion in Formatter().parse(template) if field is not None]
        assert all(re.fullmatch(r"[a-z_]+|SIDE", field) for field in fields), event


def test_an_amount_that_is_none_is_shown_as_it_is():
    assert sentence("gate.opened", {"proceeds": "lots"}) == "The gate is open: proceeds lots, cash ?"


def test_secrets_never_appear_wherever_they_stand(home):
    log = a_log(home)
    pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----"

    structlog.get_logger().error(
        "run.held",
        reason=f"401 for {KEY}",
        detail=f"header {SECRET}",
        headers={"password": "jkl", "APCA-API-KEY-ID": "abc", "APCA-API-SECRET-KEY": "def"},
        api_key="ghi",
        nested=[{"secret": "mno"}],
        pem=pem,
    )
    structlog.get_logger().error("store.failed", reason=SECRET, exc_info=ValueError(f"refused {SECRET}"))
    logging.getLogger("urllib3").warning("retrying with %s", SECRET)
    log.stop()

    text = log_path(home).read_text()
    assert len(lines(home)) == 3
    for secret in [KEY, SECRET, json.dumps(SECRET)[1:-1], "abc", "def", "ghi", "jkl", "mno", "b3BlbnNzaC1rZXk"]:
        assert secret not in text
    assert text.count("[redacted]") >= 9
    assert all(record_of(line) is not None for line in lines(home))


def test_without_redaction_the_secret_would_be_seen(home):
    log = Log(home, clock=DrivenClock(NOW), secrets=())

    structlog.get_logger().error("run.held", reason="x", detail=f"header {KEY}")
    log.stop()

    assert KEY in log_path(home).read_text()


def test_an_exception_is_written_with_its_traceback(home):
    log = a_log(home)
    error = RuntimeError("no such thing")

    structlog.get_logger().error("actor.replaced", about="trading", error="x", exc_info=error)
    log.stop()

    assert records(home)[0]["exception"].endswith("RuntimeError: no such thing")


def test_a_critical_line_is_in_the_file_when_the_call_returns(home):
    log = a_log(home)

    structlog.get_logger().critical("store.failed", reason="disk gone")

    assert records(home)[0]["message"] == "THE STORE FAILED, the firm stops: disk gone"
    log.stop()


def test_what_libraries_say_is_in_the_log(home):
    log = a_log(home)

    logging.getLogger("websockets").warning("closed: %s", 1006)
    logging.getLogger("websockets").info("not this")
    log.stop()

    assert [(r["library"], r["message"]) for r in records(home)] == [("websockets", "websockets: closed: 1006")]


def test_a_value_that_can_not_be_written_costs_its_line_and_nothing_else(home):
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    log = a_log(home)
    structlog.get_logger().info("sells.filled", value=Broken())
    structlog.get_logger().info("buys.filled")
    log.stop()

    assert [record["event"] for record in records(home)] == ["log.unprintable", "buys.filled"]


def test_the_console_shows_sentences_and_no_secrets(home):
    console = io.StringIO()
    log = a_log(home, console=console)

    structlog.get_logger().bind(department="executive").info("sells.executing", count=5, run_id="R0123456789abcdef")
    structlog.get_logger().debug("gate.asked")
    structlog.get_logger().warning("run.held", reason="x", detail=KEY)
    log.stop()

    shown = console.getvalue().splitlines()
    assert shown[0] == "2025-11-10 15:09:12.123 INFO     executive  R01234567 STEP 1: Executing 5 SELL orders"
    assert len(shown) == 2
    assert KEY not in console.getvalue()


def test_a_console_that_goes_away_does_not_end_the_log(home):
    console = io.StringIO()
    log = a_log(home, console=console)
    console.close()

    structlog.get_logger().info("sells.filled")
    log.flush()
    structlog.get_logger().info("buys.filled")
    log.stop()

    assert [record["event"] for record in records(home)] == ["sells.filled", "buys.filled"]


def test_a_broker_can_not_move_the_cursor_of_a_terminal():
    line = readable({"message": "rejected: \x1b[2J\rAll SELL orders filled"}, colour=False)

    assert "\x1b" not in line
    assert "\r" not in line
    assert printable("plain text") == "plain text"


def test_the_order_of_keys_is_the_contracts():
    assert KEY_ORDER[:5] == ("timestamp", "level", "event", "message", "department")


def test_the_log_can_be_followed_from_what_it_writes(home):
    follower = LogFollower(log_path(home))
    log = a_log(home, max_bytes=2_000, keep_files=50)
    seen: list[str] = []

    for number in range(200):
        structlog.get_logger().info("sells.executing", count=number)
        if number % 17 == 0:
            log.flush()
            seen.extend(follower.poll())
    log.stop()
    seen.extend(follower.poll())

    assert [json.loads(line)["count"] for line in seen] == list(range(200))
    follower.close()
