"""Who else may write to what the firm believes: configuration, plans, signers and the store."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from scripts.failure import Code, Failure
from scripts.surroundings import firm_config, store_path

OTHERS_MAY_WRITE = 0o022


def refuse_open(paths: Iterable[Path]) -> None:
    """Refuse files that group or others can write to; a missing one is no business of ours.

    Raises:
        Failure: Names the first such file and the command that mends it.
    """
    found = _open_to_others(paths)
    if found:
        raise Failure(Code.BAD_INPUT, _sentence(found[:1]))


def check_inputs(paths: Iterable[Path], *, is_live: bool) -> None:
    """Refuse, with live money, what `refuse_open` refuses; with paper money say so on stderr, on one line.

    A checkout made with umask 002 is writable by the group; that is no reason not to try things out.

    Raises:
        Failure: With live money, as `refuse_open`.
    """
    inputs = [*sorted(firm_config().glob("*.yaml")), *paths]
    if is_live:
        refuse_open(inputs)
    elif found := _open_to_others(inputs):
        sys.stderr.write(f"warning: {_sentence(found)}\n")


def check_store() -> None:
    """Refuse a store that others can write to.

    Raises:
        Failure: As `refuse_open`.
    """
    path = store_path()
    if path is not None:
        refuse_open([path])


def _open_to_others(paths: Iterable[Path]) -> list[tuple[Path, int]]:
    """Files that group or others can write to, with their permission bits."""
    found = []
    for path in paths:
        try:
            bits = path.stat().st_mode & 0o777
        except OSError:
            continue  # whoever needs it says that it is missing
        if bits & OTHERS_MAY_WRITE:
            found.append((path, bits))
    return found


def _sentence(found: list[tuple[Path, int]]) -> str:
    named = ", ".join(f"{path} ({bits:03o})" for path, bits in found)
    mend = " ".join(shlex.quote(str(path)) for path, _ in found)
    return f"{named}: others can write to it, expected its owner alone: chmod go-w {mend}"
