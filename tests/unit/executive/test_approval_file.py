from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.executive import approval_file
from departments.executive.approval_file import (
    VALID_FOR,
    approval_path,
    approved,
    new_approval,
    read_approval,
    write_approval,
)
from departments.executive.plan_file import read_plan
from departments.office.bad_input import BadInput
from messages.plans import Approval, Mode, Plan
from tests.builders.plans import some_settings
from tests.builders.signing import MARAS

NOW = datetime(2025, 11, 10, 15, 0, tzinfo=UTC)
PLAN = b"plan_id: P1\naccount: paper\ntrades:\n  - {symbol: AAPL, side: buy, qty: 1, reference_price: 10}\n"


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_bytes(PLAN)
    return path


def a_plan(data: bytes = PLAN) -> Plan:
    return read_plan(data)[0]


def an_approval(plan: Plan | None = None, **changes) -> Approval:
    made = new_approval(
        plan or a_plan(), settings=some_settings(), approved_by="mara", key=MARAS, now=NOW, nonce="abc123"
    )
    return made.model_copy(update=changes)


def judge(plan_path: Path, *, now: datetime = NOW, mode: Mode = Mode.PAPER) -> Approval:
    data = plan_path.read_bytes()
    settings = some_settings()
    settings = settings.model_copy(update={"firm": settings.firm.model_copy(update={"mode": mode})})
    return approved(plan_path, a_plan(data), data, settings=settings, now=now)


def refused(plan_path: Path, **how) -> str:
    with pytest.raises(BadInput) as caught:
        judge(plan_path, **how)
    return str(caught.value)


def test_an_approval_lies_beside_its_plan_for_the_owner_alone(plan_path):
    write_approval(approval_path(plan_path), an_approval())

    path = plan_path.parent / "plan.yaml.approval"
    assert judge(plan_path) == an_approval()
    assert path.stat().st_mode & 0o077 == 0
    assert sorted(file.name for file in plan_path.parent.iterdir()) == ["plan.yaml", "plan.yaml.approval"]


def test_an_approval_is_good_for_a_day_or_until_the_plan_expires():
    plan = a_plan(PLAN + b"expires_at: 2025-11-10T20:00:00Z\n")

    assert an_approval().expires_at == NOW + VALID_FOR == NOW + timedelta(hours=24)
    assert an_approval(plan).expires_at == datetime(2025, 11, 10, 20, 0, tzinfo=UTC)


def test_a_missing_approval_says_what_to_do(plan_path):
    said = refused(plan_path)

    assert said == f"{plan_path}.approval: no such file, expected an approval: run firm approve first"


@pytest.mark.parametrize("at", [0, 10, len(PLAN) - 1])
def test_one_changed_byte_of_the_plan_voids_the_approval(plan_path, at):
    write_approval(approval_path(plan_path), an_approval())
    changed = bytearray(PLAN + b"# a comment\n")
    changed[-3] ^= 1
    plan_path.write_bytes(bytes(changed) if at else PLAN + b"\n")

    assert "the plan was changed after it was approved" in refused(plan_path)


def test_an_approval_that_was_not_bound_to_the_bytes_would_be_caught(plan_path, monkeypatch):
    write_approval(approval_path(plan_path), an_approval())
    plan_path.write_bytes(PLAN + b"\n")
    monkeypatch.setattr(approval_file, "refusal", lambda *_, **__: None)

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refused(plan_path)


def test_an_approval_expires_at_its_instant(plan_path):
    write_approval(approval_path(plan_path), an_approval())

    assert judge(plan_path, now=NOW + VALID_FOR - timedelta(microseconds=1)).nonce == "abc123"
    assert "the approval expired at 2025-11-11 15:00:00 UTC" in refused(plan_path, now=NOW + VALID_FOR)


@pytest.mark.parametrize(
    ("changes", "mode", "words"),
    [
        ({"account": "growth"}, Mode.PAPER, "the approval is for account growth, the plan for paper"),
        ({}, Mode.LIVE, "the approval is for paper trading, this firm trades live"),
        ({"mode": Mode.LIVE}, Mode.PAPER, "the approval is for live trading, this firm trades paper"),
    ],
)
def test_an_approval_is_for_one_account_and_one_kind_of_money(plan_path, changes, mode, words):
    write_approval(approval_path(plan_path), an_approval(**changes))

    assert words in refused(plan_path, mode=mode)


def test_each_refusal_has_its_own_sentence(plan_path):
    said = {refused(plan_path)}
    write_approval(approval_path(plan_path), an_approval())
    said.add(refused(plan_path, now=NOW + VALID_FOR))
    said.add(refused(plan_path, mode=Mode.LIVE))
    write_approval(approval_path(plan_path), an_approval(account="growth"))
    said.add(refused(plan_path))
    write_approval(approval_path(plan_path), an_approval(plan_sha256="0" * 64))
    said.add(refused(plan_path))

    assert len(said) == 5


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("mode: paper", "mode: play", "mode: text 'play', expected paper or live"),
        ("nonce:", "nonse:", "unknown key 'nonse', did you mean 'nonce'?"),
        ("approved_at: 2025", "approved_at: MMXXV", "a time with its offset"),
        ("plan_sha256: ", "plan_sha256: x", "64"),
        ("mode: paper", "mode: paper\nmode: live", "stands twice"),
        ("signature: '", "signature: '-", "an SSH signature's base64"),
    ],
)
def test_a_damaged_approval_is_refused_with_its_line(plan_path, old, new, words):
    path = approval_path(plan_path)
    write_approval(path, an_approval())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    said = refused(plan_path)

    assert words in said
    assert said.startswith(f"{path}:")
    assert "\n" not in said


def test_a_signature_has_its_place(tmp_path):
    path = tmp_path / "a.approval"
    made = an_approval()

    write_approval(path, made)

    assert read_approval(path) == made
    assert made.signature is not None


_NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)


@given(_NAMES, _NAMES, st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - Hypothesis wants naive bounds
def test_what_is_written_is_what_is_read(tmp_path_factory, who, nonce, when):
    path = tmp_path_factory.mktemp("approval") / "p.yaml.approval"
    written = an_approval(approved_by=who, nonce=nonce, approved_at=when.replace(tzinfo=UTC))

    write_approval(path, written)

    assert read_approval(path) == written
