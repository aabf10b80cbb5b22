"""Fault rules: which requests and stream updates go wrong, and how. Pure apart from the rules' own counters.

Rules combine. Of those that match a request, every latency adds up, the first rule of each other kind decides; a rule
that was not needed keeps its `times`. `after` counts what matched, whatever was done about it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from paper_alpaca.figures import parse
from paper_alpaca.matching import FillPlan

# What may stand beside on, symbol, side, times, after and do; the first name is the contract's.
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "error": frozenset({"status", "body", "headers"}),
    "accept_then_error": frozenset({"status", "body", "headers"}),
    "accept_then_hang": frozenset({"seconds", "ms"}),
    "accept_then_reset": frozenset(),
    "hang": frozenset({"seconds", "ms"}),
    "reset": frozenset(),
    "html": frozenset({"status", "body"}),
    "latency": frozenset({"ms", "seconds"}),
    "reject": frozenset({"reason"}),
    "fill": frozenset({"fill", "fraction", "then"}),
    "fill_delay": frozenset({"ms", "seconds"}),
    "cash_delay": frozenset({"ms", "seconds"}),
    "stuck_cancel": frozenset(),
}
_STREAM_FIELDS: Final[dict[str, frozenset[str]]] = {
    "drop": frozenset(),
    "duplicate": frozenset({"count"}),
    "reorder": frozenset({"ms", "seconds"}),
    "delay": frozenset({"ms", "seconds"}),
    "close": frozenset({"code"}),
    "mute": frozenset(),
    "handshake_429": frozenset(),
    "auth_mute": frozenset(),
    "data_null": frozenset(),
    "unknown_event": frozenset({"name"}),
    "unknown_status": frozenset({"name"}),
}
_PARTS: Final = ("none", "partial")
_COMMON: Final = frozenset({"on", "symbol", "side", "times", "after", "do", "event"})
# At most one action of each kind happens to a request.
_KIND: Final = {
    "error": "outcome",
    "accept_then_error": "outcome",
    "accept_then_hang": "outcome",
    "accept_then_reset": "outcome",
    "hang": "outcome",
    "reset": "outcome",
    "html": "outcome",
}


class RuleError(ValueError):
    """A fault rule that makes no sense; the message says what was expected."""


@dataclass(slots=True, eq=False)
class Rule:
    """One fault rule and how often it has matched and acted.

    Attributes:
        seconds: For hangs and delays; None when the rule gives none.
        facts: The rule's other fields, as given.
    """

    on: str
    do: str
    pattern: re.Pattern[str] | None
    symbol: str | None
    side: str | None
    event: str | None
    times: int | None
    after: int
    seconds: float | None
    facts: Mapping[str, object]
    given: Mapping[str, object]
    seen: int = field(default=0)
    fired: int = field(default=0)

    @property
    def kind(self) -> str:
        """What it competes for with other rules."""
        return _KIND.get(self.do, self.do)

    @property
    def is_spent(self) -> bool:
        """Whether it has acted as often as it may."""
        return self.times is not None and self.fired >= self.times

    @property
    def is_narrow(self) -> bool:
        """Whether it waits for something in particular."""
        return self.symbol is not None or self.side is not None or self.event is not None or self.after > 0

    def view(self) -> dict[str, object]:
        """Return the rule as given, with its counts."""
        return {**self.given, "seen": self.seen, "fired": self.fired}


def read_rules(body: object) -> list[Rule]:
    """Check a list of fault rules, or a single one.

    Raises:
        RuleError: A rule makes no sense; none is taken.
    """
    items = body if isinstance(body, list) else [body]
    return [_read_rule(item) for item in items]


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def add(self, rules: Iterable[Rule]) -> None:
        """Put rules in force beside those that are."""
        self.rules.extend(rules)

    def clear(self) -> None:
        """Let everything work again."""
        self.rules.clear()

    def for_request(self, method: str, path: str, symbol: str | None, side: str | None) -> list[Rule]:
        """Return the rules that act on this request, in their order, and count them."""
        target = f"{method} {path.rstrip('/') or '/'}"
        return self._acting(
            rule
            for rule in self.rules
            if rule.pattern is not None
            and rule.pattern.match(target)
            and rule.symbol in {None, symbol}
            and rule.side in {None, side}
        )

    def for_update(self, event: str, symbol: str, side: str) -> list[Rule]:
        """Return the rules that act on this stream update, and count them."""
        return self._acting(
            rule
            for rule in self.rules
            if rule.pattern is None
            and rule.do not in {"handshake_429", "auth_mute"}
            and rule.symbol in {None, symbol}
            and rule.side in {None, side}
            and rule.event in {None, event}
        )

    def for_connection(self, do: str) -> bool:
        """Tell whether a rule of this action acts on a stream's handshake or login, and count it."""
        return bool(self._acting(rule for rule in self.rules if rule.pattern is None and rule.do == do))

    def take(self, do: str) -> list[Rule]:
        """Return the stream rules of this action that don't wait for anything, and count them."""
        return self._acting(
            rule for rule in self.rules if rule.pattern is None and rule.do == do and not rule.is_narrow
        )

    @staticmethod
    def _acting(matching: Iterable[Rule]) -> list[Rule]:
        acting: list[Rule] = []
        taken: set[str] = set()
        for rule in matching:
            rule.seen += 1
            if rule.seen <= rule.after or rule.is_spent or (rule.kind in taken and rule.do != "latency"):
                continue
            taken.add(rule.kind)
            rule.fired += 1
            acting.append(rule)
        return acting


def _read_rule(given: object) -> Rule:
    if not isinstance(given, Mapping):
        raise RuleError(f"expected a rule such as {{'on': ..., 'do': ...}}, was {given!r}")
    on, do = str(given.get("on", "")), str(given.get("do", ""))
    actions = _STREAM_FIELDS if on == "stream" else _FIELDS
    if do not in actions:
        raise RuleError(f"expected do of on {on!r} to be one of {', '.join(sorted(actions))}, was {do!r}")
    unknown = {key for key in set(given) - _COMMON - actions[do] if do != "fill" or given[key] not in _PARTS}
    if unknown:
        known = ", ".join(sorted(_COMMON | actions[do]))
        raise RuleError(f"unknown {', '.join(sorted(map(str, unknown)))} in a {do} rule, expected of {known}")
    if do == "fill":
        _check_fill(given)
    status = given.get("status")
    if status is not None and not (isinstance(status, int) and 100 <= status <= 599):
        raise RuleError(f"expected status from 100 to 599, was {status!r}")
    return Rule(
        on=on,
        do=do,
        pattern=None if on == "stream" else _pattern(on),
        symbol=_word(given, "symbol"),
        side=_word(given, "side"),
        event=_word(given, "event"),
        times=_count(given, "times"),
        after=_count(given, "after") or 0,
        seconds=_seconds(given),
        facts={key: given[key] for key in set(given) - _COMMON},
        given=dict(given),
    )


def fill_of(rule: Rule) -> tuple[str, Decimal, str]:
    """Return a fill rule's part ("none" or "partial"), fraction and what follows."""
    facts = rule.facts
    return _part(facts) or "partial", parse(facts.get("fraction")) or Decimal("0.5"), str(facts.get("then") or "rest")


def bend(plan: FillPlan, rules: list[Rule]) -> None:
    """Let fault rules change how an order is going to fill."""
    for rule in rules:
        if rule.do == "reject":
            plan.reject = str(rule.facts.get("reason") or "rejected by the exchange")
        elif rule.do == "fill_delay":
            plan.delay_s = rule.seconds or 0.0
        elif rule.do == "cash_delay":
            plan.cash_delay_s, plan.is_cash_bent = rule.seconds or 0.0, True
            continue  # the order itself fills as ever
        elif rule.do == "fill":
            part, fraction, then = fill_of(rule)
            plan.held_back = part == "none"
            plan.fraction = fraction if part == "partial" else None
            plan.then = "cancel" if then == "cancel" else "expire" if then == "expire" else "rest"
        else:
            continue
        plan.is_bent = True


def _part(given: Mapping[str, object]) -> str | None:
    """Return "none" or "partial", whatever key it stands under: only these two words can be meant."""
    return next((str(value) for value in given.values() if value in _PARTS), None)


def _check_fill(given: Mapping[str, object]) -> None:
    if _part(given) is None and "fraction" not in given:
        raise RuleError(f"expected fill none or partial, was {given.get('fill')!r}")
    then = given.get("then")
    if then not in {None, "cancel", "expire", "rest"}:
        raise RuleError(f"expected then cancel, expire or rest, was {then!r}")
    if "fraction" in given:
        fraction = parse(given["fraction"])
        if fraction is None or not 0 < fraction < 1:
            raise RuleError(f"expected a fraction between 0 and 1, was {given['fraction']!r}")


def _pattern(on: str) -> re.Pattern[str]:
    """Read `GET /v2/orders/{id}`: a method or *, a path, {any} for one segment, * at the end for any rest."""
    method, _, path = on.partition(" ")
    if not path:
        method, path = ("*", on) if on.startswith("/") else (on, "")
    if not path.startswith("/") and path != "*":
        raise RuleError(f"expected on to be 'METHOD /path' or 'stream', was {on!r}")
    rest = path.endswith("*")
    parts = re.split(r"\{[^}/]*\}", path.rstrip("*").rstrip("/") if not rest else path.rstrip("*"))
    regex = "[^/]+".join(re.escape(part) for part in parts) + (".*" if rest else "")
    return re.compile(("[A-Z]+" if method == "*" else re.escape(method.upper())) + " " + regex + r"\Z")


def _word(given: Mapping[str, object], key: str) -> str | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise RuleError(f"expected {key} to be text, was {value!r}")
    return value.upper() if key == "symbol" else value.lower()


def _count(given: Mapping[str, object], key: str) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RuleError(f"expected {key} to be a whole number from 0, was {value!r}")
    return value


def _seconds(given: Mapping[str, object]) -> float | None:
    for key, unit in (("seconds", 1), ("ms", 1000)):
        if key in given:
            figure = parse(given[key])
            if figure is None or figure < 0:
                raise RuleError(f"expected {key} to be 0 or more, was {given[key]!r}")
            return float(figure) / unit
    return None
