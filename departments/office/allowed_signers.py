"""`allowed_signers`: who may approve which plans. OpenSSH's format, with two options of our own. Pure.

    mara@desk namespaces="plan-approval@tradefirm",accounts="live",max-plan-value-usd="50000" ssh-ed25519 AAAA... laptop

Source: ssh-keygen(1), ALLOWED SIGNERS. Read more strictly than there: no patterns, no certificates, no other keys, and
times end in `Z`, since what a line allows must not depend on the machine's time zone.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from departments.office.bad_input import BadInput, Problem, shown, suggestion
from departments.office.sshsig import KEY_TYPE, NotSsh, read_public_base64
from messages.values import AccountName, Record, Usd, Utc

NAMESPACE = "plan-approval@tradefirm"
"""What a signature under an approval is for: one made for mail or for git approves nothing."""
MAX_BYTES = 64 * 1024

_OPTIONS = ("namespaces", "accounts", "max-plan-value-usd", "valid-after", "valid-before")
_OPTION = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?(,|\s+|$)')
_PRINCIPAL = re.compile(r"[^\s\"*?!,]{1,200}")
_TIME = re.compile(r"(\d{8})(\d{4})?(\d{2})?Z", re.ASCII)
_USD = re.compile(r"(?:0|[1-9]\d{0,14})(?:\.\d{1,2})?", re.ASCII)


class Signer(Record):
    """One line: a key, whose it is, and what it may approve.

    Attributes:
        public_key: Base64, as in a `.pub` file.
        accounts: None: every paper account, no live one.
        max_plan_value_usd: Of all orders together, SELLs and BUYs; None: any.
        valid_after: None: since ever.
        valid_before: None: for ever.
    """

    principals: tuple[str, ...]
    public_key: str
    accounts: tuple[AccountName, ...] | None = None
    max_plan_value_usd: Usd | None = None
    valid_after: Utc | None = None
    valid_before: Utc | None = None


class _BadLineError(ValueError):
    """What is wrong with one line."""


def parse_signers(text: str, name: str | Path) -> tuple[Signer, ...]:
    """Read the file's text. Lines for other namespaces are left out.

    Args:
        text: Of the whole file.
        name: How to call it in errors.

    Raises:
        BadInput: Every line that can't be understood.
    """
    signers: list[Signer] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            signer = _signer(line.strip())
        except (_BadLineError, NotSsh) as error:
            problems.append(Problem(str(name), number, str(error)))
        else:
            signers += [] if signer is None else [signer]
    if problems:
        raise BadInput(problems)
    return tuple(signers)


def signer_line(principal: str, public_text: str) -> str:
    """The line that lets a key approve for every paper account.

    Args:
        principal: Whose key it is.
        public_text: As `sshsig.public_text`.
    """
    return f'{principal} namespaces="{NAMESPACE}" {public_text} made by firm'


def _signer(line: str) -> Signer | None:
    """One line; None where it is for other namespaces."""
    principals, _, rest = line.partition(" ")
    names = tuple(principals.strip('"').split(","))
    for name in names:
        if _PRINCIPAL.fullmatch(name) is None:
            raise _BadLineError(f"{shown(name)}, expected names without patterns, like mara@desk")
    rest = rest.strip()
    options: dict[str, str] = {}
    if not rest.startswith((f"{KEY_TYPE} ", "ssh-", "ecdsa-", "sk-")):
        options, rest = _options(rest)
    kind, _, key = rest.partition(" ")
    if kind != KEY_TYPE or not key.strip():
        raise _BadLineError(f"{shown(kind)}, expected {KEY_TYPE} and a key")
    public_key = key.split()[0]
    read_public_base64(public_key)
    if "namespaces" in options and NAMESPACE not in options["namespaces"].split(","):
        return None
    accounts = options.get("accounts")
    return Signer(
        principals=names,
        public_key=public_key,
        accounts=None if accounts is None else tuple(AccountName(one) for one in _words(accounts)),
        max_plan_value_usd=_usd(options.get("max-plan-value-usd")),
        valid_after=_time(options.get("valid-after")),
        valid_before=_time(options.get("valid-before")),
    )


def _options(rest: str) -> tuple[dict[str, str], str]:
    """The options, and what follows them."""
    found: dict[str, str] = {}
    for name, value, end in _each_option(rest):
        if name not in _OPTIONS:
            hint = suggestion(name, _OPTIONS) or f", expected {', '.join(_OPTIONS)}"
            raise _BadLineError(f"unknown option {shown(name)}{hint}")
        if name in found:
            raise _BadLineError(f"option {name} stands twice, expected once")
        if not value:
            raise _BadLineError(f'option {name} has no value, expected {name}="..."')
        found[name] = value
        rest = rest[end:]
    return found, rest.strip()


def _each_option(rest: str) -> Iterator[tuple[str, str, int]]:
    """Name, value and length of each option, up to the first blank outside quotes."""
    at = 0
    while True:
        match = _OPTION.match(rest, at)
        if match is None:
            raise _BadLineError(f'{shown(rest[at:])}, expected options like valid-before="20261231Z", or {KEY_TYPE}')
        yield match[1].lower(), match[2] or "", match.end() - match.start()
        if match[3] != ",":
            return
        at = match.end()


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise _BadLineError(f"{shown(text)}, expected names with commas between them")
    return words


def _usd(text: str | None) -> Decimal | None:
    if text is None:
        return None
    if _USD.fullmatch(text) is None:
        raise _BadLineError(f"max-plan-value-usd {shown(text)}, expected dollars like 50000")
    return Decimal(text)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise _BadLineError(f"{shown(text)}, expected a time in UTC like 20261231Z or 202612312359Z")
    try:
        return datetime.strptime(f"{match[1]}{match[2] or '0000'}{match[3] or '00'}", "%Y%m%d%H%M%S").replace(
            tzinfo=UTC
        )
    except ValueError:
        raise _BadLineError(f"{shown(text)}, expected a time that exists") from None
