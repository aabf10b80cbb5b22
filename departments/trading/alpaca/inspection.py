"""What only a checklist asks of Alpaca: its calendar, the time on its answers, and whether its stream listens to us."""

import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from typing import Any

from departments.trading.alpaca.endpoints import Endpoints
from departments.trading.alpaca.fields import Untranslatable
from departments.trading.alpaca.rest import AlpacaBroker
from departments.trading.alpaca.stream import TradesStream
from messages.broker import StreamConnected
from messages.message import Message

STREAM_WITHIN_S = 12.0


@dataclass(frozen=True, slots=True)
class Session:
    """A trading day; times are New York's."""

    day: date
    opens: time
    closes: time


class InspectingBroker(AlpacaBroker):
    """`AlpacaBroker`, with the calendar and the time on its last answer."""

    @property
    def answered_at(self) -> datetime | None:
        """The `Date` of the last answer, to the second, UTC; None where it had none."""
        said = self._session.last_headers.get("date")
        if said is None:
            return None
        try:
            return parsedate_to_datetime(said).astimezone(UTC)
        except ValueError:
            return None

    def calendar(self, first: date, last: date) -> tuple[Session, ...]:
        """List trading days, both ends included. Raises as every read of `Broker`.

        Source: Alpaca, GET /v2/calendar.
        """
        query = {"start": first.isoformat(), "end": last.isoformat()}
        return self._read(_sessions, lambda: self._client.get("/calendar", query))


def _sessions(raw: Any) -> tuple[Session, ...]:
    if not isinstance(raw, list):
        raise Untranslatable(f"calendar: expected a list, was {type(raw).__name__}")
    try:
        return tuple(
            Session(date.fromisoformat(row["date"]), time.fromisoformat(row["open"]), time.fromisoformat(row["close"]))
            for row in raw
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Untranslatable(f"calendar: expected date, open and close, was {error}") from error


def stream_trouble(alpaca: Endpoints, *, key_id: str, secret_key: str, within_s: float = STREAM_WITHIN_S) -> str | None:
    """Connect, authenticate, listen, close. An account has one connection: never beside a daemon.

    Returns:
        What kept it from listening; None if it listened.
    """
    seen = threading.Event()
    listened = threading.Event()

    def take(message: Message, _: str | None) -> None:
        if isinstance(message, StreamConnected):
            listened.set()
        seen.set()

    stream = TradesStream(url=alpaca.stream_url, key_id=key_id, secret_key=secret_key, on_message=take)
    stream.start()
    try:
        seen.wait(within_s)
        trouble = stream.seen().last_trouble
    finally:
        stream.stop()
    if listened.is_set():
        return None
    return trouble or f"no answer within {within_s:.0f} s"
