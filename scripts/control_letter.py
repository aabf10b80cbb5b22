"""Hands the operator's words in: letters to the CEO, durable whether a daemon runs or not."""

from typing import TYPE_CHECKING
from uuid import uuid4

from scripts.failure import Code, Failure
from scripts.surroundings import find_run, known_runs, now, open_counter

if TYPE_CHECKING:
    from messages.mailroom.port import Counter
    from messages.message import Message
    from messages.values import RunId


def post(counter: "Counter", word: str, message: "Message") -> None:
    """Hand one word in, under an id of its own, and say whether somebody will read it now."""
    from messages.values import Recipient

    counter.post(message_id=f"{word}:{uuid4().hex}", recipient=Recipient.EXECUTIVE, message=message, at=now())
    if counter.holder() is None:
        print("no daemon runs; it holds from the next start on")


def open_run(counter: "Counter", typed: str) -> "RunId":
    """The run that a person means, if it has not ended.

    Raises:
        Failure: There is none, or it has ended.
    """
    run_id = find_run(counter, typed)
    outcome = known_runs(counter)[run_id]
    if outcome is not None:
        raise Failure(Code.BAD_INPUT, f"firm: run {run_id} has ended ({outcome}), expected one that goes on")
    return run_id


def post_account_word(word: str, message: "Message", said: str) -> int:
    """Hand in a word about the account."""
    with open_counter() as counter:
        print(said)
        post(counter, word, message)
    return Code.DONE
