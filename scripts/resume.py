"""`firm resume`: trade again; a halted run goes on where it was."""

from argparse import ArgumentParser, Namespace

from scripts.control_letter import post_account_word
from scripts.surroundings import person


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes: nothing."""
    del parser


def run(given: Namespace) -> int:
    """Resume trading."""
    from messages.control import ResumeTrading

    del given
    return post_account_word("resume", ResumeTrading(by=person()), "trading is resumed")
