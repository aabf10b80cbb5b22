"""The live interlock where it meets the keys and the store. Nothing here knows a live address that could be called."""

import re

import pytest

from departments.firm import Firm, Keys, WrongMoney
from departments.office.settings import AccountSettings, FirmSettings, Settings
from departments.trading.alpaca.endpoints import endpoints
from messages.plans import Mode
from messages.values import AccountName
from tests.builders import small
from tests.daemon import Home
from tests.paper import PaperAlpaca


def say_live(home):
    """Say in firm.yaml that money is real, and whose."""
    firm = home.config / "firm.yaml"
    text = re.sub(r"mode: paper", "mode: live", firm.read_text())
    firm.write_text(text.replace("account_number: null", 'account_number: "123456789"'))


@pytest.fixture
def paper():
    with PaperAlpaca(small.account()) as paper:
        yield paper


@pytest.mark.parametrize("words", [[], ["--live"], ["--live", "--paper-alpaca"], ["--paper-alpaca"]])
def test_a_local_alpaca_is_never_live(tmp_path, paper, words):
    with Home(tmp_path, paper) as home:
        say_live(home)
        answer = home.inside("start", *words)

    assert answer.returncode == 2
    assert "mode: live" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert paper.requests() == []


def test_paper_with_live_keys_asked_for_is_refused(tmp_path, paper):
    with Home(tmp_path, paper) as home:
        answer = home.inside("start", "--live")

    assert (answer.returncode, "--live, but firm.yaml says mode: paper" in answer.stderr) == (2, True)


@pytest.mark.parametrize(
    "url", ["https://api.alpaca.markets", "https://API.alpaca.markets./", "https://alpaca.markets"]
)
def test_paper_money_never_goes_to_a_live_address(tmp_path, url):
    with Home(tmp_path, None) as home:
        home.env["APCA_API_BASE_URL"] = url
        answer = home.inside("start")

    assert answer.returncode == 2
    assert "APCA_API_BASE_URL" in answer.stderr


def test_keys_that_open_another_account_start_nothing(tmp_path, paper):
    with Home(tmp_path, paper, firm={"accounts.paper.account_number": "PA000000000"}) as home:
        answer = home.firm("start")

    assert answer.returncode == 2
    assert "the keys open account" in answer.stderr
    assert "expected PA000000000 as in firm.yaml" in answer.stderr


def test_a_store_that_paper_money_used_is_closed_to_live_money_wherever_it_lies(tmp_path, paper):
    with Home(tmp_path, paper) as home:
        home.start()
        assert home.wait_end(home.submit(small.plan()))["outcome"] == "completed"
        home.kill()
        asked = len(paper.requests())
        name = AccountName("paper")
        account = AccountSettings(mode=Mode.LIVE, account_number="123456789")
        other = tmp_path / "another home"
        other.mkdir()
        live = Firm(
            home=other,
            store_url=f"sqlite:///{home.path / 'firm.db'}",
            account=name,
            settings=Settings(firm=FirmSettings(mode=Mode.LIVE, accounts={name: account})),
            keys=Keys(key_id="K", secret_key=home.env["APCA_API_SECRET_KEY"]),
            endpoints=endpoints({"APCA_API_BASE_URL": paper.url}),
        )

        with pytest.raises(WrongMoney, match="holds a journal of paper money, expected another store for live"):
            live.start()

        assert len(paper.requests()) == asked


def test_a_plan_handed_in_on_paper_keeps_the_home_for_paper(tmp_path, paper):
    with Home(tmp_path, paper) as home:
        home.submit(small.plan())

        assert (home.path / "mode").read_text() == "paper\n"
