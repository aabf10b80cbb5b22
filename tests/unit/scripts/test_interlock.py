"""The live interlock at the door: FIRM_HOME's mark, and the account number that a person types once."""

import io

import pytest

from departments.office.settings import AccountSettings, FirmSettings, Settings
from departments.trading.alpaca.endpoints import endpoints
from messages.plans import Mode
from messages.values import AccountName
from scripts import interlock
from scripts.failure import Failure

NAME = AccountName("main")
NUMBER = "123456789"
LIVE_ALPACA = endpoints({"APCA_API_BASE_URL": "https://api.alpaca.markets"})
PAPER_ALPACA = endpoints({})


class Terminal(io.StringIO):
    """A person at a keyboard."""

    def isatty(self):
        return True


def settings(mode, number=None):
    return Settings(firm=FirmSettings(mode=mode, accounts={NAME: AccountSettings(mode=mode, account_number=number)}))


def start_live(home, number=NUMBER):
    interlock.check_money(settings(Mode.LIVE, number), NAME, LIVE_ALPACA, home, asked_live=True)


def start_paper(home):
    interlock.check_money(settings(Mode.PAPER), NAME, PAPER_ALPACA, home, asked_live=False)


def typed(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", Terminal(text))


def refused(start, home, *more):
    with pytest.raises(Failure) as caught:
        start(home, *more)
    return str(caught.value)


def test_the_number_is_typed_once(tmp_path, monkeypatch):
    typed(monkeypatch, f"{NUMBER}\n")
    start_live(tmp_path)

    monkeypatch.setattr("sys.stdin", io.StringIO())
    start_live(tmp_path)

    assert (tmp_path / "mode").read_text() == "live\n"
    assert (tmp_path / "mode").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "live_account").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "\n", "12345678\n", "1234567890\n", "yes\n"])
def test_another_number_starts_nothing_and_is_asked_for_again(tmp_path, monkeypatch, text):
    typed(monkeypatch, text)

    assert "not the account number in firm.yaml" in refused(start_live, tmp_path)
    assert not (tmp_path / "mode").exists()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NUMBER}\n"))
    assert "expected a terminal" in refused(start_live, tmp_path)


def test_another_account_has_to_be_typed_again(tmp_path, monkeypatch):
    typed(monkeypatch, f"{NUMBER}\n")
    start_live(tmp_path)

    typed(monkeypatch, f"{NUMBER}\n")

    assert "not the account number" in refused(start_live, tmp_path, "987654321")


def test_a_home_that_was_marked_before_the_first_start_still_asks(tmp_path, monkeypatch):
    interlock.claim(tmp_path, Mode.LIVE)
    monkeypatch.setattr("sys.stdin", io.StringIO())

    assert "expected a terminal" in refused(start_live, tmp_path)


def test_paper_money_asks_nothing_and_needs_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())

    start_paper(tmp_path)
    start_paper(tmp_path)

    assert (tmp_path / "mode").read_text() == "paper\n"


@pytest.mark.parametrize("by_submit", [False, True])
def test_a_home_of_one_money_is_closed_to_the_other(tmp_path, monkeypatch, by_submit):
    papers, lives = tmp_path / "papers", tmp_path / "lives"
    typed(monkeypatch, f"{NUMBER}\n")
    if by_submit:
        interlock.claim(papers, Mode.PAPER)
        interlock.claim(lives, Mode.LIVE)
    else:
        start_paper(papers)
        start_live(lives)

    assert "was made for 'paper' money" in refused(start_live, papers)
    assert "was made for 'live' money" in refused(start_paper, lives)
    for home, mode in ((papers, Mode.LIVE), (lives, Mode.PAPER)):
        with pytest.raises(Failure, match="expected another FIRM_HOME"):
            interlock.claim(home, mode)
