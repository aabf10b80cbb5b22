"""`allowed_signers`: whose key it is and what that person may approve; what can't be understood allows nobody."""

import contextlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.office.allowed_signers import NAMESPACE, parse_signers, signer_line
from departments.office.bad_input import BadInput
from departments.office.sshsig import public_text
from tests.builders.signing import MARAS, a_signer

PUBLIC = public_text(MARAS.public_key().public_bytes_raw())


def the_one(line):
    (signer,) = parse_signers(line, "allowed_signers")
    return signer


def test_the_line_that_is_made_for_paper_is_understood():
    assert the_one(signer_line("mara", PUBLIC)) == a_signer()


def test_every_option_says_what_it_says():
    signer = the_one(
        f'mara@desk,mara namespaces="git,{NAMESPACE}",accounts="live,growth",max-plan-value-usd="50000.50",'
        f'valid-after="20260101Z",valid-before="202612312359Z" {PUBLIC} her laptop'
    )

    assert signer.principals == ("mara@desk", "mara")
    assert signer.accounts == ("live", "growth")
    assert signer.max_plan_value_usd == Decimal("50000.50")
    assert signer.valid_after == datetime(2026, 1, 1, tzinfo=UTC)
    assert signer.valid_before == datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


def test_a_line_without_options_is_openssh_s_own():
    assert the_one(f"mara {PUBLIC}") == a_signer()


def test_comments_and_empty_lines_are_nobody_and_lines_for_git_are_not_ours():
    text = f'# the desk\n\nmara namespaces="git" {PUBLIC}\n'

    assert parse_signers(text, "allowed_signers") == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f'mara acounts="live" {PUBLIC}', "unknown option 'acounts', did you mean 'accounts'?"),
        (f"mara cert-authority {PUBLIC}", "unknown option 'cert-authority'"),
        (f'mara accounts="live",accounts="paper" {PUBLIC}', "stands twice"),
        (f"mara accounts {PUBLIC}", "has no value"),
        (f'mara accounts="" {PUBLIC}', "has no value"),
        (f'mara accounts="live, ,paper" {PUBLIC}', "expected names with commas between them"),
        (f'mara accounts="live {PUBLIC}', "expected options like"),
        (f'mara max-plan-value-usd="5e9" {PUBLIC}', "expected dollars like 50000"),
        (f'mara max-plan-value-usd="-1" {PUBLIC}', "expected dollars like 50000"),
        (f'mara valid-before="20261231" {PUBLIC}', "a time in UTC like 20261231Z"),
        (f'mara valid-before="20261331Z" {PUBLIC}', "a time that exists"),
        (f"*@desk {PUBLIC}", "names without patterns"),
        (f"!mara {PUBLIC}", "names without patterns"),
        ("mara ssh-rsa AAAAB3NzaC1yc2E=", "expected ssh-ed25519"),
        ("mara ssh-ed25519", "expected ssh-ed25519 and a key"),
        ("mara ssh-ed25519 AAAA", "too early"),
        ("mara ssh-ed25519 ????", "base64"),
        ("mara", "options like"),
    ],
)
def test_a_line_that_is_not_understood_is_named(line, words):
    with pytest.raises(BadInput) as caught:
        parse_signers(f"# who\n{line}\n", "allowed_signers")

    assert str(caught.value).startswith("allowed_signers:2: ")
    assert words in str(caught.value)


def test_every_bad_line_is_told_at_once():
    with pytest.raises(BadInput) as caught:
        parse_signers(f"mara\nben {PUBLIC}\n*\n", "f")

    assert [problem.line for problem in caught.value.problems] == [1, 3]


@given(st.text(st.characters(codec="utf-8"), max_size=120))
def test_any_text_is_read_or_refused_and_allows_nobody_by_accident(text):
    with contextlib.suppress(BadInput):
        assert parse_signers(text, "f") == ()
