"""Who may approve, as a person meets it at the terminal: keys, signers, replays, and files that others can write to."""

import re
import shutil
import subprocess

import pytest

from departments.executive.approval_file import read_approval
from tests.builders import small
from tests.daemon import Home
from tests.paper import PaperAlpaca
from tests.system.test_cli import assert_one_line

SSH_KEYGEN = shutil.which("ssh-keygen")
LINE = 'mara namespaces="plan-approval@tradefirm"'


@pytest.fixture
def home(tmp_path):
    with Home(tmp_path, None) as made:
        yield made


def written(home, text=None, name="plan.yaml"):
    path = home.plans / name
    path.write_text(small.plan() if text is None else text)
    path.chmod(0o600)
    return path


def live(home):
    """Say in firm.yaml that money is real."""
    firm = home.config / "firm.yaml"
    firm.write_text(re.sub(r"mode: paper", "mode: live", firm.read_text()))


def signers(home):
    return home.path / "allowed_signers"


def restrict(home, options):
    """Put options into the line of the key that was made."""
    signers(home).write_text(signers(home).read_text().replace(" ssh-ed25519", f",{options} ssh-ed25519"))


def test_the_first_approval_makes_a_key_and_enrols_it_and_the_next_one_takes_it(home):
    first, second = (home.inside("approve", str(written(home)), "--yes") for _ in range(2))

    key = home.path / "keys" / "approval_ed25519"
    assert (first.returncode, second.returncode) == (0, 0)
    assert f"made a key to approve paper plans with: {key}" in first.stdout
    assert "made a key" not in second.stdout
    assert key.stat().st_mode & 0o777 == 0o600
    assert signers(home).stat().st_mode & 0o777 == 0o600
    assert len(signers(home).read_text().splitlines()) == 1


def test_init_makes_the_key_once(home):
    first, second = home.inside("init"), home.inside("init")

    assert "approval_ed25519: made, for you alone, and enrolled in" in first.stdout
    assert "approval_ed25519: is there" in second.stdout
    assert len(signers(home).read_text().splitlines()) == 1


def test_with_live_money_no_key_is_made(home):
    live(home)

    assert "none made, money is live" in home.inside("init").stdout
    answer = home.inside("approve", str(written(home)), "--yes")

    assert answer.returncode == 2
    assert "expected an Ed25519 key to approve with" in answer.stderr
    assert not signers(home).exists()
    assert not (home.path / "keys").exists()


@pytest.mark.skipif(SSH_KEYGEN is None, reason="ssh-keygen is not installed: it makes a person's key")
def test_a_live_plan_is_approved_with_a_key_that_a_person_enrolled_for_that_account(home):
    live(home)
    key = home.plans / "mara"
    words = [str(SSH_KEYGEN), "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(words, check=True, capture_output=True)
    home.path.mkdir(mode=0o700)
    path = written(home)

    def approve(line):
        signers(home).write_text(line)
        signers(home).chmod(0o600)
        return home.inside("approve", str(path), "--yes", "--key", str(key))

    public = key.with_suffix(".pub").read_text()
    unknown, unnamed, named = approve(""), approve(f"{LINE} {public}"), approve(f'{LINE},accounts="paper" {public}')

    assert "does not know this key, expected a line like: " in assert_refused(unknown)
    assert "mara may approve for paper accounts only" in assert_refused(unnamed)
    assert named.returncode == 0
    assert "approved by mara until" in named.stdout
    assert home.inside("submit", str(path)).returncode == 0


def assert_refused(answer):
    assert answer.returncode == 2, answer
    return answer.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"approved_by: '", "approved_by: 'x", "was altered after it was signed"),
        (r"nonce: '.", "nonce: '_", "was altered after it was signed"),
        (r"approved_at: 2\d", "approved_at: 19", "was altered after it was signed"),
        (r"signature: .*", "signature: null", "is not signed"),
        (r"signature: 'U1NI", "signature: 'AAAA", "signature can't be read"),
    ],
)
def test_an_approval_that_was_tampered_with_is_refused(home, old, new, words):
    path = home.plan(small.plan())
    approval = home.plans / "plan.yaml.approval"
    approval.write_text(re.sub(old, new, approval.read_text()))

    assert words in assert_one_line(home.inside("submit", str(path)))


def test_a_policy_changed_after_the_approval_is_refused_at_submit(home):
    path = home.plan(small.plan())
    rules = home.config / "hard_constraints.yaml"
    rules.write_text(rules.read_text().replace("max_positions_total: 30", "max_positions_total: 40"))

    assert "the policy in config was changed since" in assert_one_line(home.inside("submit", str(path)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('accounts="growth"', "the plan is for paper"),
        ('max-plan-value-usd="100"', "may approve plans up to $100.00, this one is worth $4,000.00"),
        ('valid-before="20200101Z"', "could approve until 2020-01-01"),
        ('valid-after="22000101Z"', "may approve from 2200-01-01"),
    ],
)
def test_a_signer_s_limits_hold_when_approving_and_when_submitting(home, options, words):
    path = home.plan(small.plan())
    restrict(home, options)

    assert words in assert_one_line(home.inside("submit", str(path)))
    assert words in home.inside("approve", str(path), "--yes").stderr


def test_a_key_that_was_struck_out_approves_no_more_and_is_not_enrolled_again(home):
    path = home.plan(small.plan())
    signers(home).write_text("")

    assert "an unknown key" in assert_one_line(home.inside("submit", str(path)))
    assert "does not know this key" in assert_refused(home.inside("approve", str(path), "--yes"))
    assert signers(home).read_text() == ""


def test_a_nonce_that_came_with_another_plan_is_a_replay(home, monkeypatch):
    monkeypatch.setattr("scripts.approve.secrets.token_hex", lambda _: "0123456789abcdef")
    first, second = home.plan(small.plan(), "one.yaml"), home.plan(small.plan(), "two.yaml")

    assert home.inside("submit", str(first)).returncode == 0
    assert "the approval is a replay, run R" in assert_one_line(home.inside("submit", str(second)))
    assert home.inside("submit", str(first)).returncode == 0


@pytest.mark.parametrize("name", ["allowed_signers", "firm.db"])
def test_signers_and_stores_that_others_can_write_to_are_refused(home, name):
    path = home.plan(small.plan())
    assert home.inside("status").returncode == 0
    (home.path / name).chmod(0o620)

    said = assert_one_line(home.inside("submit", str(path)))

    assert said.startswith(f"{home.path / name} (620): others can write to it")
    assert said.endswith(f"chmod go-w {home.path / name}")


@pytest.mark.parametrize("name", ["plan.yaml", "config/firm.yaml"])
def test_a_plan_or_configuration_that_others_can_write_to_is_a_warning_on_paper_and_refused_live(home, name):
    path = home.plan(small.plan())
    (home.plans / name).chmod(0o602)

    on_paper = home.inside("submit", str(path))
    live(home)
    with_money = home.inside("submit", str(path))

    said = f"{home.plans / name} (602): others can write to it, expected its owner alone: chmod go-w"
    assert on_paper.returncode == 0
    assert on_paper.stderr.startswith(f"warning: {said}")
    assert assert_one_line(with_money).startswith(said)


def test_a_store_is_made_for_its_owner_alone(home):
    home.inside("status")

    assert (home.path / "firm.db").stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_is_refused(home):
    path = home.plan(small.plan())
    (home.path / "keys" / "approval_ed25519").chmod(0o640)

    assert "open to others (640), expected your own alone: chmod 600" in assert_refused(
        home.inside("approve", str(path), "--yes")
    )


def test_the_daemon_looks_again_and_goes_by_the_signers_it_started_with(tmp_path):
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        home.start()
        assert home.wait_end(home.submit(small.plan(), "one.yaml"))["outcome"] == "completed"
        shutil.rmtree(home.path / "keys")
        signers(home).unlink()

        run = home.wait_end(home.submit(small.plan(), "two.yaml"))  # with a new key, which the daemon doesn't know

        secret = "".join((home.path / "keys" / "approval_ed25519").read_text().splitlines()[1:-1])
        assert run["outcome"] == "rejected"
        assert "signed by an unknown key" in run["reason"]
        assert secret[80:160] not in home.log_text()
        assert read_approval(home.plans / "two.yaml.approval").signature not in home.log_text()
        assert [order["symbol"] for order in paper.orders()] == ["SAA", "BAA"]
