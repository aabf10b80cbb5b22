"""The log: JSON lines in a fixed order of keys, one sentence for people an event, secrets never in it.

A call costs the caller a dictionary and an append; rendering, redaction and the file are the writer's
(`log_writer.py`). Losing the log loses no fact: the journal has them.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

from departments.office.clock import Clock
from departments.office.log_reading import readable
from departments.office.log_writer import KEEP_FILES, MAX_BYTES, LogWriter, Record
from departments.office.sentences import sentence

LOG_FILE = "firm.jsonl"
KEY_ORDER: Final = (
    "timestamp",
    "level",
    "event",
    "message",
    "department",
    "account",
    "run_id",
    "plan_id",
    "leg",
    "symbol",
    "client_order_id",
    "message_id",
)
REDACTED: Final = "[redacted]"
SECRET_MIN_LENGTH = 8
"""Shorter values are not looked for in the text: they would blot out ordinary words."""
CRITICAL_WITHIN_S = 1.0
"""How long a critical line may keep its caller waiting for the disk."""

_SECRET_KEY = re.compile(
    r"secret|passw|authorization|api[-_ ]?key|key[-_ ]?id|private[-_ ]?key|credential", re.IGNORECASE
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)


def log_path(home: Path) -> Path:
    """Where a firm's log is."""
    return home / "logs" / LOG_FILE


class Log:
    """The firm's log while it runs. `stop` writes what is on its way and hands logging back.

    Args:
        home: FIRM_HOME.
        clock: Stamps the lines.
        account: Stands on every line that names none.
        secrets: Values that never appear, whatever field or sentence they are in.
        console: Also shown there, as lines for people, from level info on.
        max_bytes: Size at which the file is rotated.
        keep_files: Rotated files to keep.

    Raises:
        OSError: The file can't be opened.
    """

    def __init__(
        self,
        home: Path,
        *,
        clock: Clock,
        account: str | None = None,
        secrets: Iterable[str] = (),
        console: TextIO | None = None,
        max_bytes: int = MAX_BYTES,
        keep_files: int = KEEP_FILES,
    ) -> None:
        self._clock = clock
        self._renderer = _Renderer(account, secrets)
        self._writer = LogWriter(
            log_path(home),
            render=self._renderer.line,
            lost=self._lost,
            echo=None if console is None else self._echo_to(console),
            max_bytes=max_bytes,
            keep_files=keep_files,
        )
        structlog.configure(
            processors=[self._stamp, _format_exception, _hand_over],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            context_class=dict,
            logger_factory=lambda *_: _Pen(self._writer.put, self._put_at_once),
            cache_logger_on_first_use=False,
        )
        self._library_handler = _LibraryHandler(logging.WARNING)
        logging.getLogger().addHandler(self._library_handler)

    def flush(self) -> None:
        """Wait until everything said so far is in the file."""
        self._writer.flush()

    def stop(self) -> None:
        """Write what is on its way and close the file. Nothing said before is lost."""
        logging.getLogger().removeHandler(self._library_handler)
        self._writer.stop()
        structlog.reset_defaults()

    def _stamp(self, _logger: Any, level: str, record: structlog.typing.EventDict) -> structlog.typing.EventDict:
        record["timestamp"] = self._clock.now()
        record["level"] = "error" if level == "exception" else level
        return record

    def _put_at_once(self, record: Record) -> None:
        """Wait until the line is written: the process may be about to end."""
        self._writer.put(record)
        self._writer.flush(CRITICAL_WITHIN_S)

    def _lost(self, count: int) -> Record:
        return {"timestamp": self._clock.now(), "level": "warning", "event": "log.lines_lost", "count": count}

    def _echo_to(self, console: TextIO) -> Callable[[Record], None]:
        colour = console.isatty()

        def echo(record: Record) -> None:
            if record["level"] != "debug":
                console.write(readable(self._renderer.record(record), colour=colour) + "\n")
                console.flush()

        return echo


class _Renderer:
    """Record -> line: sentence, order of keys, redaction."""

    def __init__(self, account: str | None, secrets: Iterable[str]) -> None:
        self._account = account
        self._secrets: list[tuple[str, str]] = []
        for secret in secrets:
            if len(secret) >= SECRET_MIN_LENGTH:
                escaped = json.dumps(secret, ensure_ascii=False)[1:-1]
                self._secrets.extend((spelling, REDACTED) for spelling in {secret, escaped})

    def record(self, record: Record) -> dict[str, Any]:
        """The record as it is written: plain values, in order."""
        fields = {key: _plain(value, key) for key, value in record.items() if value is not None}
        if self._account is not None:
            fields.setdefault("account", self._account)
        fields["message"] = self._without_secrets(sentence(str(fields["event"]), fields))
        ordered = {key: fields.pop(key) for key in KEY_ORDER if key in fields}
        return ordered | fields

    def line(self, record: Record) -> str:
        """The record as JSON on one line."""
        return self._without_secrets(json.dumps(self.record(record), ensure_ascii=False, default=str))

    def _without_secrets(self, text: str) -> str:
        for secret, instead in self._secrets:
            if secret in text:
                text = text.replace(secret, instead)
        return _PEM.sub(REDACTED, text) if "PRIVATE KEY" in text else text


def _plain(value: Any, key: str) -> Any:
    """A value as JSON has it, what its key calls a secret blotted out; money and quantities are text."""
    if _SECRET_KEY.search(key) is not None:
        return REDACTED
    match value:
        case bool() | int():
            return value
        case str():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        case Mapping():
            return {str(inner): _plain(one, str(inner)) for inner, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(one, "") for one in value]
        case _:
            return str(value)


class _Pen:
    """What structlog calls with a finished record."""

    def __init__(self, put: Callable[[Record], None], put_at_once: Callable[[Record], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.exception = put
        self.critical = put_at_once


class _LibraryHandler(logging.Handler):
    """Takes in what libraries say through `logging`, from level warning on."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        log = structlog.get_logger().bind(department="library")
        getattr(log, level)("library.said", library=record.name, said=record.getMessage(), exc_info=record.exc_info)


def _format_exception(_logger: Any, _level: str, record: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Turn `exc_info` into text while its frames are as they were."""
    info = record.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        record["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return record


def _hand_over(_logger: Any, _level: str, record: structlog.typing.EventDict) -> tuple[tuple[Record], dict[str, Any]]:
    return (record,), {}
