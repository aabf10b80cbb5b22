"""`firm doctor`: the pre-trading checklist. Reads, and changes nothing but for a scratch file in FIRM_HOME."""

import dataclasses
import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from scripts.failure import Code

if TYPE_CHECKING:
    from departments.office.checklist_facts import Finding


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(given: Namespace) -> int:
    """Go through the list; 1 if something fails."""
    from departments.office.checklist import findings
    from scripts.doctor_facts import gather

    found = findings(gather())
    failed = [finding for finding in found if finding.level.value == "fail"]
    if given.json:
        checks = [dataclasses.asdict(finding) for finding in found]
        print(json.dumps({"ok": not failed, "checks": checks}, indent=2))
    else:
        _print(found, failed)
    return Code.FOUND if failed else Code.DONE


def _print(found: tuple["Finding", ...], failed: list["Finding"]) -> None:
    from scripts.rendering import console, table

    screen = console()
    rows = [(finding.check, finding.level.value, finding.detail) for finding in found]
    screen.print(table(None, ("check", "", "what was found"), rows))
    warned = sum(finding.level.value == "warn" for finding in found)
    if failed:
        screen.print(f"NOT READY: {len(failed)} failed, {warned} warned", style="bold red")
    else:
        screen.print(f"ready to trade{f', {warned} warned' if warned else ''}", style="bold green")
