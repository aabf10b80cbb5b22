"""`python -m paper_alpaca`: the local Alpaca alone."""

import argparse
import sys

from paper_alpaca.state import StateError


def main(arguments: list[str] | None = None) -> int:
    """Run the server; 0 after a clean stop, 2 for a state file or an address that can't be used."""
    parser = argparse.ArgumentParser(prog="paper_alpaca", description="A local Alpaca to try things out with.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--state", default=None, help="YAML file: cash, positions, prices, clock, fills")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    given = parser.parse_args(arguments)

    from paper_alpaca.server import serve

    try:
        serve(given.host, given.port, given.state, given.seed, stop_with_stdin=given.stop_with_stdin)
    except (StateError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
