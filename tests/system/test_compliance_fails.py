"""Compliance crashes, stays silent, or answers for another plan: nothing is sent, and the run says why it waits."""

import os
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from departments.compliance import department
from departments.compliance.department import ComplianceDepartment
from departments.firm import Firm, Keys
from departments.office.department import Handled
from departments.trading.alpaca.endpoints import endpoints
from messages.values import AccountName, run_id_for
from scripts.approval_key import with_signers
from scripts.surroundings import all_settings
from tests.builders import small
from tests.daemon import Home
from tests.paper import PaperAlpaca

REAL = department.review


def crashes(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a rule that divides by nothing")

    monkeypatch.setattr(department, "review", broken)


def stays_silent(monkeypatch):
    monkeypatch.setattr(ComplianceDepartment, "handle", lambda _, state, *__: Handled(state))


def answering(**changes):
    def plant(monkeypatch):
        monkeypatch.setattr(department, "review", lambda *asked: REAL(*asked).model_copy(update=changes))

    return plant


def answers_without_the_buys(monkeypatch):
    def partly(*asked):
        verdict = REAL(*asked)
        return verdict.model_copy(update={"legs": tuple(leg for leg in verdict.legs if leg.leg.startswith("S"))})

    monkeypatch.setattr(department, "review", partly)
    monkeypatch.setattr(department, "notes_on", lambda *_: ())


FAILURES = {
    "it crashes each time it is asked": (crashes, "dead_letter"),
    "it stays silent": (stays_silent, "silence"),
    "it answers for another run": (answering(run_id=run_id_for("paper", "another plan")), "silence"),
    "it answers a review that nobody asked for": (answering(review=99), "silence"),
    "it answers on another look at the account": (answering(snapshot_id="0" * 64), "silence"),
    "it speaks of a part of the legs": (answers_without_the_buys, "invariant_broken"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_without_compliances_own_word_on_this_plan_nothing_is_sent(tmp_path, monkeypatch, failure):
    plant, reason = FAILURES[failure]
    plant(monkeypatch)
    waits = {"silence_s": 1} if reason == "silence" else {}
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper, executive_config=waits) as home:
        run_id = home.submit(small.plan(("SAA",), ("BAA",)))
        with in_this_process(home):
            held = home.wait_phase(run_id, "held")

            assert held["reason"] == reason
            assert held["resume_to"] == "reviewing"
        assert paper.orders() == []
        assert [one for one in paper.requests() if one["method"] == "POST"] == []


def test_with_it_the_same_plan_is_carried_out(tmp_path):
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        run_id = home.submit(small.plan(("SAA",), ("BAA",)))
        with in_this_process(home):
            assert home.wait_end(run_id)["outcome"] == "completed"


@contextmanager
def in_this_process(home):
    """The daemon's own wiring, here, where it can be broken."""
    with patch.dict(os.environ, home.env, clear=True):
        settings = with_signers(all_settings())
        firm = Firm(
            home=home.path,
            store_url=f"sqlite:///{home.path / 'firm.db'}",
            account=AccountName("paper"),
            settings=settings,
            keys=Keys(key_id=home.env["APCA_API_KEY_ID"], secret_key=home.env["APCA_API_SECRET_KEY"]),
            endpoints=endpoints(home.env),
        )
        firm.start()
        try:
            yield
        finally:
            firm.stop()
