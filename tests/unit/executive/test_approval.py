"""A signed approval covers one plan, on one account, under one policy, by one who may; each no has its words."""

from datetime import timedelta
from decimal import Decimal

import pytest

from departments.executive import approval as approvals
from departments.executive.approval import orders_sha256, plan_value_usd, refusal, statement
from departments.executive.approval_file import signed
from departments.office.settings import ComplianceSettings, ExecutiveSettings, PositionSizing, TradingSettings
from departments.office.sshsig import sign
from messages.codec import decode, encode
from messages.plans import Approval, Mode, SubmitPlan
from messages.values import OrderType, Side
from tests.builders.plans import (
    ACCOUNT,
    NOW,
    a_plan,
    a_submission,
    a_trade,
    an_approval,
    run_id_of,
    some_settings,
    text_of,
)
from tests.builders.signing import MARAS, a_key, a_signer

PLAN = a_plan()
OTHERS = a_key(2)
MARA = (a_signer(),)
VALUE = plan_value_usd(PLAN)


def judged(approval=None, plan=PLAN, signers=MARA, settings=None, **how):
    given = {
        "run_id": run_id_of(plan),
        "plan_bytes": text_of(plan).encode(),
        "account": ACCOUNT,
        "mode": Mode.PAPER,
        "now": NOW,
        "signers": signers,
        "rules_sha256": (settings or some_settings()).rules_sha256(),
    }
    return refusal(plan, approval or an_approval(plan), **(given | how))


def test_a_signed_approval_covers_its_plan():
    assert judged() is None


def test_it_still_does_after_its_way_through_the_mail():
    encoded = encode(a_submission(PLAN))
    letter = decode(encoded.type, encoded.version, encoded.body, encoded.documents.get)

    assert isinstance(letter, SubmitPlan)
    assert judged(letter.approval, letter.plan) is None


ALTERED = {
    "account": "growth",
    "mode": Mode.LIVE,
    "approved_by": "ben",
    "approved_at": NOW,
    "expires_at": NOW + timedelta(days=9),
    "nonce": "another",
    "rules_sha256": "0" * 64,
    "orders_sha256": "0" * 64,
    "plan_sha256": "0" * 64,
}


def test_the_statement_says_everything_but_the_signature():
    assert set(ALTERED) == set(Approval.model_fields) - {"signature"}


@pytest.mark.parametrize("field", sorted(ALTERED))
def test_whatever_is_altered_after_signing_voids_it(field):
    altered = an_approval(PLAN).model_copy(update={field: ALTERED[field]})

    assert judged(altered) is not None
    assert statement(altered) != statement(an_approval(PLAN))


@pytest.mark.parametrize("field", sorted(ALTERED))
def test_a_statement_that_left_a_field_out_would_be_caught(field, monkeypatch):
    blind = lambda approval: statement(approval.model_copy(update={field: ALTERED[field]}))  # noqa: E731
    monkeypatch.setattr(approvals, "statement", blind)
    altered = an_approval(PLAN).model_copy(update={field: ALTERED[field]})

    assert blind(altered) == blind(an_approval(PLAN))  # what the test above forbids


BOUGHT = a_plan(trades=[a_trade("B01", "BA", Side.BUY, 10, 100)])
CASES = {
    "is not signed": lambda: judged(an_approval(PLAN, signature=None)),
    "can't be read": lambda: judged(an_approval(PLAN, signature="AAAA")),
    "is for 'git'": lambda: judged(
        an_approval(PLAN, signature=sign(statement(an_approval(PLAN)), MARAS, namespace="git"))
    ),
    "was altered after it was signed": lambda: judged(an_approval(PLAN).model_copy(update={"nonce": "x"})),
    "the orders are not those": lambda: judged(plan=PLAN, approval=an_approval(PLAN, orders_sha256="0" * 64)),
    "an unknown key (SHA256:": lambda: judged(signed(an_approval(PLAN), OTHERS)),
    "is not ben's": lambda: judged(an_approval(PLAN, approved_by="ben")),
    "the plan is for paper": lambda: judged(signers=(a_signer(accounts=("growth",)),)),
    "up to $1,000.00": lambda: judged(signers=(a_signer(max_plan_value_usd=Decimal(1000)),)),
    "may approve from": lambda: judged(signers=(a_signer(valid_after=NOW + timedelta(seconds=1)),)),
    "could approve until": lambda: judged(signers=(a_signer(valid_before=NOW),)),
    "for paper accounts only": lambda: judged(an_approval(PLAN, mode=Mode.LIVE), mode=Mode.LIVE),
    "the policy in config was changed": lambda: judged(an_approval(PLAN, rules_sha256="0" * 64)),
    "the approval is for run": lambda: judged(run_id=run_id_of(BOUGHT)),
    "the approval expired": lambda: judged(an_approval(PLAN, expires_at=NOW)),
    "was changed after it was approved": lambda: judged(an_approval(BOUGHT)),
}


@pytest.mark.parametrize("words", sorted(CASES))
def test_each_reason_to_refuse_has_its_own_sentence(words):
    said = CASES[words]()

    assert words in said
    assert [other for other in CASES if other in said] == [words]


@pytest.mark.parametrize("missing", ["rules_sha256", "orders_sha256"])
def test_an_approval_that_binds_less_covers_nothing(missing):
    assert judged(an_approval(PLAN, **{missing: None})) is not None


def test_nobody_may_approve_where_nobody_is_named():
    assert "unknown key" in judged(signers=())


def test_orders_that_are_not_those_in_the_bytes_are_refused():
    doubled = tuple(trade.model_copy(update={"qty": trade.qty * 2}) for trade in PLAN.trades)
    swapped = PLAN.model_copy(update={"trades": doubled})

    assert swapped.plan_sha256 == PLAN.plan_sha256
    assert "the orders are not those" in judged(an_approval(PLAN), swapped, plan_bytes=text_of(PLAN).encode())


def test_a_check_of_the_bytes_alone_would_let_swapped_orders_pass(monkeypatch):
    swapped = PLAN.model_copy(update={"trades": PLAN.trades[:1]})
    monkeypatch.setattr(approvals, "orders_sha256", lambda _: orders_sha256(PLAN))

    assert (
        judged(an_approval(PLAN), swapped, plan_bytes=text_of(PLAN).encode()) is None
    )  # the fault shows: the test above would fail


@pytest.mark.parametrize(
    ("line", "covered"),
    [
        ({"max_plan_value_usd": VALUE}, True),
        ({"max_plan_value_usd": VALUE - Decimal("0.01")}, False),
        ({"valid_after": NOW}, True),
        ({"valid_before": NOW + timedelta(microseconds=1)}, True),
        ({"valid_before": NOW}, False),
        ({"accounts": ("growth", "paper")}, True),
        ({"accounts": ()}, False),
    ],
)
def test_a_line_s_limits_hold_to_the_letter(line, covered):
    assert (judged(signers=(a_signer(**line),)) is None) is covered


def test_a_live_account_is_named_or_nobody_may_approve_for_it():
    live = an_approval(PLAN, mode=Mode.LIVE)

    assert judged(live, mode=Mode.LIVE, signers=(a_signer(accounts=("paper",)),)) is None
    assert judged(live, mode=Mode.LIVE) is not None


def test_one_line_that_allows_it_is_enough_and_a_line_of_somebody_else_s_is_none():
    small, large = a_signer(max_plan_value_usd=Decimal(1)), a_signer(max_plan_value_usd=VALUE)

    assert judged(signers=(small, large)) is None
    assert judged(signers=(small, a_signer(OTHERS))) is not None
    assert judged(signers=(small, a_signer(name="ben"))) is not None


def test_a_plan_is_worth_its_limit_prices_where_they_are_higher():
    plan = a_plan(
        trades=[
            a_trade("S01", "SA", Side.SELL, 10, 100, order_type=OrderType.LIMIT, limit_price_usd=Decimal(90)),
            a_trade("B01", "BA", Side.BUY, 10, 100, order_type=OrderType.LIMIT, limit_price_usd=Decimal(110)),
        ]
    )

    assert plan_value_usd(plan) == Decimal(2100)


@pytest.mark.parametrize(
    ("changed", "is_policy"),
    [
        ({"compliance": ComplianceSettings(position_sizing=PositionSizing(min_position_value=Decimal(1)))}, True),
        ({"executive": ExecutiveSettings(on_violation="drop")}, True),
        ({"executive": ExecutiveSettings(funding="cash")}, True),
        ({"executive": ExecutiveSettings(sell_timeout_s=1)}, False),
        ({"trading": TradingSettings(workers=1)}, False),
        ({"signers": ()}, False),
    ],
)
def test_a_changed_policy_voids_approvals_and_changed_waits_do_not(changed, is_policy):
    after = some_settings().model_copy(update=changed)

    assert (after.rules_sha256() != some_settings().rules_sha256()) is is_policy
    assert (judged(settings=after) is not None) is is_policy
