"""`firm status`: the firm, or one run: its phase, its legs, what it waits for."""

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from scripts.failure import Code, Failure, code_of
from scripts.proposals import waiting_proposals
from scripts.surroundings import find_run, firm_settings, known_runs, now, open_counter, the_account

if TYPE_CHECKING:
    from messages.mailroom.port import Counter


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="its id, or enough of its beginning; default: the firm")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(given: Namespace) -> int:
    """Show it; of one run the exit code tells how it does."""
    account = the_account(firm_settings())
    with open_counter(account) as counter:
        if given.run is not None:
            view = run_view(counter, given.run)
            if given.json:
                print(json.dumps(view, indent=2))
            else:
                from scripts.run_tables import print_run

                print_run(view)
            return code_of(view)
        from departments.executive.report import view_firm

        firm = with_words_not_yet_read(view_firm(counter), counter)
        firm["proposals"] = waiting_proposals(account, known_runs(counter), now())
    firm["account"] = firm.get("account") or account
    if given.json:
        print(json.dumps(firm, indent=2))
    else:
        from scripts.run_tables import print_firm

        print_firm(firm)
    return Code.DONE


def with_words_not_yet_read(firm: dict[str, Any], counter: "Counter") -> dict[str, Any]:
    """The firm, changed by the words in the letterbox: the last door heeds them before any daemon has read them."""
    from messages.control import HaltTrading, ReduceTrading, ResumeTrading, state_after
    from messages.values import TradingState

    for letter in counter.letters():
        word, before = letter.message, TradingState(firm["trading_state"])
        after = state_after([word], before)
        match word:
            case ResumeTrading():
                said = {"trading_state": after.value, "trading_because": None, "trading_set_by": None}
            case HaltTrading() | ReduceTrading() if after is not before:
                said = {"trading_state": after.value, "trading_because": word.reason, "trading_set_by": word.by}
            case _:
                continue
        firm = firm | said
    return firm


def run_view(counter: "Counter", typed: str) -> dict[str, Any]:
    """The contract's view of the run that a person means.

    Raises:
        Failure: There is no such run.
    """
    from departments.executive.report import view_run

    run_id = find_run(counter, typed)
    view = view_run(counter, run_id)
    if view is None:
        raise Failure(Code.BAD_INPUT, f"firm: {run_id} was handed in and left no trace, see firm status")
    return view
