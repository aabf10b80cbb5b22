"""Requests and answers as plain values, between the ASGI wire and the routes."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from paper_alpaca.desk import Desk
from paper_alpaca.faults import Rule
from paper_alpaca.refusals import Refusal
from paper_alpaca.venue import Venue

JSON: Final = b"application/json; charset=utf-8"
HTML: Final = b"text/html"
BAD_JSON: Final = Refusal(400, {"code": 40010000, "message": "request body format is invalid"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: status, body and content type."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Call:
    """One request on its way to a route.

    Attributes:
        tail: What stands in the route's place for a variable: an order id, a symbol.
        rules: The fault rules that act on it.
    """

    venue: Venue
    desk: Desk
    method: str
    path: str
    raw_query: bytes
    body: bytes
    received_at: datetime
    tail: str = ""
    rules: list[Rule] = field(default_factory=list)

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of one given twice, the last."""
        return dict(parse_qsl(self.raw_query.decode("latin-1"), keep_blank_values=True)) if self.raw_query else {}


def ok(body: object, status: int = 200) -> Answer:
    """Answer with JSON."""
    return Answer(status, json.dumps(body, separators=(",", ":")).encode())


def refuse(refusal: Refusal) -> Answer:
    """Answer with a refusal."""
    return ok(refusal.body, refusal.status)


def read_json(body: bytes) -> Any:
    """Decode a body whatever its content type says, figures as Decimal from their text.

    Raises:
        ValueError: It isn't JSON.
    """
    return json.loads(body, parse_float=Decimal)


def page(status: int, title: str) -> Answer:
    """Answer with an HTML page, as a gateway in front of Alpaca does."""
    head = f"<html>\r\n<head><title>{status} {title}</title></head>\r\n"
    text = f"{head}<body>\r\n<center><h1>{status} {title}</h1></center>\r\n</body>\r\n</html>\r\n"
    return Answer(status, text.encode(), HTML)


def plain(value: Any) -> Any:
    """Turn the Decimals of a decoded body back into JSON numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if not isinstance(value, str | int | bool | float | None) else value
