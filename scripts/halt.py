"""`firm halt`: nothing new leaves from now on, or only SELLs; cancels still pass. Holds until `firm resume`."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from scripts.control_letter import post_account_word
from scripts.surroundings import person

if TYPE_CHECKING:
    from messages.control import TradingWord

REASON_MAX_LENGTH = 500


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("--reason", default="asked for by the operator", help="stands in the log and in firm status")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--cancel-orders", action="store_true", help="also cancel what is open")
    how.add_argument("--reducing", action="store_true", help="let SELLs pass, and refuse BUYs; loosens no halt")


def run(given: Namespace) -> int:
    """Halt trading, or let it only reduce."""
    from messages.control import HaltTrading, ReduceTrading

    reason = given.reason[:REASON_MAX_LENGTH]
    word: TradingWord = HaltTrading(reason=reason, by=person(), cancel_orders=given.cancel_orders)
    said = "trading is halted: nothing new leaves before firm resume"
    if given.reducing:
        word = ReduceTrading(reason=reason, by=person())
        said = "trading is reducing: SELLs leave and BUYs don't before firm resume; a halt that stands goes on"
    return post_account_word("halt", word, said)
