"""Draws the two-phase machine into docs/two_phase_machine.md from the table above its code."""

import re
import sys
from pathlib import Path

from departments.executive import execution
from departments.executive.phases import PHASE_NAMES

TARGET = Path(__file__).resolve().parent.parent / "docs" / "two_phase_machine.md"
RULE = re.compile(r"^ {4}-{5,}")
PHASE = re.compile(r"\b([A-Z][A-Za-z]+)(?:\(([a-z_ |]+)\))?")


def rows() -> list[tuple[str, str, str]]:
    """Read (phase, event, next) out of the machine's docstring."""
    lines = iter((execution.__doc__ or "").splitlines())
    for line in lines:
        if RULE.match(line):
            break
    table = []
    for line in lines:
        if not line.startswith("    "):
            break
        phase, event, after = line[4:18].strip(), line[18:59].strip(), line[59:].strip()
        table.append((phase, event, after))
    return table


def render() -> str:
    """The page: a diagram and the table."""
    names = {kind.__name__ for kind in PHASE_NAMES} | {"Ended"}
    arrows = []
    for phase, event, after in rows():
        if phase == "any" or after.startswith("the phase"):
            continue
        for found in PHASE.finditer(after):
            name, detail = found.group(1), found.group(2)
            if name in names:
                label = event if detail is None else f"{event} ({detail})"
                arrows.append(f"    {phase} --> {name}: {label.replace(':', ' -')}")
    table = ["| phase | event | next |", "|---|---|---|"]
    table += [f"| {' | '.join(cell.replace('|', 'or') for cell in row)} |" for row in rows()]
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> Queued", *arrows, "    Ended --> [*]", "```"])
    return (
        "# The two-phase machine\n\n"
        "Made from `departments/executive/execution.py` by `python -m scripts.machine_doc`; "
        "a test keeps it current.\n\n"
        f"{diagram}\n\nFrom any phase a halt, an abort, the approval's expiry or a forbidding fact leads out, "
        "as the last rows say.\n\n" + "\n".join(table) + "\n"
    )


def main() -> None:
    """Write the page."""
    TARGET.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")


if __name__ == "__main__":
    main()
