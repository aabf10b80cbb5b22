"""`scripts/bench [NAME ...]`: run benchmarks and print their figures, the target beside each."""

import argparse
import importlib
import inspect
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAMES = ("gate", "requests", "pacing", "footprint", "startup", "mailroom", "recovery", "compliance", "sizing")
TARGETS = "targets"


def main(argv: list[str] | None = None) -> int:
    """Run the named benchmarks, all of them without a name."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Benchmarks; ratios are of runs made side by side."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each named benchmark, instead of its own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/performance.md")
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in NAMES]
    if unknown:
        parser.error(f"expected one of {', '.join(NAMES)}, was {', '.join(unknown)}")
    if chosen.rounds is not None and (chosen.rounds < 1 or not chosen.names):
        parser.error("--rounds: expected 1 or more, and the benchmarks named that it is for")
    modules = {name: importlib.import_module(f"scripts.benches.{name}") for name in chosen.names or NAMES}
    for name, module in tuple(modules.items()):
        why_not = module.why_not() if hasattr(module, "why_not") else None
        if why_not is not None:
            sys.stderr.write(f"scripts/bench: {why_not}\n")
            del modules[name]
            if chosen.names:
                return 2
    benches = {name: module.run for name, module in modules.items()}
    given = {} if chosen.rounds is None else {"rounds": chosen.rounds}
    without = [name for name, run in benches.items() if given and "rounds" not in inspect.signature(run).parameters]
    if without:
        parser.error(f"--rounds: {', '.join(without)} has a fixed number")
    if chosen.markdown:
        sys.stdout.write(f"{surroundings()}\n")
    figures: dict[str, Any] = {}
    for name, run in benches.items():
        sys.stderr.write(f"bench {name} ...\n")
        begun = time.monotonic()
        figures[name] = run(**given)
        sys.stderr.write(f"bench {name}: {time.monotonic() - begun:.1f} s\n")
        show = markdown if chosen.markdown else plain
        sys.stdout.write(f"{show(name, figures[name])}\n")
        sys.stdout.flush()
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """A benchmark's figures by dotted name, each with its target or nothing.

    A target names its figure by the whole dotted name or by the end of it.

    Raises:
        ValueError: A target names no figure.
    """
    targets = dict(figures.get(TARGETS, {}))
    used = set()
    for name, value in _flat({key: value for key, value in figures.items() if key != TARGETS}):
        said = [key for key in targets if name == key or name.endswith(f".{key}")]
        used.update(said)
        yield name, value, str(targets[max(said, key=len)]) if said else ""
    if used != targets.keys():
        raise ValueError(f"expected a figure for each target, none for {sorted(targets.keys() - used)}")


def _flat(figures: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def plain(name: str, figures: Mapping[str, Any]) -> str:
    """Figures for a terminal."""
    lines = [f"  {row:<44} {value!s:<14} {target}".rstrip() for row, value, target in rows(figures)]
    return "\n".join([name, *lines])


def markdown(name: str, figures: Mapping[str, Any]) -> str:
    """Figures as a table for the docs."""
    lines = [f"| {row} | {value} | {target} |" for row, value, target in rows(figures)]
    return "\n".join([f"### {name}", "", "| figure | value | target |", "|---|---|---|", *lines, ""])


def surroundings() -> str:
    """When and where: one line above the tables."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    load = os.getloadavg()[0]
    return (
        f"Run {day}: {os.cpu_count()} cores, load {load:.1f} when it began, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release()}.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
