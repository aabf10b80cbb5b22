"""Waiting for the market costs looks and no mail: each run is answered once, when the broker's clock says open."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from departments.trading import opening as opening_module
from departments.trading.broker import BrokerUnavailable, KeysRefused
from departments.trading.opening import Opening
from departments.trading.turns import Turns
from messages.broker import BrokerJudged, FetchSnapshot, SnapshotFetched, StopWatching
from messages.envelope import Envelope
from messages.message import Message
from messages.orders import SnapshotPurpose
from messages.snapshots import SnapshotPart
from messages.values import Recipient, RunId
from tests.builders.plans import NOW, some_settings
from tests.fakes.broker import OPENED, FakeExchange

RUN, OTHER = RunId("R1"), RunId("R2")
LONG_S = 60.0


@dataclass
class Watch:
    """An `Opening` whose looks are made one by one, whenever the test says."""

    exchange: FakeExchange = field(default_factory=lambda: FakeExchange(is_open=False))
    now_s: float = 0.0
    answers: list[tuple[int, Message]] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    judged: list[BrokerJudged] = field(default_factory=list)
    seq: int = 0

    def __post_init__(self):
        self.turns = Turns(requests_per_minute=200, monotonic=lambda: self.now_s)
        self.client = self.exchange.client()
        self.opening = Opening(
            turns=self.turns,
            settings=some_settings(),
            now=lambda: NOW,
            answer=lambda envelope, message: self.answers.append((envelope.seq, message)),
            drop=lambda envelope: self.dropped.append(envelope.seq),
            judge=self.judged.append,
        )

    def mail(self, message):
        self.seq += 1
        return Envelope(
            seq=self.seq,
            message_id=str(self.seq),
            sender="trading",
            recipient=Recipient.BROKER,
            sent_at=NOW,
            message=message,
        )

    def wait(self, run_id=RUN, ask=1):
        call = FetchSnapshot(
            run_id=run_id,
            ask=ask,
            purpose=SnapshotPurpose.OPEN,
            parts=(SnapshotPart.CLOCK,),
            symbols=(),
            run_orders_after=NOW,
        )
        self.opening.wait(self.mail(call), call)

    def stop(self, run_id=RUN):
        call = StopWatching(run_id=run_id)
        self.opening.stop(self.mail(call), call)

    def look(self, after_s=LONG_S):
        """Whatever is due after so long is done."""
        self.now_s += after_s
        job = self.turns.next()
        job.work(self.client, job)

    @property
    def is_watching(self):
        return self.turns.health().waiting > 0


def test_a_weekend_of_looks_is_one_answer():
    watch = Watch()
    watch.wait()
    for _ in range(2_000):
        watch.look()

    assert watch.answers == []

    watch.exchange.is_open = True
    watch.look()

    ((seq, fetched),) = watch.answers
    assert seq == 1
    assert isinstance(fetched, SnapshotFetched)
    assert (fetched.run_id, fetched.ask, fetched.purpose) == (RUN, 1, SnapshotPurpose.OPEN)
    assert fetched.snapshot.clock.is_open
    assert fetched.snapshot.begun_at == NOW
    assert not watch.is_watching
    assert watch.exchange.count("clock") == 2_001
    assert watch.dropped == []
    assert watch.judged == []


def test_a_watch_that_answers_while_the_market_is_closed_would_be_seen(monkeypatch):
    monkeypatch.setattr(opening_module, "why_closed", lambda _clock, _seconds: None)
    watch = Watch()
    watch.wait()
    watch.look()

    assert watch.answers != []


def test_an_open_market_is_told_with_the_first_look():
    watch = Watch(FakeExchange(is_open=True))
    watch.wait()
    watch.look(after_s=0)

    assert len(watch.answers) == 1


def test_a_market_that_closes_too_soon_is_waited_out():
    close = OPENED + timedelta(hours=6.5)
    watch = Watch(FakeExchange(is_open=True, now=close - timedelta(seconds=299)))
    watch.wait()
    watch.look()

    assert watch.answers == []
    assert watch.is_watching


def test_the_next_look_comes_no_later_than_the_poll():
    watch = Watch()
    watch.wait()
    watch.look(after_s=0)
    watch.exchange.is_open = True
    watch.look(after_s=10.0)

    assert len(watch.answers) == 1


def test_a_call_made_anew_takes_the_old_ones_place_and_is_looked_for_at_once():
    watch = Watch()
    watch.wait(ask=1)
    watch.look()
    watch.exchange.is_open = True
    watch.wait(ask=2)
    watch.look(after_s=0)

    assert watch.dropped == [1]
    assert [(seq, fetched.ask) for seq, fetched in watch.answers] == [(2, 2)]

    watch.look()  # what was set up for the first call comes to nothing

    assert watch.exchange.count("clock") == 2
    assert not watch.is_watching


def test_several_runs_wait_on_one_clock():
    watch = Watch()
    watch.wait(RUN)
    watch.wait(OTHER)
    watch.look(after_s=0)  # the first one's look comes to nothing
    watch.look(after_s=0)
    watch.exchange.is_open = True
    watch.look()

    assert watch.exchange.count("clock") == 2
    assert sorted(fetched.run_id for _, fetched in watch.answers) == [RUN, OTHER]


def test_a_run_that_is_over_is_waited_for_no_longer():
    watch = Watch()
    watch.wait()
    watch.look()
    watch.stop()
    watch.exchange.is_open = True
    watch.look()

    assert watch.dropped == [1, 2]
    assert watch.answers == []
    assert watch.exchange.count("clock") == 1
    assert not watch.is_watching


def test_a_word_to_stop_for_a_run_that_never_waited_is_only_noted():
    watch = Watch()
    watch.stop()

    assert watch.dropped == [1]
    assert not watch.is_watching


@pytest.mark.parametrize("error", [BrokerUnavailable("http 503"), KeysRefused(401, "unauthorized.")])
def test_a_clock_that_cannot_be_read_is_told_once_and_read_again(error):
    watch = Watch()
    watch.exchange.plan("clock", error, times=50)
    watch.wait()
    watch.look()
    assert watch.judged == []

    for _ in range(49):
        watch.look()
    assert watch.judged == [BrokerJudged(stream=None, rest_ok=False, detail=str(error))]

    watch.look()
    watch.look()
    assert [one.rest_ok for one in watch.judged] == [False, True]

    watch.exchange.is_open = True
    watch.look()
    assert len(watch.answers) == 1
