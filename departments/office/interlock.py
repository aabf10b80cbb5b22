"""The live interlock: what must agree before a firm starts, so that paper and live money never meet. Pure."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from messages.plans import Mode

LIVE_HOST: Final = "api.alpaca.markets"
PAPER_HOST: Final = "paper-api.alpaca.markets"
_ALPACA: Final = "alpaca.markets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What each place says about the money.

    Attributes:
        firm_mode: `firm.yaml: mode`.
        account_mode: `firm.yaml`, of the account.
        account_number: `firm.yaml`, of the account; None where it names none.
        asked_live: `firm start --live`.
        rest_url: Where orders go.
        stream_url: Where their news come from.
        home_mode: What FIRM_HOME was first used for; None while it was not.
    """

    firm_mode: Mode
    account_mode: Mode
    account_number: str | None
    asked_live: bool
    rest_url: str
    stream_url: str
    home_mode: str | None


def money_at(url: str) -> Mode | None:
    """Which money an address trades: Alpaca's two are known, None for another of theirs; whatever else is local."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == LIVE_HOST:
        return Mode.LIVE
    if host == PAPER_HOST:
        return Mode.PAPER
    return None if host == _ALPACA or host.endswith(f".{_ALPACA}") else Mode.PAPER


def disagreement(said: Said) -> str | None:
    """Say what keeps the firm from starting; None when everything says paper, or everything says live."""
    mode = said.account_mode
    if said.firm_mode is not mode:
        return f"firm.yaml: mode is {said.firm_mode}, the account's is {mode}, expected the same"
    if said.asked_live and mode is Mode.PAPER:
        return "--live, but firm.yaml says mode: paper, expected mode: live"
    if mode is Mode.LIVE and not said.asked_live:
        return "firm.yaml says mode: live, expected --live as well"
    for name, url in (("APCA_API_BASE_URL", said.rest_url), ("APCA_API_STREAM_URL", said.stream_url)):
        money = money_at(url)
        if money is not mode:
            what = "no address that trades" if money is None else f"{money} money"
            return f"{name}: {url} is {what}, but firm.yaml says mode: {mode}"
        if mode is Mode.LIVE and urlsplit(url).scheme not in {"https", "wss"}:
            return f"{name}: {url} is not encrypted, expected https or wss for live money"
    if said.home_mode is not None and said.home_mode != mode.value:
        return f"FIRM_HOME was made for {said.home_mode[:20]!r} money, expected another FIRM_HOME for {mode}"
    if mode is Mode.LIVE and not said.account_number:
        return "firm.yaml: the live account has no account_number, expected it"
    return None
