"""`firm halt`: nothing new leaves from now on; cancels still pass. Holds until `firm resume`, restarts included."""

from argparse import ArgumentParser, Namespace

from scripts.control_letter import post_account_word
from scripts.surroundings import person


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("--reason", default="asked for by the operator", help="stands in the log and in firm status")
    parser.add_argument("--cancel-orders", action="store_true", help="also cancel what is open")


def run(given: Namespace) -> int:
    """Halt trading."""
    from messages.control import HaltTrading

    letter = HaltTrading(reason=given.reason[:500], by=person(), cancel_orders=given.cancel_orders)
    return post_account_word("halt", letter, "trading is halted: nothing new leaves before firm resume")
