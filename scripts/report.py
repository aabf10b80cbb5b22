"""`firm report`: what happened in a run: legs, prices, slippage, times, money."""

import json
from argparse import ArgumentParser, Namespace

from scripts.failure import Code
from scripts.status import run_view
from scripts.surroundings import open_counter


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("run", metavar="RUN", help="its id, or enough of its beginning")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(given: Namespace) -> int:
    """Show it."""
    with open_counter() as counter:
        view = run_view(counter, given.run)
    if given.json:
        print(json.dumps(view, indent=2))
    else:
        from scripts.run_tables import print_report

        print_report(view)
    return Code.DONE
