"""What is wrong with something a person typed: every problem with its file and line."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

SHOWN_MAX_LENGTH = 40
PROBLEMS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        file: As the person named it.
        line: Counted from 1; None where the whole file is meant.
        what: What is there and what was expected, on one line.
    """

    file: str
    line: int | None
    what: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.what}"


class BadInput(Exception):
    """Input that can't be accepted. `str` gives one line a problem: `FILE:LINE: what, what was expected`."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:PROBLEMS_SHOWN_MAX]]
        if (more := len(self.problems) - PROBLEMS_SHOWN_MAX) > 0:
            lines.append(f"{self.problems[0].file}: {more} more problems of this kind are not shown")
        return "\n".join(lines)

    @classmethod
    def of(cls, file: str | Path, line: int | None, what: str) -> "BadInput":
        """One problem."""
        return cls([Problem(str(file), line, what)])


def shown(text: str) -> str:
    """Quote what a person typed, for an error message: on one line, control characters visible, not too long."""
    cut = text if len(text) <= SHOWN_MAX_LENGTH else text[: SHOWN_MAX_LENGTH - 3] + "..."
    return repr(cut)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'qty'?` where a known word is near, else the empty text."""
    near = get_close_matches(word[:SHOWN_MAX_LENGTH], sorted(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
