"""The firm's own yes: signed and judged as a person's, on a paper account, and nowhere else."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from departments.executive.approval_file import approval_path, read_approval, why_refused
from departments.office.allowed_signers import Signer
from departments.office.clock import DrivenClock
from departments.office.settings import AccountSettings, FirmSettings
from departments.office.sshsig import public_text
from departments.own_approval import FIRM_SIGNER, OwnApproval
from messages.plans import Mode, SubmitPlan
from messages.values import AccountName
from tests.builders import small
from tests.builders.plans import NOW, some_settings

KEY = Ed25519PrivateKey.generate()
TEXT = small.plan(buys=())


def signer(name: str = FIRM_SIGNER) -> Signer:
    public = public_text(KEY.public_key().public_bytes_raw()).split()[1]
    return Signer(principals=(name,), public_key=public)


def approve(path: Path, *, key=KEY, signers=None, text=TEXT, settings=None):
    settings = settings or some_settings(signers=(signer(),) if signers is None else signers)
    return OwnApproval(settings, key, DrivenClock(NOW))(path, text)


def test_it_is_an_approval_like_any_other(tmp_path):
    path = tmp_path / "plan.yaml"

    letter = approve(path)

    assert isinstance(letter, SubmitPlan)
    assert letter.approval.approved_by == FIRM_SIGNER
    assert letter.approval.mode is Mode.PAPER
    assert letter.approval.signature is not None
    settings = some_settings(signers=(signer(),))
    later = NOW + timedelta(minutes=1)
    assert why_refused(letter.plan, letter.approval, TEXT.encode(), settings=settings, now=later) is None
    assert read_approval(approval_path(path)) == letter.approval


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": None}, "it has no key"),
        ({"signers": ()}, "signed by an unknown key"),
        ({"signers": (signer("somebody"),)}, "is not firm's"),
        ({"text": "plan_id: 1"}, "account"),
        ({"text": TEXT.replace("account: paper", "account: paper\nexpires_at: 2020-01-01T00:00:00Z")}, "expired"),
    ],
    ids=["no key", "a key that is not enrolled", "enrolled for another", "no plan", "expired"],
)
def test_what_a_person_couldnt_approve_the_firm_cant(tmp_path, change, words):
    answer = approve(tmp_path / "plan.yaml", **change)

    assert isinstance(answer, str)
    assert words in answer
    assert list(tmp_path.iterdir()) == []


def test_on_a_live_account_it_approves_nothing(tmp_path):
    firm = FirmSettings(accounts={AccountName("paper"): AccountSettings(mode=Mode.LIVE, account_number="1")})
    settings = some_settings(signers=(signer().model_copy(update={"accounts": ("paper",)}),))

    answer = approve(tmp_path / "plan.yaml", settings=settings.model_copy(update={"firm": firm}))

    assert answer == "account paper is no paper account"
