"""Processes to be killed: `hold` keeps a mailroom open, `write` records without end, `post` hands letters in.

What is durable is said on stdout, a line each, after it became so; the parent kills at will and compares.
"""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from messages.control import BeginRun, HaltTrading
from messages.envelope import Outgoing
from messages.mailroom.counter import SqlCounter
from messages.mailroom.mailroom import SqlMailroom
from messages.values import AccountName, PlanId, Recipient, RunId, sha256_hex

SETTINGS = sha256_hex(b"{}")
RUN = RunId("R" + "1" * 20)
PATIENCE_S = 60.0


def url(home: Path) -> str:
    return f"sqlite:///{home / 'firm.db'}"


def now() -> datetime:
    return datetime.now(UTC)


def open_mailroom(home: Path) -> SqlMailroom:
    mailroom = SqlMailroom.open(
        url=url(home), home=home, account=AccountName("paper"), now=now, lazy_commit_ms=5, patience_s=PATIENCE_S
    )
    mailroom.remember_settings(SETTINGS, "{}")
    return mailroom


def open_counter(home: Path) -> SqlCounter:
    return SqlCounter.open(url=url(home), home=home, account=AccountName("paper"), patience_s=PATIENCE_S)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def hold(home: Path) -> None:
    mailroom = open_mailroom(home)
    say(f"epoch {mailroom.epoch}")
    threading.Event().wait()


def write(home: Path) -> None:
    """Handle what waits, letters first; each mail gives two, every third is made durable and said."""
    mailroom = open_mailroom(home)
    say(f"epoch {mailroom.epoch}")
    waiting = list(mailroom.unhandled(Recipient.EXECUTIVE))
    if not waiting:
        seed = mailroom.receive(
            sender="operator", recipient=Recipient.EXECUTIVE, message=begin(), at=now(), message_id="seed"
        )
        if seed is not None:
            waiting.append(seed)
    count = 0
    while waiting:
        mail = waiting.pop(0)
        outgoing = [Outgoing(Recipient.EXECUTIVE, begin()), Outgoing(Recipient.TRADING, begin())]
        kept, effect = mailroom.record(handled=mail, at=now(), settings_sha256=SETTINGS, outgoing=outgoing)
        waiting.append(kept)
        count += 1
        if count % 3 == 0:
            mailroom.ensure_durable(effect.seq)
            say(f"durable {mail.seq} {effect.seq}")
        for letter in mailroom.import_letters(now()) if count % 5 == 0 else ():
            mailroom.record(handled=letter, at=now(), settings_sha256=SETTINGS, outgoing=[])


def begin() -> BeginRun:
    return BeginRun(run_id=RUN, plan_id=PlanId("P"))


def post(home: Path, name: str) -> None:
    counter = open_counter(home)
    number = 0
    while True:
        message_id = f"{name}-{number}"
        counter.post(
            message_id=message_id, recipient=Recipient.EXECUTIVE, message=HaltTrading(reason="x", by=name), at=now()
        )
        say(f"posted {message_id}")
        number += 1


if __name__ == "__main__":
    {"hold": hold, "write": write, "post": post}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
