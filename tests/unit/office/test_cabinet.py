"""Proposals on paper: filed once their mail is durable, whole, for their owner alone, and never over another file."""

import queue
import stat
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from departments.office.cabinet import Cabinet, put
from departments.office.clock import DrivenClock
from messages.control import ResumeTrading
from messages.mailroom.port import LeaseLost
from messages.proposals import FileProposal, ProposalFiled, ProposalNotFiled
from messages.values import PlanId, Recipient, sha256_hex
from tests.builders.plans import NOW, a_submission, some_settings
from tests.fakes.mailroom import FakeMailroom

LIMIT_S = 10.0
TEXT = "plan_id: EXITS_20251110_1000\n"
ASKED = FileProposal(plan_id=PlanId("EXITS_20251110_1000"), plan_text=TEXT, expires_at=NOW + timedelta(hours=1))


class Room:
    """A cabinet, its mailroom, and what it answered."""

    def __init__(self, folder: Path, *, mailroom=None, approve=None) -> None:
        settings = some_settings()
        self.mailroom = mailroom or FakeMailroom()
        self.mailroom.remember_settings(settings.sha256(), settings.document())
        self.answers: queue.Queue = queue.Queue()
        self.failures: queue.Queue = queue.Queue()
        self.cabinet = Cabinet(
            folder=folder,
            mailroom=self.mailroom,
            deliver=self.answers.put,
            clock=DrivenClock(NOW),
            settings_sha256=settings.sha256(),
            on_failure=self.failures.put,
            approve=approve,
        )

    def write(self, message=ASKED):
        return self.mailroom.receive(sender="operations", recipient=Recipient.CABINET, message=message, at=NOW)

    def file(self, message=ASKED):
        self.cabinet.submit(self.write(message))
        return self.answer()

    def answer(self):
        return self.answers.get(timeout=LIMIT_S).message


@contextmanager
def a_room(folder, **more):
    room = Room(folder, **more)
    room.cabinet.start()
    try:
        yield room
    finally:
        room.cabinet.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "proposals"


def test_a_proposal_is_filed_for_its_owner_alone(folder):
    with a_room(folder) as room:
        answer = room.file()

    path = folder / "EXITS_20251110_1000.yaml"
    assert isinstance(answer, ProposalFiled)
    assert (answer.file, answer.approved_by) == (path.name, None)
    assert answer.plan_sha256 == sha256_hex(path.read_bytes())
    assert path.read_text() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == [path]


def test_it_is_filed_when_its_mail_is_durable(folder):
    with a_room(folder) as room:
        room.file()

        assert room.mailroom.pending_units <= 1, "only the answer may still be on its way"


def test_filed_and_not_yet_recorded_it_is_filed_again_to_the_same_effect(folder):
    put(folder, "EXITS_20251110_1000.yaml", TEXT)
    before = (folder / "EXITS_20251110_1000.yaml").stat()

    with a_room(folder) as room:
        answer = room.file()

    after = (folder / "EXITS_20251110_1000.yaml").stat()
    assert isinstance(answer, ProposalFiled)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_file_of_that_name_is_never_overwritten(folder):
    put(folder, "EXITS_20251110_1000.yaml", "mine\n")

    with a_room(folder) as room:
        answer = room.file()

    assert isinstance(answer, ProposalNotFiled)
    assert "is there already, with other contents" in answer.reason
    assert (folder / "EXITS_20251110_1000.yaml").read_text() == "mine\n"
    assert len(list(folder.iterdir())) == 1


def test_an_expired_proposal_is_not_filed(folder):
    with a_room(folder) as room:
        answer = room.file(ASKED.model_copy(update={"expires_at": NOW}))

    assert isinstance(answer, ProposalNotFiled)
    assert answer.reason.startswith("it expired at ")
    assert not folder.exists()


def test_a_folder_that_cant_be_made_is_said(folder):
    folder.parent.mkdir()
    folder.write_text("no folder")

    with a_room(folder) as room:
        answer = room.file()

    assert isinstance(answer, ProposalNotFiled)
    assert str(folder) in answer.reason


def test_mail_that_comes_twice_is_filed_once(folder):
    with a_room(folder) as room:
        envelope = room.write()
        room.cabinet.submit(envelope)
        room.cabinet.submit(envelope)
        room.answer()
        room.file(ASKED.model_copy(update={"plan_id": PlanId("EXITS_20251110_1530")}))

        assert room.answers.empty()


def test_what_it_approves_goes_to_the_ceo_with_the_word_of_it(folder):
    letter = a_submission()
    with a_room(folder, approve=lambda _path, _text: letter) as room:
        told, handed_in = room.file(), room.answer()

    assert isinstance(told, ProposalFiled)
    assert told.approved_by == letter.approval.approved_by
    assert handed_in == letter


def test_what_it_cant_approve_waits_for_a_person(folder):
    with a_room(folder, approve=lambda _path, _text: "it has no key") as room:
        told, why = room.file(), room.answer()

    assert isinstance(told, ProposalFiled)
    assert told.approved_by is None
    assert isinstance(why, ProposalNotFiled)
    assert why.reason.endswith("it has no key")


def test_only_proposals_are_taken(folder):
    room = Room(folder)

    with pytest.raises(TypeError, match="ResumeTrading"):
        room.cabinet.submit(room.write(ResumeTrading(by="me")))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lost_lease_stops_the_firm_and_files_nothing(folder, monkeypatch):
    with a_room(folder) as room:
        monkeypatch.setattr(room.mailroom, "ensure_durable", _lost)
        room.cabinet.submit(room.write())

        assert isinstance(room.failures.get(timeout=LIMIT_S), LeaseLost)
    assert not folder.exists()


def _lost(_seq: int) -> None:
    raise LeaseLost("expected epoch 1, was 2")


def test_a_file_written_in_place_would_be_seen(folder, monkeypatch):
    """The planted fault: without the link that refuses, the other file would be lost."""
    put(folder, "a.yaml", "mine\n")
    monkeypatch.setattr("departments.office.cabinet.os.link", lambda draft, path: path.write_bytes(draft.read_bytes()))

    put(folder, "a.yaml", "theirs\n")

    assert (folder / "a.yaml").read_text() != "mine\n"
