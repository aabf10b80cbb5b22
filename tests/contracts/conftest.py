"""One local Alpaca a test process; every test finds it as its state file says."""

import pytest

from tests.paper import PaperAlpaca

STATE = {
    "cash": "100000",
    "positions": [
        {"symbol": "KO", "qty": "100", "avg_entry_price": "70", "price": "80"},
        {"symbol": "HAL", "qty": "50.5", "avg_entry_price": "33", "price": "30"},
    ],
    "prices": {"CTVA": "64.64", "DVN": "33.61"},
    "assets": {"IPG": {"status": "inactive"}, "BRK.A": {"fractionable": False}},
    "clock": {"now": "2025-11-10T15:09:12Z", "is_open": True},
    "fills": {"delay_ms": 1},
    "rate_limit": {"requests_per_minute": 100000},
}


@pytest.fixture(scope="session")
def paper_process():
    with PaperAlpaca(STATE) as paper:
        yield paper


@pytest.fixture
def paper(paper_process):
    paper_process.reset()
    return paper_process
