"""How a command ends: the contract's exit codes, and a failure that is one clear line."""

from enum import IntEnum


class Code(IntEnum):
    """Exit codes."""

    DONE = 0
    FOUND = 1
    BAD_INPUT = 2
    HELD = 3
    REJECTED = 4
    ABORTED = 5
    UNREACHABLE = 6
    TIMED_OUT = 7


OUTCOME_CODES = {
    "completed": Code.DONE,
    "rejected": Code.REJECTED,
    "aborted": Code.ABORTED,
    "expired": Code.ABORTED,
}


class Failure(Exception):
    """A command can't do what it was asked. `str` is what stderr shows."""

    def __init__(self, code: Code, line: str) -> None:
        super().__init__(line)
        self.code = code


def code_of(view: dict[str, object]) -> Code:
    """The exit code that tells how a run does: 0 while it runs and when it completed."""
    if view["phase"] == "held":
        return Code.HELD
    return OUTCOME_CODES.get(str(view["outcome"]), Code.DONE)
