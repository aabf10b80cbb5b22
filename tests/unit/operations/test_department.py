"""Operations as a department: what it answers, what it ignores, and what it has to say."""

import pytest

from departments.compliance.review import review
from departments.office.settings import OnViolation
from departments.operations.department import OperationsDepartment
from departments.operations.sizing import fit_buys
from departments.rulebook.limits import limits_of
from messages.codec import decode, encode
from messages.orders import RunEnded
from messages.reviews import Decision
from messages.values import AccountName, Recipient
from tests.builders.portfolio import (
    NOW,
    RUN,
    at_recheck,
    buy,
    enveloped,
    gate_money,
    sell,
    settings,
    snapshot,
    to_fit,
)

OPERATIONS = OperationsDepartment(AccountName("paper"))
LIMITS = limits_of(settings())
BUYS = (
    buy("B01", "AA", 30, "20", score=1),
    buy("B02", "BB", 30, "20", score=3),
    buy("B03", "CC", 30, "20", score=2),
)
LOOK = snapshot(BUYS, equity=100_000, cash=-40_000)
MONEY = gate_money(proceeds="1200", cash_before="-41200")  # 618 each: 618 + 28 x 20.60 = 576.80, 5.20 left


def handled(message, rules=None):
    return OPERATIONS.handle(
        OPERATIONS.initial(), enveloped(message, OPERATIONS.name), NOW, settings() if rules is None else rules
    )


def test_it_answers_the_ceo_in_the_order_of_sending():
    ask = to_fit(BUYS, LOOK, MONEY)

    (mail,) = handled(ask).outgoing

    fitted = mail.message
    stored = encode(fitted)
    assert OPERATIONS.name is Recipient.OPERATIONS
    assert mail.recipient is Recipient.EXECUTIVE
    assert (fitted.run_id, fitted.fit, fitted.snapshot_id) == (ask.run_id, 1, LOOK.snapshot_id)
    assert [(leg.leg, leg.decision, str(leg.qty)) for leg in fitted.legs] == [
        ("B02", Decision.KEEP, "30"),
        ("B03", Decision.CUT, "28"),
        ("B01", Decision.DROP, "0"),
    ]
    assert decode(stored.type, stored.version, stored.body, lambda name: stored.documents[name]) == fitted


def test_it_says_which_leg_was_cut_or_dropped_and_names_the_figure_and_its_place():
    cut, dropped, summary = handled(to_fit(BUYS, LOOK, MONEY)).notes

    assert cut.event == "leg.cut"
    assert cut.fields == {
        "leg": "B03",
        "symbol": "CC",
        "side": "buy",
        "planned_qty": "30",
        "qty": "28",
        "code": "FUNDING_EXCEEDED",
        "rule": "value reserved in USD within what is left to spend",
        "figure": "618",
        "limit": "582",
        "file": "executive_config.yaml",
        "key": "funding",
    }
    assert (dropped.event, dropped.fields["leg"], dropped.fields["limit"]) == ("leg.dropped", "B01", "5.2")
    assert summary.event == "buys.fitted"
    assert (summary.fields["kept"], summary.fields["cut"], summary.fields["dropped"]) == (1, 1, 1)


@pytest.mark.parametrize("on_violation", list(OnViolation))
def test_compliance_takes_its_fit_unchanged(on_violation):
    fitted = fit_buys(to_fit(BUYS, LOOK, MONEY), LIMITS, on_violation)
    by_leg = {trade.leg: trade for trade in BUYS}
    trades = [by_leg[leg.leg].model_copy(update={"qty": leg.qty}) for leg in fitted.legs if leg.qty]

    verdict = review(at_recheck(trades, LOOK, MONEY), LIMITS, on_violation)

    assert trades
    assert not verdict.rejected
    assert {leg.decision for leg in verdict.legs} == {Decision.KEEP}


@pytest.mark.parametrize("on_violation", [OnViolation.DROP, OnViolation.REJECT])
def test_where_nothing_may_be_cut_a_buy_goes_whole_or_not_at_all(on_violation):
    fitted = fit_buys(to_fit(BUYS, LOOK, MONEY), LIMITS, on_violation)

    assert [(leg.leg, str(leg.qty)) for leg in fitted.legs] == [("B02", "30"), ("B03", "0"), ("B01", "0")]


def test_a_look_that_lacks_a_part_drops_every_buy_and_says_so():
    look = LOOK.model_copy(update={"positions": None})

    answer = handled(to_fit(BUYS, look, MONEY))

    legs = answer.outgoing[0].message.legs
    assert [(leg.leg, leg.qty) for leg in legs] == [("B02", 0), ("B03", 0), ("B01", 0)]
    assert [(why.leg, why.code, why.figure) for leg in legs for why in leg.violations] == [
        (name, "SNAPSHOT_INCOMPLETE", "positions missing") for name in ("B02", "B03", "B01")
    ]
    assert [note.event for note in answer.notes] == ["leg.dropped"] * 3 + ["buys.fitted"]


def test_a_sell_among_the_buys_is_a_bug_and_not_a_fit():
    with pytest.raises(ValueError, match="expected BUYs only, was SELL S01"):
        handled(to_fit((sell("S01", "AA", 1, 1),), LOOK, MONEY))


def test_nothing_asked_is_nothing_fitted():
    assert handled(to_fit((), LOOK, MONEY)).outgoing[0].message.legs == ()


def test_other_mail_means_nothing_to_it():
    answer = handled(RunEnded(run_id=RUN, outcome="completed", reason=None))

    assert answer.outgoing == ()
    assert answer.notes == ()
    assert answer.state == OPERATIONS.initial()
