"""Compliance as a department: what it answers, what it ignores, and what it has to say."""

from datetime import timedelta

from departments.compliance.department import ComplianceDepartment
from messages.codec import decode, encode
from messages.control import HaltTrading
from messages.orders import RunEnded
from messages.reviews import PlanReviewed
from messages.values import Recipient
from tests.builders.portfolio import (
    NOW,
    RUN,
    at_recheck,
    at_submission,
    buy,
    enveloped,
    gate_money,
    held,
    sell,
    settings,
    snapshot,
)

COMPLIANCE = ComplianceDepartment()
SMALL = buy("B01", "CVE", 24, "20")
LARGE = buy("B02", "SN", 100, "95", score=9)
SELL = sell("S01", "UPS", 70, "90")


def handled(message, rules=None):
    return COMPLIANCE.handle(
        COMPLIANCE.initial(), enveloped(message, COMPLIANCE.name), NOW, settings() if rules is None else rules
    )


def test_it_answers_the_ceo_with_a_verdict_that_survives_the_journal():
    trades = (SELL, SMALL, LARGE)
    answer = handled(at_submission(trades, snapshot(trades, equity=100_000, cash=0, positions=[held("UPS", 70, 90)])))

    (mail,) = answer.outgoing
    stored = encode(mail.message)

    assert COMPLIANCE.name is Recipient.COMPLIANCE
    assert mail.recipient is Recipient.EXECUTIVE
    assert mail.due_at is None
    assert decode(stored.type, stored.version, stored.body, lambda name: stored.documents[name]) == mail.message


def test_it_says_which_leg_was_denied_or_cut_and_names_the_figure_and_its_place():
    trades = (SELL, SMALL, LARGE)

    answer = handled(at_submission(trades, snapshot(trades, equity=100_000, cash=0, positions=[held("UPS", 70, 90)])))

    denied, *cuts, summary = answer.notes
    assert denied.event == "leg.denied"
    assert denied.fields == {
        "leg": "B01",
        "symbol": "CVE",
        "side": "buy",
        "planned_qty": "24",
        "qty": "0",
        "code": "POSITION_VALUE_BELOW_MIN",
        "rule": "minimum position value in USD",
        "figure": "480",
        "limit": "500",
        "file": "compliance_config.yaml",
        "key": "position_sizing.min_position_value",
    }
    assert [(note.event, note.fields["code"], note.fields["figure"], note.fields["limit"]) for note in cuts] == [
        ("leg.cut", "POSITION_FRACTION_ABOVE_MAX", "0.09785", "0.08"),
        ("leg.cut", "FUNDING_EXCEEDED", "9785", "6300"),
    ]
    assert summary.event == "plan.reviewed"
    assert (summary.fields["rejected"], summary.fields["kept"], summary.fields["cut"], summary.fields["dropped"]) == (
        False,
        1,
        1,
        1,
    )


def test_it_says_why_a_plan_is_rejected():
    trades = (SELL, buy("B01", "UPS", 10, 90))

    answer = handled(at_submission(trades, snapshot(trades, equity=100_000, cash=0, trading_blocked=True)))

    assert [(note.event, note.fields.get("code")) for note in answer.notes] == [
        ("leg.denied", "SHARES_NOT_HELD"),
        ("leg.denied", "SHARES_NOT_FREE"),
        ("plan.rejected", "ACCOUNT_BLOCKED"),
        ("plan.rejected", "LEGS_OPPOSITE"),
        ("plan.reviewed", None),
    ]


def test_it_says_what_was_broken_before():
    look = snapshot([], equity=1_000, cash=-2_000, positions=[held("UPS", 1, 3_000)])

    (breach, _) = handled(at_submission((), look)).notes

    assert breach.event == "limit.breached_before"
    assert breach.level == "warning"
    assert (breach.fields["figure"], breach.fields["key"]) == ("3", "exposure.max_gross_exposure_fraction")


def test_its_verdict_follows_the_settings_it_is_handed():
    ask = at_submission((SMALL,), snapshot([SMALL], equity=100_000, cash=1_000))
    looser = settings(compliance={"position_sizing": {"min_position_value": 480}})
    stricter = settings(executive={"on_violation": "reject"})

    assert handled(ask).outgoing[0].message.legs[0].qty == 0
    assert handled(ask, looser).outgoing[0].message.legs[0].qty == 24
    assert handled(ask, stricter).outgoing[0].message.rejected


def test_the_same_question_has_the_same_answer_whenever_it_is_asked():
    ask = at_recheck((LARGE,), snapshot([LARGE], equity=100_000, cash=0), gate_money(proceeds=5_000, cash_before=0))
    again = COMPLIANCE.handle(
        COMPLIANCE.initial(), enveloped(ask, COMPLIANCE.name), NOW + timedelta(days=3), settings()
    )

    first = handled(ask)

    assert first == again
    assert isinstance(first.outgoing[0].message, PlanReviewed)


def test_other_mail_means_nothing_to_it():
    for message in (
        RunEnded(run_id=RUN, outcome="completed", reason=None),
        HaltTrading(reason="drill", by="operator"),
        PlanReviewed(run_id=RUN, review=1, snapshot_id="", rejected=False, legs=()),
    ):
        answer = handled(message)

        assert answer.outgoing == ()
        assert answer.notes == ()
        assert answer.state == COMPLIANCE.initial()
