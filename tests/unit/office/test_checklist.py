"""The pre-trading checklist: what each check makes of good facts, bad ones, and ones that could not be had."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from departments.office import checklist
from departments.office.checklist import CHECKS, findings, new_york_date
from departments.office.checklist_facts import (
    Chain,
    EntriesSeen,
    Facts,
    FileMode,
    Journal,
    Level,
    Rate,
    Records,
    RunSeen,
    Stream,
    Times,
    TradingDay,
    TradingSeen,
    Unknown,
    Where,
)
from messages.snapshots import ClockFacts
from messages.values import AccountName, RunId, Side
from tests.builders.portfolio import NOW, RUN, account, held, open_order, settings

PASS, WARN, FAIL = Level.PASS, Level.WARN, Level.FAIL
TODAY = date(2025, 11, 10)
OPEN = ClockFacts(
    at=NOW,
    is_open=True,
    next_open=datetime(2025, 11, 11, 14, 30, tzinfo=UTC),
    next_close=datetime(2025, 11, 10, 21, 0, tzinfo=UTC),
)
CLOSED = OPEN.model_copy(update={"is_open": False})
JOURNAL = Journal(
    daemon="pid 7",
    trading=TradingSeen("ACTIVE"),
    dead_letters=0,
    runs=(),
    known_runs=frozenset({RUN}),
    records=Records(run_id=RUN, shares={"AAA": Decimal(10)}),
    chain=Chain(rows=12),
)
GOOD = Facts(
    settings=settings(
        firm={"mode": "paper", "accounts": {"paper": {"mode": "paper", "account_number": "PA1"}}},
    ),
    account_name=AccountName("paper"),
    where=Where(host="paper-api.alpaca.markets", home_mode="paper"),
    keys=(),
    account=account(equity=100_000, cash=5_000),
    clock=OPEN,
    calendar=(TradingDay(TODAY, time(9, 30), time(16)),),
    open_orders=(open_order("AAA", Side.BUY, 1, own=True),),
    positions=(held("AAA", 10, 5), held("GONE", 0, 5)),
    rate=Rate(190, 200),
    times=Times(ours=NOW, answered_at=NOW, market=NOW),
    stream=Stream("up", "listening"),
    journal=JOURNAL,
    entries=EntriesSeen(explained=1, unexplained={}),
    store_trouble=None,
    disk_free_bytes=10 * 1024**3,
    modes=(FileMode("/home", 0o700), FileMode("/config/firm.yaml", 0o644)),
)
DARK = Unknown("the lights are out")


def live(**more):
    about = {"mode": "live", "account_number": "PA1", **more}
    return settings(firm={"mode": "live", "accounts": {"paper": about}})


def journal(**changes):
    return {"journal": replace(JOURNAL, **changes)}


def moved(**changes):
    return {"account": account(**{"equity": 100_000, "cash": 5_000, **changes})}


def skewed(seconds, *, told=True):
    """Our clock ahead of the broker's by so much."""
    theirs = NOW - timedelta(seconds=seconds)
    if told:
        return {"times": Times(ours=NOW, answered_at=theirs - timedelta(seconds=0.5), market=theirs)}
    return {"times": Times(ours=NOW, answered_at=None, market=theirs)}


HELD = RunSeen(run_id=RUN, phase="held", reason="sell_shortfall")
SELLING = RunSeen(run_id=RUN, phase="selling", reason=None)
CASES = [
    ("config_is_valid", FAIL, {"settings": DARK}, "the lights are out"),
    ("limits_agree", WARN, {"settings": settings(trading={"intent_ttl_s": 5})}, "intent_ttl_s 5"),
    ("limits_agree", FAIL, moved(equity=6_000), "min_position_value 500 is above max_position_fraction"),
    ("files_are_ours", FAIL, {"modes": (FileMode("/config", 0o775),)}, "/config (775)"),
    ("files_are_ours", FAIL, {"modes": (FileMode("/config", 0o702),)}, "/config (702)"),
    ("money_is_agreed", FAIL, {"settings": live()}, "expected all the same"),
    ("money_is_agreed", FAIL, {"where": Where(host="api.alpaca.markets", home_mode=None)}, "api.alpaca.markets"),
    ("money_is_agreed", FAIL, {"where": Where(host="127.0.0.1", home_mode="live")}, "FIRM_HOME made for live"),
    (
        "money_is_agreed",
        WARN,
        {"settings": live(), "where": Where(host="api.alpaca.markets", home_mode="live")},
        "LIVE MONEY",
    ),
    ("keys_are_set", FAIL, {"keys": ("APCA_API_KEY_ID",)}, "APCA_API_KEY_ID not set"),
    ("account_number_is_ours", FAIL, moved(account_number="PA2"), "PA2, expected PA1"),
    ("account_number_is_ours", WARN, {"settings": settings()}, "names none"),
    ("account_number_is_ours", FAIL, {"settings": live(account_number=None)}, "expected it"),
    ("account_may_trade", FAIL, moved(status="ACCOUNT_CLOSED"), "ACCOUNT_CLOSED"),
    ("account_may_trade", FAIL, moved(trading_blocked=True), "trading is blocked"),
    ("account_may_trade", FAIL, moved(account_blocked=True), "the account is blocked"),
    ("account_may_trade", FAIL, moved(trade_suspended_by_user=True), "suspended"),
    ("account_may_trade", FAIL, moved(equity=0), "equity 0"),
    ("market_is_open", WARN, {"clock": CLOSED}, "closed until 2025-11-11 14:30 UTC"),
    (
        "market_is_open",
        WARN,
        {"clock": OPEN.model_copy(update={"next_close": NOW + timedelta(seconds=300)})},
        "too soon",
    ),
    ("day_is_whole", WARN, {"calendar": (TradingDay(TODAY, time(9, 30), time(13)),)}, "half day: closes 13:00"),
    ("day_is_whole", WARN, {"calendar": (), "clock": CLOSED}, "a holiday"),
    ("day_is_whole", WARN, {"calendar": ()}, "yet the market is open"),
    (
        "day_is_whole",
        WARN,
        {"calendar": (), "clock": CLOSED.model_copy(update={"at": NOW - timedelta(days=1)})},
        "a weekend",
    ),
    ("clocks_agree", WARN, skewed(3), "3.0 s ahead"),
    ("clocks_agree", WARN, skewed(-3), "3.0 s behind"),
    ("clocks_agree", FAIL, skewed(31), "31.0 s ahead"),
    ("clocks_agree", FAIL, skewed(-31, told=False), "market clock"),
    (
        "clocks_agree",
        WARN,
        {"times": Times(ours=NOW, answered_at=NOW, market=NOW - timedelta(days=30))},
        "the market clock says 2025-10-11",
    ),
    ("rate_is_left", FAIL, {"rate": Rate(20, 200)}, "20 of 200"),
    ("rate_is_left", WARN, {"rate": Rate(100, 200)}, "100 of 200"),
    ("rate_is_left", WARN, {"rate": Rate(100, 100)}, "requests_per_minute 200 is more"),
    ("stream_is_up", FAIL, {"stream": Stream("down", "refused")}, "down: refused"),
    ("stream_is_up", FAIL, {"stream": Stream("a new word", "")}, "a new word"),
    ("stream_is_up", WARN, {"stream": Stream("mute", "REST knew more")}, "mute"),
    ("no_orders_of_others", WARN, {"open_orders": (open_order("BBB", Side.SELL, 1),)}, "SELL BBB (manual BBB)"),
    ("no_orders_of_others", WARN, journal(known_runs=frozenset()), "1 open"),
    ("positions_are_as_recorded", WARN, {"positions": (held("AAA", 9, 5),)}, "AAA 9 (recorded 10)"),
    ("positions_are_as_recorded", WARN, {"positions": ()}, "AAA 0 (recorded 10)"),
    ("positions_are_as_recorded", WARN, {"positions": (held("AAA", 10, 5), held("NEW", 1, 5))}, "NEW 1 (recorded 0)"),
    (
        "positions_are_explained",
        WARN,
        {"entries": EntriesSeen(explained=3, unexplained={"KEEP": "no fills", "UPS": "a split"})},
        "2 positions that our fills don't explain, entry not known: KEEP (no fills), UPS (a split)",
    ),
    ("store_is_writable", FAIL, {"store_trouble": "/home: Read-only file system"}, "Read-only"),
    ("store_is_writable", WARN, {"journal": None}, "no journal yet"),
    ("chain_is_whole", FAIL, journal(chain=Chain(broken="mail 7")), "broken: mail 7"),
    ("disk_has_room", FAIL, {"disk_free_bytes": 99 * 1024**2}, "0.1 GiB"),
    ("disk_has_room", WARN, {"disk_free_bytes": 1023 * 1024**2}, "1.0 GiB"),
    ("daemon_runs", WARN, journal(daemon=None), "none runs"),
    ("daemon_runs", WARN, {"journal": None}, "none runs"),
    (
        "trading_is_on",
        FAIL,
        journal(trading=TradingSeen("HALTED", "news", "mara")),
        "HALTED, nothing new leaves: news, said by mara; firm resume",
    ),
    (
        "trading_is_on",
        FAIL,
        journal(trading=TradingSeen("REDUCING", "a daily loss", "a limit")),
        "REDUCING, only SELLs leave: a daily loss, said by a limit; firm resume",
    ),
    ("no_run_is_held", FAIL, journal(runs=(HELD,)), "sell_shortfall"),
    ("no_run_is_held", WARN, journal(runs=(SELLING,)), "under way"),
    ("no_dead_letters", WARN, journal(dead_letters=2), "2: nobody"),
]
UNDONE = [
    ("limits_agree", FAIL, {"settings": DARK}),
    ("limits_agree", WARN, {"account": DARK}),
    ("files_are_ours", FAIL, {"modes": ()}),
    ("money_is_agreed", FAIL, {"settings": DARK}),
    ("money_is_agreed", FAIL, {"account_name": DARK}),
    ("money_is_agreed", FAIL, {"where": DARK}),
    ("keys_are_set", FAIL, {"account": DARK}),
    ("account_number_is_ours", FAIL, {"account": DARK}),
    ("account_number_is_ours", FAIL, {"settings": DARK}),
    ("account_may_trade", FAIL, {"account": DARK}),
    ("market_is_open", FAIL, {"clock": DARK}),
    ("market_is_open", FAIL, {"settings": DARK}),
    ("day_is_whole", FAIL, {"clock": DARK}),
    ("day_is_whole", WARN, {"calendar": DARK}),
    ("clocks_agree", WARN, {"times": DARK}),
    ("rate_is_left", WARN, {"rate": DARK}),
    ("stream_is_up", FAIL, {"stream": DARK}),
    ("no_orders_of_others", FAIL, {"open_orders": DARK}),
    ("no_orders_of_others", FAIL, {"journal": DARK}),
    ("positions_are_as_recorded", FAIL, {"positions": DARK}),
    ("positions_are_as_recorded", FAIL, {"journal": DARK}),
    ("positions_are_as_recorded", WARN, {"journal": None}),
    ("positions_are_as_recorded", WARN, journal(records=None)),
    ("positions_are_as_recorded", WARN, journal(runs=(SELLING,))),
    ("positions_are_explained", WARN, {"entries": DARK}),
    ("positions_are_explained", WARN, {"entries": None}),
    ("store_is_writable", FAIL, {"journal": DARK}),
    ("chain_is_whole", FAIL, {"journal": DARK}),
    ("chain_is_whole", WARN, {"journal": None}),
    ("disk_has_room", FAIL, {"disk_free_bytes": DARK}),
    ("daemon_runs", FAIL, {"journal": DARK}),
    ("trading_is_on", FAIL, {"journal": DARK}),
    ("no_run_is_held", FAIL, {"journal": DARK}),
    ("no_dead_letters", FAIL, {"journal": DARK}),
]


def judge(check, **changes):
    return getattr(checklist, check)(replace(GOOD, **changes))


def test_all_is_well_where_all_is_well():
    assert [(finding.check, finding.level, finding.checked) for finding in findings(GOOD)] == [
        (finding.check, PASS, True) for finding in findings(GOOD)
    ]
    assert len({finding.check for finding in findings(GOOD)}) == len(CHECKS)


@pytest.mark.parametrize(("check", "level", "changes", "says"), CASES)
def test_a_check_says_what_is_wrong(check, level, changes, says):
    finding = judge(check, **changes)

    assert (finding.level, finding.checked) == (level, True)
    assert says in finding.detail


@pytest.mark.parametrize(("check", "level", "changes"), UNDONE)
def test_what_could_not_be_checked_says_so_and_never_passes(check, level, changes):
    finding = judge(check, **changes)

    assert (finding.level, finding.checked) == (level, False)
    assert finding.detail.startswith("not checked: ")


def test_every_check_has_a_case_of_each_kind():
    always_done = {"config_is_valid"}  # what can't be read is its finding
    names = {check.__name__ for check in CHECKS}

    assert {case[0] for case in CASES} == names
    assert {case[0] for case in UNDONE} == names - always_done


def test_nothing_passes_in_the_dark():
    dark = Facts(
        settings=DARK,
        account_name=DARK,
        where=DARK,
        keys=(),
        account=DARK,
        clock=DARK,
        calendar=DARK,
        open_orders=DARK,
        positions=DARK,
        rate=DARK,
        times=DARK,
        stream=DARK,
        journal=DARK,
        entries=DARK,
        store_trouble="the lights are out",
        disk_free_bytes=DARK,
        modes=(),
    )

    assert [finding.check for finding in findings(dark) if finding.level is PASS] == []


def test_a_skew_of_just_two_seconds_is_let_pass():
    assert judge("clocks_agree", **skewed(2)).level is PASS
    assert judge("clocks_agree", **skewed(-2)).level is PASS


@pytest.mark.parametrize(
    ("at", "next_open", "day"),
    [
        ("2025-11-10T15:09:12Z", "2025-11-11T14:30:00Z", date(2025, 11, 10)),  # winter
        ("2025-07-10T03:59:00Z", "2025-07-10T13:30:00Z", date(2025, 7, 9)),  # a summer's night, still yesterday there
        ("2025-07-10T04:00:00Z", "2025-07-10T13:30:00Z", date(2025, 7, 10)),
        ("2025-11-11T04:59:00Z", "2025-11-11T14:30:00Z", date(2025, 11, 10)),
        ("2025-11-11T05:00:00Z", "2025-11-11T14:30:00Z", date(2025, 11, 11)),
    ],
)
def test_the_day_is_new_yorks(at, next_open, day):
    clock = ClockFacts.model_validate({"at": at, "is_open": False, "next_open": next_open, "next_close": next_open})

    assert new_york_date(clock) == day


def test_an_order_of_a_run_that_nobody_knows_is_somebody_elses():
    stray = open_order("AAA", Side.BUY, 1, client_order_id=f"{RunId('R' + '0' * 20)}-B01-1")

    finding = judge("no_orders_of_others", open_orders=(stray,))

    assert finding.level is WARN
