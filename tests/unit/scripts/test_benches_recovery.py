"""A past that is written many times over is a past that every department folds to the same mail."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from departments.office.settings import AccountSettings, FirmSettings, Settings
from messages.control import BeginRun, Deadline, DeadlinePassed, PlanQueued, RunFinished
from messages.envelope import Envelope, Outgoing
from messages.mailroom.counter import SqlCounter
from messages.mailroom.mailroom import SqlMailroom
from messages.message import Message
from messages.plans import Approval, Plan, SubmitPlan, Trade
from messages.values import AccountName, LegId, PlanId, Recipient, RunId, Side, run_id_for, sha256_hex
from scripts.benches import recovery

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TIMERS = (Deadline.APPROVAL, Deadline.SELL_TIMEOUT)
SETTINGS = Settings(firm=FirmSettings(accounts={AccountName("paper"): AccountSettings()})).document()
SHA = sha256_hex(SETTINGS.encode())


@pytest.fixture
def mailroom(tmp_path: Path) -> Iterator[SqlMailroom]:
    with closing(opened(tmp_path / "template")) as mailroom:
        mailroom.remember_settings(SHA, SETTINGS)
        yield mailroom


def opened(home: Path) -> SqlMailroom:
    url = f"sqlite:///{home / 'firm.db'}"
    return SqlMailroom.open(url=url, home=home, account=AccountName("paper"), now=lambda: NOW)


def letter(name: str) -> SubmitPlan:
    plan_sha256 = sha256_hex(name.encode())
    trade = Trade(leg=LegId("S01"), symbol="CTVA", side=Side.SELL, qty="1", reference_price_usd="64.64")
    account = AccountName("paper")
    plan = Plan(plan_id=PlanId(name), account=account, plan_sha256=plan_sha256, trades=(trade,))
    approval = Approval(
        plan_sha256=plan_sha256, account=account, approved_by="a", approved_at=NOW, expires_at=NOW, nonce=f"of {name}"
    )
    return SubmitPlan(run_id=run_id_for("paper", plan_sha256), plan=plan, approval=approval, plan_text="")


def trade(mailroom: SqlMailroom, name: str, *, to_the_end: bool) -> RunId:
    """A run in four messages, or half of one."""
    said = letter(name)
    run_id = said.run_id
    mail = mailroom.receive(
        sender="operator", recipient=Recipient.EXECUTIVE, message=said, at=NOW, message_id=f"submit:{run_id}"
    )
    assert mail is not None
    queued, *_ = record(
        mailroom,
        mail,
        PlanQueued(queued_run_id=run_id, plan_id=said.plan.plan_id, nonce=said.approval.nonce),
        *(DeadlinePassed(run_id=run_id, deadline=which, token=0, due_at=LATER) for which in TIMERS),
        opens=(run_id, name, said.plan.plan_sha256),
    )
    (begun,) = record(mailroom, queued, BeginRun(run_id=run_id, plan_id=said.plan.plan_id))
    if to_the_end:
        finished = RunFinished(ended_run_id=run_id, outcome="completed")
        (last,) = record(mailroom, begun, finished, closes=(run_id, "completed"))
        record(mailroom, last)
    return run_id


def record(
    mailroom: SqlMailroom,
    handled: Envelope,
    *said: Message,
    opens: tuple[RunId, str, str] | None = None,
    closes: tuple[RunId, str] | None = None,
) -> tuple[Envelope, ...]:
    outgoing = [
        Outgoing(Recipient.EXECUTIVE, message, message.due_at if isinstance(message, DeadlinePassed) else None)
        for message in said
    ]
    return mailroom.record(
        handled=handled, at=NOW, settings_sha256=SHA, outgoing=outgoing, opens_run=opens, closes_run=closes
    )


@pytest.fixture
def past(mailroom: SqlMailroom, tmp_path: Path) -> recovery.Past:
    closed = trade(mailroom, "closed", to_the_end=True)
    still_open = trade(mailroom, "open", to_the_end=False)
    mailroom.flush()
    return recovery.read_past(tmp_path / "template", closed, still_open)


def test_a_past_is_parted_by_run_with_the_accounts_mail_about_it(past: recovery.Past):
    assert [type(mail.envelope.message).__name__ for mail in past.closed] == [
        "SubmitPlan",
        "PlanQueued",
        "BeginRun",
        "RunFinished",
    ]
    assert [type(mail.envelope.message).__name__ for mail in past.open] == ["SubmitPlan", "PlanQueued"]
    assert past.before == ()
    assert past.settings == {SHA: SETTINGS}


def test_a_journal_of_many_runs_has_each_under_an_id_of_its_own_and_one_open(past: recovery.Past, tmp_path: Path):
    handled = recovery.write_journal(tmp_path / "full", past, 10)

    # Of each closed run four messages and the timers that passed: of the last, its approval as well.
    assert handled == 2 * (4 + 1) + (4 + 2) + 2
    home = tmp_path / "full"
    url = f"sqlite:///{home / 'firm.db'}"
    with closing(SqlCounter.open(url=url, home=home, account=AccountName("paper"))) as counter:
        assert counter.verify_chain() == handled
        assert [run.outcome for run in counter.runs()].count("completed") == 3
        assert len({run.run_id for run in counter.runs()}) == 4
        queued = [mail.envelope.message for mail in counter.history(Recipient.EXECUTIVE, run_id=None)]
        queued = [message for message in queued if isinstance(message, PlanQueued)]
        named = [message.queued_run_id for message in queued]
        assert len(set(named)) == 4
        assert len({message.nonce for message in queued}) == 4
        assert named[-2:] == [past.closed_run, past.open[0].envelope.correlation_id]
        days = {mail.handled_at.date() for mail in counter.history(Recipient.EXECUTIVE, run_id=None)}
        assert len(days) == 3


def test_the_mail_of_the_open_run_waits_as_it_did(past: recovery.Past, tmp_path: Path):
    recovery.write_journal(tmp_path / "full", past, 10)

    with closing(opened(tmp_path / "full")) as mailroom:
        waiting = [mail.message for mail in mailroom.unhandled(Recipient.EXECUTIVE)]
        folded = [mail.envelope.message for mail in mailroom.handled(Recipient.EXECUTIVE)]

    of_open = [message for message in waiting if message.run_id == past.open[0].envelope.correlation_id]
    assert [type(message) for message in of_open] == [DeadlinePassed, DeadlinePassed, BeginRun]
    assert [message.run_id for message in folded if isinstance(message, SubmitPlan)] == [
        mail.envelope.correlation_id for mail in past.open[:1]
    ]


def test_approvals_of_some_runs_still_run_and_no_other_timer_of_a_run_that_is_over(
    past: recovery.Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recovery, "RUNS_TODAY", 2)

    recovery.write_journal(tmp_path / "full", past, 40)

    with closing(opened(tmp_path / "full")) as mailroom:
        waiting = [mail.message for mail in mailroom.unhandled(Recipient.EXECUTIVE)]
    timers = [message for message in waiting if isinstance(message, DeadlinePassed)]
    closed = [timer for timer in timers if timer.run_id != past.open[0].envelope.correlation_id]
    assert [timer.deadline for timer in closed] == [Deadline.APPROVAL] * 2


def test_a_fold_that_gives_other_mail_than_the_journal_has_is_no_figure(past: recovery.Past, tmp_path: Path):
    recovery.write_journal(tmp_path / "full", past, 5)

    with pytest.raises(RuntimeError, match="expected the mail on record"):  # the mail here is not the CEO's own
        recovery._open_and_fold(tmp_path / "full")


def test_extra_time_is_the_median_of_the_pairs():
    assert recovery._beside([(1.0, 1.5), (2.0, 2.1), (9.0, 9.3)]) == {"empty_s": 2.0, "full_s": 2.1, "extra_s": 0.3}
