"""When the market can be used, by the broker's clock: one definition for who waits and for who looks. Pure."""

from datetime import timedelta
from typing import Final

from messages.snapshots import ClockFacts

FAR_POLLS: Final = 2
"""So many times `market_poll_s` is the longest wait: whoever moves the clock (a local Alpaca's) is noticed soon."""
_SHARE_OF_THE_WAIT: Final = 60
_JUST_AFTER_S: Final = 0.05


def why_closed(clock: ClockFacts | None, min_time_to_close_s: int) -> str | None:
    """Why the market can't be used now; None when it can.

    Args:
        clock: None where it could not be read: nobody knows, so it is closed.
        min_time_to_close_s: Less than this before the close is too late to begin (executive_config.yaml).
    """
    if clock is None:
        return "the broker's clock could not be read"
    if not clock.is_open:
        return f"the market is closed until {clock.next_open:%Y-%m-%d %H:%M} UTC"
    if clock.next_close - clock.at < timedelta(seconds=min_time_to_close_s):
        return f"the market closes at {clock.next_close:%H:%M} UTC, too soon to begin"
    return None


def look_again_in_s(clock: ClockFacts, market_poll_s: int) -> float:
    """Seconds until the clock of a market that can't be used is worth another look.

    Every `market_poll_s`, half as often far from the open; the last look before the open waits just for it.
    """
    left_s = (clock.next_open - clock.at).total_seconds()
    wait_s = max(market_poll_s, min(FAR_POLLS * market_poll_s, left_s // _SHARE_OF_THE_WAIT))
    return min(wait_s, left_s + _JUST_AFTER_S) if left_s > 0 else market_poll_s
