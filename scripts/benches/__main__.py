"""`scripts/bench [NAME ...] [--json FILE]`: run benchmarks and print their figures."""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("gate", "mailroom", "compliance")


def main(argv: list[str] | None = None) -> int:
    """Run the named benchmarks, all of them without a name."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Benchmarks; ratios are of runs made side by side."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in NAMES]
    if unknown:
        parser.error(f"expected one of {', '.join(NAMES)}, was {', '.join(unknown)}")
    figures: dict[str, Any] = {}
    for name in chosen.names or NAMES:
        sys.stderr.write(f"bench {name} ...\n")
        begun = time.monotonic()
        figures[name] = importlib.import_module(f"scripts.benches.{name}").run()
        sys.stderr.write(f"bench {name}: {time.monotonic() - begun:.1f} s\n")
        sys.stdout.write(f"{name}\n{_lines(figures[name])}\n")
        sys.stdout.flush()
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _lines(figures: dict[str, Any], indent: str = "  ") -> str:
    rows = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows.append(f"{indent}{name}\n{_lines(value, indent + '  ')}")
        else:
            rows.append(f"{indent}{name:<28} {value}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
