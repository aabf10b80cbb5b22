"""`firm tail`: the log, readable; follows it across rotations."""

import json
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque

from departments.office.log_reading import LEVELS, LogFollower, readable, record_of
from departments.office.log_writer import generation
from scripts.failure import Code, Failure
from scripts.surroundings import firm_home

POLL_S = 0.15
LINES_BEFORE_FOLLOWING = 50


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", type=_count, metavar="N", help="the last N lines only (with -f: 50)")
    parser.add_argument("--run", metavar="R", help="of this run only; enough of its beginning will do")
    parser.add_argument("--department", metavar="D", help="of this department only")
    parser.add_argument(
        "--level", choices=list(LEVELS), default="debug", metavar="L", help=f"at least: {', '.join(LEVELS)}"
    )
    parser.add_argument("--json", action="store_true", help="the lines as they stand in the file")


def run(given: Namespace) -> int:
    """Show the log; with -f until interrupted."""
    path = firm_home() / "logs" / "firm.jsonl"
    if not given.follow and not path.exists() and not generation(path, 1).exists():
        raise Failure(Code.BAD_INPUT, f"{path}: no such file, expected a log: no daemon has run here yet")
    follower = LogFollower(path)
    keep = given.lines if given.lines is not None or not given.follow else LINES_BEFORE_FOLLOWING
    shown: deque[str] = deque(maxlen=keep)
    for line in follower.poll():
        if (text := _shown(line, given)) is not None:
            shown.append(text)
    sys.stdout.writelines(f"{text}\n" for text in shown)
    sys.stdout.flush()
    never = threading.Event()
    while given.follow:
        never.wait(POLL_S)
        for line in follower.poll():
            if (text := _shown(line, given)) is not None:
                sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    return Code.DONE


def _shown(line: str, given: Namespace) -> str | None:
    """A line as it is shown; None if it isn't asked for."""
    record = record_of(line)
    if record is None:
        return None
    if given.run is not None and not str(record.get("run_id") or "").startswith(given.run):
        return None
    if given.department is not None and record.get("department") != given.department:
        return None
    if LEVELS.get(str(record.get("level")), LEVELS["critical"]) < LEVELS[given.level]:
        return None
    if given.json:
        return json.dumps(record, ensure_ascii=False)
    return readable(record, colour=sys.stdout.isatty())


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"expected a number of lines, was {text!r}")
    return int(text)
