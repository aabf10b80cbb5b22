"""`firm paper-alpaca`: the local Alpaca alone; prints `listening on http://H:P` once it does."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from scripts.failure import Code, Failure


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("--host", default="127.0.0.1", metavar="H")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="default: a free one")
    parser.add_argument("--state", type=Path, metavar="FILE.yaml", help="the account to begin with")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is drawn")


def run(given: Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from paper_alpaca.server import serve
    from paper_alpaca.state import StateError

    try:
        serve(given.host, given.port, given.state, given.seed)
    except (StateError, OverflowError) as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    except OSError as error:
        where = f"{given.host}:{given.port}"
        raise Failure(Code.BAD_INPUT, f"firm paper-alpaca: {where}: {error.strerror or error}") from None
    return Code.DONE
