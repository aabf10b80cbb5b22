"""What every mailroom promises, the fake included."""

from datetime import datetime, timedelta

import pytest

from messages.control import WORD_STATES, AbortRun, BeginRun, DeadLetter, HaltTrading, PlanQueued, ResumeTrading
from messages.envelope import Outgoing
from messages.mailroom.port import LeaseHeld, LeaseLost, StoreUnavailable
from messages.orders import FillBusted
from messages.values import AccountName, ClientOrderId, LegId, PlanId, Recipient, TradingState, sha256_hex
from tests.unit.messages.mailroom.houses import (
    CEO,
    NOW,
    OTHER_RUN,
    RUN,
    SETTINGS,
    SETTINGS_TEXT,
    a_gate,
    a_halt,
    a_reduction,
    a_submission,
    begin,
    handle,
    ready,
    seqs,
    take,
    to_ceo,
)

ACTIVE, REDUCING, HALTED = TradingState


def test_mail_is_numbered_in_the_order_it_is_recorded(house):
    mailroom = ready(house.open())
    first = take(mailroom, a_halt())

    out = handle(mailroom, first, begin(), begin(OTHER_RUN))
    second = take(mailroom, a_halt())

    assert [first.seq, *seqs(out), second.seq] == [1, 2, 3, 4]
    assert [envelope.message_id for envelope in out] == ["1.0", "1.1"]
    assert [envelope.position for envelope in out] == [0, 1]
    assert {envelope.causation_id for envelope in out} == {1}
    assert out[0].sender == "executive"
    assert out[0].correlation_id == RUN
    assert first.causation_id is None


def test_what_was_made_durable_survives_a_crash_and_the_rest_is_gone(house):
    mailroom = ready(house.open())
    kept = take(mailroom, a_halt("kept"))
    mailroom.ensure_durable(kept.seq)
    lost = take(mailroom, a_halt("lost"))

    again = house.crash(mailroom)

    assert seqs(again.unhandled(CEO)) == [kept.seq]
    assert take(again, a_halt("new")).seq == lost.seq


def test_making_mail_durable_makes_everything_before_it_durable(house):
    mailroom = ready(house.open())
    first = take(mailroom, a_halt())
    second = handle(mailroom, first, begin())[0]
    third = handle(mailroom, second, begin())[0]
    mailroom.ensure_durable(third.seq)

    again = house.crash(mailroom)

    assert [row.envelope.seq for row in again.handled(CEO)] == [first.seq, second.seq]
    assert seqs(again.unhandled(CEO)) == [third.seq]


def test_flush_keeps_what_was_handled_without_any_outgoing_mail(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())
    handle(mailroom, mail)
    mailroom.flush()

    again = house.crash(mailroom)

    assert again.unhandled(CEO) == ()
    assert [row.envelope.seq for row in again.handled(CEO)] == [mail.seq]


def test_the_fold_gives_back_what_was_recorded_to_the_letter(house):
    mailroom = ready(house.open())
    halt = take(mailroom, a_halt())
    due = NOW + timedelta(seconds=30)
    outgoing = [Outgoing(CEO, begin(), due), Outgoing(Recipient.TRADING, a_gate())]
    recorded = mailroom.record(handled=halt, at=NOW, settings_sha256=SETTINGS, outgoing=outgoing)
    mailroom.flush()

    (row,) = house.crash(mailroom).handled(CEO)

    assert row.envelope == halt
    assert row.outgoing == recorded
    assert row.outgoing[0].due_at == due
    assert row.outgoing[1].message.snapshot.quotes == a_gate().snapshot.quotes
    assert (row.handled_seq, row.handled_at, row.settings_sha256) == (1, NOW, SETTINGS)


def test_an_inbox_holds_what_is_addressed_to_it_in_order_timers_included(house):
    mailroom = ready(house.open())
    halt = take(mailroom, a_halt())
    due = NOW + timedelta(hours=1)
    mailroom.record(
        handled=halt,
        at=NOW,
        settings_sha256=SETTINGS,
        outgoing=[Outgoing(CEO, begin(), due), Outgoing(Recipient.TRADING, begin()), Outgoing(CEO, begin(OTHER_RUN))],
    )

    inbox = mailroom.unhandled(CEO)

    assert seqs(inbox) == [2, 4]
    assert inbox[0].due_at == due
    assert all(envelope.redelivered for envelope in inbox)
    assert seqs(mailroom.unhandled(Recipient.TRADING)) == [3]


def test_handling_mail_twice_fails_an_assertion(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())
    handle(mailroom, mail)

    with pytest.raises(AssertionError, match="handled already"):
        handle(mailroom, mail)


def test_handling_mail_twice_fails_an_assertion_after_a_crash_too(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())
    handle(mailroom, mail)
    mailroom.flush()
    again = ready(house.crash(mailroom))

    with pytest.raises(AssertionError, match="handled already"):
        handle(again, mail)


def test_handling_unknown_mail_fails_an_assertion(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())
    stranger = ready(house.crash(mailroom))

    with pytest.raises(AssertionError, match="unknown"):
        handle(stranger, mail)


def test_settings_must_be_remembered_before_they_are_named(house):
    mailroom = house.open()
    mail = take(mailroom, a_halt())

    with pytest.raises(AssertionError, match="settings"):
        handle(mailroom, mail)


def test_settings_are_given_back_by_their_hash(house):
    mailroom = ready(house.open())
    assert mailroom.settings_document(SETTINGS) == SETTINGS_TEXT
    mailroom.flush()

    again = house.crash(mailroom)

    assert again.settings_document(SETTINGS) == SETTINGS_TEXT
    assert house.counter().settings_document(SETTINGS) == SETTINGS_TEXT
    with pytest.raises(KeyError):
        again.settings_document(sha256_hex(b"others"))


def test_settings_under_a_wrong_hash_fail_an_assertion(house):
    with pytest.raises(AssertionError, match="hash"):
        house.open().remember_settings("0" * 64, SETTINGS_TEXT)


def test_a_naive_time_is_refused(house):
    mailroom = ready(house.open())
    naive = datetime(2025, 11, 10)  # noqa: DTZ001 - the point of the test

    with pytest.raises(ValueError, match="aware"):
        mailroom.receive(sender="stream", recipient=CEO, message=a_halt(), at=naive)
    with pytest.raises(ValueError, match="aware"):
        house.counter().post(message_id="a", recipient=CEO, message=a_halt(), at=naive)
    assert mailroom.unhandled(CEO) == ()


def test_mail_from_outside_with_a_known_id_is_taken_in_once(house):
    mailroom = ready(house.open())
    first = take(mailroom, a_halt(), message_id="frame-7")

    assert mailroom.receive(sender="stream", recipient=CEO, message=a_halt(), at=NOW, message_id="frame-7") is None
    mailroom.flush()
    assert mailroom.receive(sender="stream", recipient=CEO, message=a_halt(), at=NOW, message_id="frame-7") is None
    again = house.crash(mailroom)
    assert again.receive(sender="stream", recipient=CEO, message=a_halt(), at=NOW, message_id="frame-7") is None
    assert seqs(again.unhandled(CEO)) == [first.seq]


def test_a_frame_whose_mail_was_lost_in_a_crash_is_taken_in_again(house):
    mailroom = ready(house.open())
    take(mailroom, a_halt(), message_id="frame-7")

    again = house.crash(mailroom)

    assert take(again, a_halt(), message_id="frame-7").seq == 1


def test_a_letter_is_imported_once(house):
    counter = house.counter()
    assert counter.post(message_id="letter-1", recipient=CEO, message=a_halt(), at=NOW)
    mailroom = ready(house.open())

    (mail,) = mailroom.import_letters(NOW)

    assert (mail.message_id, mail.sender, mail.message) == ("letter-1", "operator", a_halt())
    assert mailroom.import_letters(NOW) == ()
    mailroom.flush()
    assert mailroom.import_letters(NOW) == ()
    assert house.crash(mailroom).import_letters(NOW) == ()


def test_a_letter_stands_among_the_letters_until_the_history_shows_it(house):
    counter = house.counter()
    counter.post(message_id="letter-1", recipient=CEO, message=a_halt(), at=NOW)
    mailroom = ready(house.open())
    (mail,) = mailroom.import_letters(NOW)
    mailroom.flush()
    in_the_inbox = counter.letters()
    handle(mailroom, mail)
    mailroom.flush()

    assert [(letter.message_id, letter.message) for letter in in_the_inbox] == [("letter-1", a_halt())]
    assert counter.letters() == ()
    assert [row.envelope.message_id for row in counter.history(CEO, run_id=None)] == ["letter-1"]


def test_a_letter_whose_import_was_lost_in_a_crash_is_imported_again(house):
    house.counter().post(message_id="letter-1", recipient=CEO, message=a_halt(), at=NOW)
    mailroom = ready(house.open())
    lost = mailroom.import_letters(NOW)

    again = house.crash(mailroom)

    assert [mail.message_id for mail in house.counter().letters()] == ["letter-1"]
    assert again.import_letters(NOW) == lost
    again.flush()
    assert seqs(again.unhandled(CEO)) == [1]


def test_a_letter_handed_in_twice_counts_once(house):
    counter = house.counter()

    assert counter.post(message_id="letter-1", recipient=CEO, message=a_halt(), at=NOW) is True
    assert counter.post(message_id="letter-1", recipient=CEO, message=a_halt(), at=NOW) is False

    assert len(counter.letters()) == 1


def test_a_letter_handed_in_again_after_its_import_counts_once(house):
    counter = house.counter()
    counter.post(message_id="letter-1", recipient=CEO, message=a_halt(), at=NOW)
    mailroom = ready(house.open())
    mailroom.import_letters(NOW)
    mailroom.flush()

    assert counter.post(message_id="letter-1", recipient=CEO, message=a_halt(), at=NOW) is False

    assert mailroom.import_letters(NOW) == ()
    assert len(mailroom.unhandled(CEO)) == 1


def test_a_letter_with_an_id_that_the_journal_knows_is_only_marked(house):
    mailroom = ready(house.open())
    take(mailroom, a_halt(), message_id="same")
    house.counter().post(message_id="same", recipient=CEO, message=a_halt(), at=NOW)

    assert mailroom.import_letters(NOW) == ()

    mailroom.flush()
    assert len(mailroom.unhandled(CEO)) == 1


def test_letters_keep_their_order(house):
    counter = house.counter()
    for number in range(5):
        counter.post(message_id=f"letter-{number}", recipient=CEO, message=a_halt(), at=NOW)

    waiting = counter.letters()
    imported = ready(house.open()).import_letters(NOW)

    assert [mail.message_id for mail in waiting] == [f"letter-{number}" for number in range(5)]
    assert [mail.message_id for mail in imported] == [f"letter-{number}" for number in range(5)]


def test_a_closed_run_is_not_folded_any_more_and_the_account_stream_always(house):
    mailroom = ready(house.open())
    halt = take(mailroom, a_halt())
    mine, other = handle(mailroom, halt, begin(), begin(OTHER_RUN))
    handle(mailroom, mine, opens_run=(RUN, "P", "0" * 64))
    handle(mailroom, other, opens_run=(OTHER_RUN, "Q", "1" * 64))
    last = take(mailroom, begin())
    handle(mailroom, last, closes_run=(RUN, "completed"))

    folded = [row.envelope.seq for row in mailroom.handled(CEO)]

    assert folded == [halt.seq, other.seq]


def test_mail_of_a_run_that_nobody_opened_is_folded(house):
    mailroom = ready(house.open())
    mail = take(mailroom, begin())
    handle(mailroom, mail)

    assert [row.envelope.seq for row in mailroom.handled(CEO)] == [mail.seq]


def test_a_run_that_is_closed_without_having_been_opened_is_not_folded(house):
    mailroom = ready(house.open())
    handle(mailroom, take(mailroom, a_halt()), closes_run=(RUN, "rejected"))
    handle(mailroom, take(mailroom, begin()))

    assert [row.envelope.correlation_id for row in mailroom.handled(CEO)] == [None]
    assert mailroom.door(run_id=RUN, call_seq=1).run_closed


def test_the_fold_is_in_the_order_of_handling_not_of_arrival(house):
    mailroom = ready(house.open())
    first, second, third = take(mailroom, a_halt()), take(mailroom, begin()), take(mailroom, a_halt())
    for mail in (third, first, second):
        handle(mailroom, mail)

    folded = list(mailroom.handled(CEO))

    assert [row.envelope.seq for row in folded] == [third.seq, first.seq, second.seq]
    assert [row.handled_seq for row in folded] == [1, 2, 3]


def test_the_register_shows_runs_opened_and_closed(house):
    mailroom = ready(house.open())
    handle(mailroom, take(mailroom, begin()), opens_run=(RUN, "P", "0" * 64))
    handle(mailroom, take(mailroom, begin(OTHER_RUN)), opens_run=(OTHER_RUN, "Q", "1" * 64))
    handle(mailroom, take(mailroom, begin()), closes_run=(RUN, "completed"))
    handle(mailroom, take(mailroom, begin()), closes_run=(RUN, "aborted"))
    mailroom.flush()

    first, second = house.counter().runs()

    assert (first.run_id, first.plan_id, first.plan_sha256) == (RUN, "P", "0" * 64)
    assert (first.opened_at, first.closed_at, first.outcome) == (NOW, NOW, "completed")
    assert (second.run_id, second.closed_at, second.outcome) == (OTHER_RUN, None, None)


def test_a_closed_run_is_not_opened_any_more(house):
    mailroom = ready(house.open())
    handle(mailroom, take(mailroom, a_halt()), closes_run=(RUN, "rejected"))
    mail = take(mailroom, begin())

    with pytest.raises(AssertionError, match="opened once"):
        handle(mailroom, mail, opens_run=(RUN, "P", "0" * 64))

    mailroom.flush()
    again = ready(house.crash(mailroom))
    with pytest.raises(AssertionError, match="opened once"):
        handle(again, mail, opens_run=(RUN, "P", "0" * 64))


def test_a_run_is_opened_once(house):
    mailroom = ready(house.open())
    handle(mailroom, take(mailroom, begin()), opens_run=(RUN, "P", "0" * 64))
    mailroom.flush()
    again = ready(house.crash(mailroom))
    mail = take(again, begin())

    with pytest.raises(AssertionError, match="opened once"):
        handle(again, mail, opens_run=(RUN, "P", "0" * 64))

    handle(again, mail)
    again.flush()
    assert len(house.counter().runs()) == 1


def test_history_shows_a_closed_run_and_the_account_apart(house):
    mailroom = ready(house.open())
    halt = take(mailroom, a_halt())
    (mail,) = handle(mailroom, halt, begin())
    handle(mailroom, mail, a_halt("second"), opens_run=(RUN, "P", "0" * 64), closes_run=(RUN, "completed"))
    mailroom.flush()
    counter = house.counter()

    of_run = list(counter.history(CEO, run_id=RUN))
    of_account = list(counter.history(CEO, run_id=None))

    assert [row.envelope.seq for row in of_run] == [mail.seq]
    assert [envelope.message for envelope in of_run[0].outgoing] == [a_halt("second")]
    assert [row.envelope.seq for row in of_account] == [halt.seq]
    assert list(counter.history(CEO, run_id=RUN, after=of_run[0].handled_seq)) == []
    assert list(counter.history(Recipient.TRADING, run_id=RUN)) == []


def test_an_attempt_is_counted_in_a_commit_of_its_own(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())
    mailroom.flush()

    assert mailroom.count_attempt(mail) == 1
    assert mailroom.count_attempt(mail) == 2

    again = house.crash(mailroom)
    (found,) = again.unhandled(CEO)
    assert found.attempts == 2
    assert again.count_attempt(found) == 3


def test_a_dead_letter_leaves_the_inbox_and_tells_the_ceo(house):
    mailroom = ready(house.open())
    mail = take(mailroom, begin(), recipient=Recipient.TRADING)

    notice = mailroom.dead_letter(mail, reason="no handler takes it", at=NOW)

    mailroom.ensure_durable(notice.seq)
    again = house.crash(mailroom)
    assert again.unhandled(Recipient.TRADING) == ()
    assert seqs(again.unhandled(CEO)) == [notice.seq]
    assert notice.message == DeadLetter(
        dead_seq=mail.seq, recipient="trading", message_type="BeginRun", about_run=RUN, reason="no handler takes it"
    )
    ((kept, reason),) = house.counter().dead_letters()
    assert kept == mail
    assert reason == "no handler takes it"


def test_a_dead_letter_and_its_notice_are_one_unit(house):
    mailroom = ready(house.open())
    mail = take(mailroom, begin())
    mailroom.flush()
    mailroom.dead_letter(mail, reason="failed", at=NOW)

    again = house.crash(mailroom)

    assert seqs(again.unhandled(CEO)) == [mail.seq]
    assert house.counter().dead_letters() == ()


def test_a_dead_letter_can_not_be_handled_any_more(house):
    mailroom = ready(house.open())
    mail = take(mailroom, begin())
    mailroom.dead_letter(mail, reason="failed", at=NOW)

    with pytest.raises(AssertionError, match="waiting"):
        handle(mailroom, mail)
    with pytest.raises(AssertionError, match="waiting"):
        mailroom.dead_letter(mail, reason="failed", at=NOW)
    with pytest.raises(AssertionError, match="waiting"):
        mailroom.count_attempt(mail)


def test_the_epoch_grows_with_every_holder(house):
    first = house.open()
    epoch = first.epoch
    first.close()

    assert house.open().epoch == epoch + 1


def test_a_second_holder_is_told_who_holds_it(house):
    house.open()

    with pytest.raises(LeaseHeld, match="held by"):
        house.open()


def test_the_counter_knows_the_holder(house):
    counter = house.counter()
    assert counter.holder() is None

    mailroom = house.open()
    assert counter.holder()

    mailroom.close()
    assert counter.holder() is None


def test_a_store_of_another_account_is_refused(house):
    house.open().close()

    with pytest.raises(StoreUnavailable, match="paper"):
        house.open(AccountName("live"))


def test_a_stale_epoch_commits_nothing(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())
    mailroom.flush()
    told = []
    mailroom.on_failure(told.append)
    house.steal_epoch()
    (lost,) = handle(mailroom, mail, begin())

    with pytest.raises(LeaseLost):
        mailroom.ensure_durable(lost.seq)

    with pytest.raises(LeaseLost):
        take(mailroom, a_halt())
    with pytest.raises(LeaseLost):
        mailroom.flush()
    assert len(told) == 1
    assert isinstance(told[0], LeaseLost)
    assert mailroom.door(run_id=RUN, call_seq=lost.seq).epoch != mailroom.epoch
    assert seqs(house.crash(mailroom).unhandled(CEO)) == [mail.seq]


def test_a_dead_writer_is_told_once_and_fails_everybody(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())
    mailroom.flush()
    told = []
    mailroom.on_failure(told.append)
    house.break_store()
    handle(mailroom, mail, begin())

    with pytest.raises(StoreUnavailable):
        mailroom.ensure_durable(mail.seq + 1)

    with pytest.raises(StoreUnavailable):
        mailroom.ensure_durable(mail.seq)
    with pytest.raises(StoreUnavailable):
        take(mailroom, a_halt())
    with pytest.raises(StoreUnavailable):
        mailroom.door(run_id=RUN, call_seq=1)
    late = []
    mailroom.on_failure(late.append)
    assert [type(error) for error in told] == [StoreUnavailable]
    assert [type(error) for error in late] == [StoreUnavailable]


def test_close_commits_what_is_pending(house):
    mailroom = ready(house.open())
    mail = take(mailroom, a_halt())

    mailroom.close()

    assert seqs(house.open().unhandled(CEO)) == [mail.seq]


def test_a_closed_mailroom_takes_nothing(house):
    mailroom = ready(house.open())
    mailroom.close()
    mailroom.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        take(mailroom, a_halt())


def test_waiting_for_mail_that_was_never_recorded_fails_an_assertion(house):
    mailroom = ready(house.open())

    with pytest.raises(AssertionError):
        mailroom.ensure_durable(1)


def test_the_settings_that_mail_was_handled_under_last_are_known(house):
    mailroom = ready(house.open())
    assert mailroom.last_settings() is None
    later = SETTINGS_TEXT.replace("{", "{ ", 1)
    mailroom.remember_settings(sha256_hex(later.encode()), later)
    handle(mailroom, take(mailroom, a_halt()))
    assert mailroom.last_settings() == SETTINGS_TEXT

    mail = take(mailroom, a_halt())
    mailroom.record(handled=mail, at=NOW, settings_sha256=sha256_hex(later.encode()), outgoing=())

    assert mailroom.last_settings() == later
    mailroom.flush()
    assert house.crash(mailroom).last_settings() == later


class TestTheDoor:
    def test_shows_nothing_in_an_empty_store(self, house):
        mailroom = house.open()

        facts = mailroom.door(run_id=RUN, call_seq=1)

        assert facts.epoch == mailroom.epoch
        assert (facts.approval, facts.gate) == (None, None)
        assert facts.trading is ACTIVE
        assert not any((facts.abort_asked, facts.run_closed, facts.call_committed))

    def test_reads_committed_evidence_only(self, house):
        mailroom = ready(house.open())
        submission = take(mailroom, a_submission())
        gate = take(mailroom, a_gate())

        before = mailroom.door(run_id=RUN, call_seq=gate.seq)
        mailroom.flush()
        after = mailroom.door(run_id=RUN, call_seq=gate.seq)

        assert (before.approval, before.gate, before.call_committed) == (None, None, False)
        assert after.approval == submission
        assert after.gate == gate
        assert after.call_committed
        assert mailroom.door(run_id=OTHER_RUN, call_seq=99).approval is None

    @pytest.mark.parametrize("word", [a_halt(), a_reduction()], ids=["halt", "reduction"])
    def test_a_resume_counts_when_it_is_committed_what_restricts_when_it_is_recorded(self, house, word):
        mailroom = ready(house.open())
        state = WORD_STATES[type(word)]
        take(mailroom, word)
        assert mailroom.door(run_id=RUN, call_seq=1).trading is state
        mailroom.flush()
        assert mailroom.door(run_id=RUN, call_seq=1).trading is state

        take(mailroom, ResumeTrading(by="mara"))
        assert mailroom.door(run_id=RUN, call_seq=1).trading is state
        mailroom.flush()
        assert mailroom.door(run_id=RUN, call_seq=1).trading is ACTIVE

        take(mailroom, word)
        assert mailroom.door(run_id=RUN, call_seq=1).trading is state

    @pytest.mark.parametrize("words", [(a_halt(), a_reduction()), (a_reduction(), a_halt())], ids=["after", "before"])
    @pytest.mark.parametrize("flushed", [0, 1, 2])
    def test_a_reduction_loosens_no_halt(self, house, words, flushed):
        mailroom = ready(house.open())
        for number, word in enumerate(words, start=1):
            take(mailroom, word)
            if number == flushed:
                mailroom.flush()

        assert mailroom.door(run_id=RUN, call_seq=1).trading is HALTED

    def test_letters_count_before_they_are_imported_in_their_order(self, house):
        mailroom = ready(house.open())
        counter = house.counter()

        def post(message_id, message):
            counter.post(message_id=message_id, recipient=CEO, message=message, at=NOW)
            return mailroom.door(run_id=RUN, call_seq=1).trading

        assert post("1", a_halt()) is HALTED
        assert post("2", a_reduction()) is HALTED
        assert post("3", ResumeTrading(by="mara")) is ACTIVE
        assert post("4", a_reduction()) is REDUCING
        mailroom.import_letters(NOW)
        assert mailroom.door(run_id=RUN, call_seq=1).trading is HALTED  # the resume isn't committed yet
        mailroom.flush()
        assert mailroom.door(run_id=RUN, call_seq=1).trading is REDUCING
        assert post("5", a_halt()) is HALTED
        assert post("6", ResumeTrading(by="mara")) is ACTIVE

    def test_letters_go_on_from_where_the_journal_is(self, house):
        mailroom = ready(house.open())
        take(mailroom, a_halt())
        mailroom.flush()

        house.counter().post(message_id="1", recipient=CEO, message=a_reduction(), at=NOW)

        assert mailroom.door(run_id=RUN, call_seq=1).trading is HALTED

    def test_an_abort_of_the_run_counts_from_the_letterbox_on(self, house):
        mailroom = ready(house.open())
        counter = house.counter()
        abort = AbortRun(run_id=RUN, by="mara")

        counter.post(message_id="1", recipient=CEO, message=abort, at=NOW)

        assert mailroom.door(run_id=RUN, call_seq=1).abort_asked
        assert not mailroom.door(run_id=OTHER_RUN, call_seq=1).abort_asked
        mailroom.import_letters(NOW)
        assert mailroom.door(run_id=RUN, call_seq=1).abort_asked
        mailroom.flush()
        assert mailroom.door(run_id=RUN, call_seq=1).abort_asked
        assert not mailroom.door(run_id=OTHER_RUN, call_seq=1).abort_asked

    def test_an_abort_counts_before_it_is_committed(self, house):
        mailroom = ready(house.open())

        take(mailroom, AbortRun(run_id=RUN, by="mara"))

        assert mailroom.door(run_id=RUN, call_seq=1).abort_asked
        assert not mailroom.door(run_id=OTHER_RUN, call_seq=1).abort_asked

    def test_the_newest_gate_counts(self, house):
        mailroom = ready(house.open())
        take(mailroom, a_gate(price="1"))
        newest = take(mailroom, a_gate(price="2"))
        take(mailroom, a_gate(OTHER_RUN, price="3"))
        mailroom.flush()

        assert mailroom.door(run_id=RUN, call_seq=1).gate == newest

    def test_the_approval_is_the_submission_that_opened_the_run(self, house):
        mailroom = ready(house.open())
        refused = take(mailroom, a_submission(nonce="1"))
        taken = take(mailroom, a_submission(nonce="2"))
        take(mailroom, a_submission(nonce="3"))
        handle(mailroom, refused)
        handle(mailroom, taken, opens_run=(RUN, "P", "0" * 64))
        mailroom.flush()

        assert mailroom.door(run_id=RUN, call_seq=1).approval == taken

    def test_evidence_that_was_put_aside_is_none_and_a_halt_put_aside_still_halts(self, house):
        mailroom = ready(house.open())
        halt, gate, plan = take(mailroom, a_halt()), take(mailroom, a_gate()), take(mailroom, a_submission())
        for mail in (halt, gate, plan):
            mailroom.dead_letter(mail, reason="failed", at=NOW)
        resume = take(mailroom, ResumeTrading(by="mara"))
        mailroom.dead_letter(resume, reason="failed", at=NOW)
        mailroom.flush()

        facts = mailroom.door(run_id=RUN, call_seq=1)

        assert facts.trading is HALTED
        assert (facts.approval, facts.gate) == (None, None)

    def test_a_closed_run_is_closed_once_that_is_committed(self, house):
        mailroom = ready(house.open())
        handle(mailroom, take(mailroom, begin()), opens_run=(RUN, "P", "0" * 64))
        handle(mailroom, take(mailroom, begin()), closes_run=(RUN, "completed"))
        assert not mailroom.door(run_id=RUN, call_seq=1).run_closed

        mailroom.flush()

        assert mailroom.door(run_id=RUN, call_seq=1).run_closed


def test_every_kind_of_message_field_comes_back(house):
    mailroom = ready(house.open())
    messages = [
        FillBusted(
            run_id=RUN,
            leg=LegId("S01"),
            client_order_id=ClientOrderId("c"),
            event="trade_bust",
            qty=None,
            price_usd=None,
        ),
        PlanQueued(queued_run_id=RUN, plan_id=PlanId("Pläne ∑ \x00 \n")),
        BeginRun(run_id=RUN, plan_id=PlanId("'; DROP TABLE mail; --")),
    ]
    halt = take(mailroom, HaltTrading(reason="\N{SNOWMAN}", by="mara"))
    mailroom.record(handled=halt, at=NOW, settings_sha256=SETTINGS, outgoing=to_ceo(*messages))
    mailroom.flush()

    again = house.crash(mailroom)

    assert [envelope.message for envelope in again.unhandled(CEO)] == messages
    assert house.counter().verify_chain() == 1
