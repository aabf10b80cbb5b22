"""The live interlock: every combination of what can be said about the money."""

from itertools import product

import pytest

from departments.office import interlock
from departments.office.interlock import Said, disagreement, money_at
from departments.trading.alpaca.endpoints import endpoints
from messages.plans import Mode

PAPER, LIVE = Mode
LIVE_REST, LIVE_STREAM = "https://api.alpaca.markets", "wss://api.alpaca.markets/stream"
RESTS = [
    "https://paper-api.alpaca.markets",
    "http://127.0.0.1:4010",
    LIVE_REST,
    "https://API.Alpaca.Markets.:443",
    "http://api.alpaca.markets",
    "https://broker-api.alpaca.markets",
]
STREAMS = [
    "wss://paper-api.alpaca.markets/stream",
    "ws://127.0.0.1:4010/stream",
    LIVE_STREAM,
    "ws://api.alpaca.markets/stream",
    "wss://data.alpaca.markets/stream",
]
SAFE = {
    PAPER: ({*RESTS[:2]}, {*STREAMS[:2]}),
    LIVE: ({LIVE_REST, "https://API.Alpaca.Markets.:443"}, {LIVE_STREAM}),
}
"""Mode -> addresses that may be used with it."""
NUMBERS = [None, "", "123456789"]
HOMES = [None, "paper", "live", "something else"]


def everything():
    """All of it, once each."""
    for firm, account, asked, rest, stream, number, home in product(
        Mode, Mode, (False, True), RESTS, STREAMS, NUMBERS, HOMES
    ):
        yield Said(
            firm_mode=firm,
            account_mode=account,
            asked_live=asked,
            rest_url=rest,
            stream_url=stream,
            account_number=number,
            home_mode=home,
        )


def may_start(said: Said) -> bool:
    """As contract.md has it, said another way than the code does."""
    mode = said.account_mode
    rests, streams = SAFE[mode]
    one_word = {said.firm_mode, mode, LIVE if said.asked_live else PAPER} == {mode}
    home = said.home_mode in {None, mode.value}
    return (
        one_word
        and home
        and said.rest_url in rests
        and said.stream_url in streams
        and (mode is PAPER or bool(said.account_number))
    )


def wrong():
    """Combinations in which code and contract differ."""
    return [said for said in everything() if (disagreement(said) is None) != may_start(said)]


def test_live_money_needs_everything_to_say_live_and_paper_nothing_to():
    assert wrong() == []
    assert {said.account_mode for said in everything() if disagreement(said) is None} == set(Mode)


@pytest.mark.parametrize(
    "fault",
    [
        lambda url: PAPER if "paper" in url or "127" in url else LIVE,
        lambda url: LIVE if url.startswith((LIVE_REST, LIVE_STREAM)) else PAPER,
    ],
    ids=["an address of Alpaca's taken for live", "the live address known by its spelling alone"],
)
def test_an_interlock_that_misreads_addresses_is_found_out(monkeypatch, fault):
    monkeypatch.setattr(interlock, "money_at", fault)

    assert wrong() != []


@pytest.mark.parametrize(
    ("url", "money"),
    [
        ("https://api.alpaca.markets", LIVE),
        ("https://user@API.ALPACA.MARKETS./v2", LIVE),
        ("https://paper-api.alpaca.markets", PAPER),
        ("http://127.0.0.1:4010", PAPER),
        ("http://localhost:4010", PAPER),
        ("http://notalpaca.markets", PAPER),
        ("https://alpaca.markets", None),
        ("https://api.sandbox.alpaca.markets", None),
    ],
)
def test_an_address_tells_its_money(url, money):
    assert money_at(url) is money


def test_the_default_addresses_are_paper_and_those_of_live_are_live():
    for environ, money in (({}, PAPER), ({"APCA_API_BASE_URL": LIVE_REST}, LIVE)):
        alpaca = endpoints(environ)

        assert {money_at(alpaca.rest_url), money_at(alpaca.stream_url)} == {money}
