"""The trading state out of what the store knows of each kind of word, pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from messages.control import state_after
from messages.message import Message
from messages.values import TradingState, stricter


@dataclass(frozen=True, slots=True)
class Newest:
    """Numbers of the newest words of each kind in one place; 0 where there is none."""

    halted: int
    reduced: int
    resumed: int

    def after(self, state: TradingState) -> TradingState:
        """The state after these words, given the one before: what is older than the newest resume counts no more."""
        if self.resumed:
            state = TradingState.ACTIVE
        if self.halted > self.resumed:
            return TradingState.HALTED
        return stricter(state, TradingState.REDUCING) if self.reduced > self.resumed else state


def trading_state(journal: Newest, letters: Newest, uncommitted: Iterable[Message]) -> TradingState:
    """The account's trading state.

    Args:
        journal: Committed mail.
        letters: Not imported yet: newer than the journal.
        uncommitted: Recorded words that restrict; they count at once, whatever else was said.
    """
    return state_after(uncommitted, letters.after(journal.after(TradingState.ACTIVE)))
