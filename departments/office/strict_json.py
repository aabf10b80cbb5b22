"""JSON as strictly as `strict_yaml` reads YAML: the same tree, numbers as they stand, no duplicate keys, no NaN.

A loop over tokens, not a recursive parser: depth costs no stack.
Source: RFC 8259; the names of RFC 7493 for what is refused beyond it (duplicate names, lone surrogates).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from departments.office.bad_input import BadInput, shown
from departments.office.strict_tree import MAX_DEPTH, Mapping, Node, Scalar, Sequence

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")
      | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_.+-]))
      | (?P<word>(?:true|false|null)(?![0-9A-Za-z_]))
      | (?P<mark>[\[\]{},:])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\(.)")
_PLAIN_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}


class NotJson(ValueError):
    """The text is not JSON. The text of the error says what is there and what was expected."""

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; `expects` names what may come next."""

    line: int
    is_mapping: bool
    expects: str
    items: list[Node] = field(default_factory=list)
    keys: list[Scalar] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def parse_json(text: str, name: str | Path) -> Node:
    """Turn JSON text into a tree.

    Raises:
        NotJson: The grammar is broken.
        BadInput: It is JSON, but a key stands twice or it is nested too deeply.
    """
    stack: list[_Open] = []
    root: Node | None = None
    for token in _tokens(text):
        if root is not None:
            raise NotJson(token.line, f"{shown(token.text)} after the end, expected nothing more")
        done = _step(stack, token, name)
        if done is None:
            continue
        if stack:
            stack[-1].items.append(done)
            stack[-1].expects = "separator"
        else:
            root = done
    if root is None:
        raise NotJson(text.count("\n") + 1, "the JSON ends too early, expected its closing bracket")
    return root


def _step(stack: list[_Open], token: _Token, name: str | Path) -> Node | None:
    """Take one token; give a node back when one is complete."""
    top = stack[-1] if stack else None
    expects = top.expects if top is not None else "value"
    if top is not None and token.text in {"]", "}"} and token.kind == "mark":
        return _closed(stack, token)
    if expects in {"value", "first value"}:
        if token.text in {"[", "{"} and token.kind == "mark":
            if len(stack) >= MAX_DEPTH:
                raise BadInput.of(
                    name, token.line, f"nested deeper than {MAX_DEPTH} levels, expected at most {MAX_DEPTH}"
                )
            is_mapping = token.text == "{"
            stack.append(_Open(token.line, is_mapping, "first key" if is_mapping else "first value"))
            return None
        if token.kind != "mark":
            return _scalar(token)
    elif top is not None and expects in {"key", "first key"} and token.kind == "string":
        key = _scalar(token)
        if key.text in top.seen:
            raise BadInput.of(name, token.line, f"key {shown(key.text)} stands twice, expected once")
        top.seen.add(key.text)
        top.keys.append(key)
        top.expects = "colon"
        return None
    elif top is not None and expects == "colon" and token.text == ":":
        top.expects = "value"
        return None
    elif top is not None and expects == "separator" and token.text == ",":
        top.expects = "key" if top.is_mapping else "value"
        return None
    raise NotJson(token.line, f"{shown(token.text)} in JSON, expected a {expects}")


def _closed(stack: list[_Open], token: _Token) -> Node:
    top = stack[-1]
    first = "first key" if top.is_mapping else "first value"
    if token.text != ("}" if top.is_mapping else "]") or top.expects not in {first, "separator"}:
        raise NotJson(token.line, f"{shown(token.text)} in JSON, expected a {top.expects}")
    stack.pop()
    if top.is_mapping:
        return Mapping(tuple(zip(top.keys, top.items, strict=True)), top.line)
    return Sequence(tuple(top.items), top.line)


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotJson(line, f"{shown(text[at : at + 20].split(maxsplit=1)[0])} in JSON, expected a JSON value")
        kind = match.lastgroup or ""
        if kind == "space":
            line += match[0].count("\n")
        else:
            yield _Token(kind, match[0], line)
        at = match.end()


def _scalar(token: _Token) -> Scalar:
    if token.kind != "string":
        return Scalar(token.text, token.line)
    return Scalar(_ESCAPE.sub(lambda match: _unescaped(match, token.line), token.text[1:-1]), token.line, quoted=True)


def _unescaped(match: re.Match[str], line: int) -> str:
    if match[2] is not None:
        return _PLAIN_ESCAPES[match[2]]
    if match[1] is None:
        high, low = int(match[0][2:6], 16), int(match[0][8:12], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    code = int(match[1], 16)
    if 0xD800 <= code <= 0xDFFF:
        raise NotJson(line, f"half a surrogate pair {match[0]}, expected whole characters")
    return chr(code)
