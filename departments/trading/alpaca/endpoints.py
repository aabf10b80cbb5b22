"""Where Alpaca is: three addresses out of the environment. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

PAPER_URL = "https://paper-api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Base addresses without a trailing slash; `stream_url` is whole."""

    rest_url: str
    data_url: str
    stream_url: str


def endpoints(environ: Mapping[str, str]) -> Endpoints:
    """Read `APCA_API_BASE_URL`, `APCA_API_DATA_URL`, `APCA_API_STREAM_URL`; the last two derive from the first.

    Anything but Alpaca itself serves market data and the stream at the base address too.

    Raises:
        ValueError: An address that is no http(s) (or ws(s)) URL.
    """
    rest_url = _base(environ.get("APCA_API_BASE_URL") or PAPER_URL, "APCA_API_BASE_URL", ("http", "https"))
    parts = urlsplit(rest_url)
    at_alpaca = (parts.hostname or "").endswith(".alpaca.markets")
    data_url = environ.get("APCA_API_DATA_URL") or (DATA_URL if at_alpaca else rest_url)
    stream_scheme = "wss" if parts.scheme == "https" else "ws"
    derived = urlunsplit((stream_scheme, parts.netloc, f"{parts.path}/stream", "", ""))
    stream_url = environ.get("APCA_API_STREAM_URL") or derived
    return Endpoints(
        rest_url=rest_url,
        data_url=_base(data_url, "APCA_API_DATA_URL", ("http", "https")),
        stream_url=_base(stream_url, "APCA_API_STREAM_URL", ("ws", "wss")),
    )


def _base(url: str, name: str, schemes: tuple[str, ...]) -> str:
    """Check an address and take off a trailing slash or `/v2`, which people paste along."""
    parts = urlsplit(url.strip())
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"{name}: expected {schemes[0]}://... or {schemes[1]}://..., was {url!r}")
    return url.strip().rstrip("/").removesuffix("/v2").rstrip("/")
