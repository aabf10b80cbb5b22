"""`firm abort`: ends a run: cancel what is open, confirm, verify, end. What was sold stays sold."""

from argparse import ArgumentParser, Namespace

from scripts.control_letter import open_run, post
from scripts.failure import Code
from scripts.surroundings import open_counter, person


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("run", metavar="RUN", help="its id, or enough of its beginning")


def run(given: Namespace) -> int:
    """Abort the run; 2 if there is no such run, or it has ended."""
    from messages.control import AbortRun

    with open_counter() as counter:
        run_id = open_run(counter, given.run)
        print(f"run {run_id} is being aborted")
        post(counter, "abort", AbortRun(run_id=run_id, by=person()))
    return Code.DONE
