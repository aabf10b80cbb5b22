"""`firm verify`: checks the journal's hash chain from the first row."""

from argparse import ArgumentParser, Namespace

from scripts.failure import Code, Failure
from scripts.surroundings import open_counter


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes: nothing."""
    del parser


def run(given: Namespace) -> int:
    """Check; 1 if a row doesn't follow from the one before it."""
    from messages.mailroom.port import JournalBroken

    del given
    with open_counter() as counter:
        try:
            rows = counter.verify_chain()
        except JournalBroken as error:
            raise Failure(Code.FOUND, f"firm verify: the journal is broken: {error}") from None
    print(f"the journal is whole: {rows} rows follow from each other")
    return Code.DONE
