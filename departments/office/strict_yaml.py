"""YAML and JSON that people write, read strictly: text, lists and mappings with line numbers, nothing else.

Every scalar stays the text that stands in the file: `ON`, `010` and `1e3` are not turned into anything. Anchors,
aliases, tags, directives, duplicate keys and second documents are refused. The tree is built from the parser's events
in a loop, so depth costs no stack and is cut off at `MAX_DEPTH`; a file is measured before it is read.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from departments.office.bad_input import BadInput, Problem, shown
from departments.office.strict_json import NotJson, parse_json
from departments.office.strict_tree import MAX_DEPTH, Mapping, Node, Scalar, Sequence

MAX_BYTES = 256 * 1024
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ufffd\U00010000-\U0010ffff]")


def read_bytes(path: Path, *, expected: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a regular file whole, after looking at its size.

    Args:
        path: The file, named in errors as it is given.
        expected: What the file should have been: `a plan file`.
        max_bytes: More is refused without reading it.

    Raises:
        BadInput: Missing, not a regular file, not readable, or too large.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadInput.of(path, None, f"no such file, expected {expected}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput.of(path, None, f"can't be opened ({reason}), expected {expected}") from None
    try:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            raise BadInput.of(path, None, f"is a directory, expected {expected}")
        if not stat.S_ISREG(facts.st_mode):
            raise BadInput.of(path, None, f"is not a regular file, expected {expected}")
        if facts.st_size > max_bytes:
            raise BadInput.of(path, None, f"has {facts.st_size} bytes, expected at most {max_bytes}")
        data = _read_up_to(descriptor, max_bytes + 1)
    except OSError as error:
        raise BadInput.of(path, None, f"can't be read ({error.strerror}), expected {expected}") from None
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise BadInput.of(path, None, f"has more than {max_bytes} bytes, expected at most {max_bytes}")
    return data


def parse(data: bytes, name: str | Path, *, expected: str) -> Node:
    """Turn a file's bytes into a tree: JSON where they are JSON or the name ends so, YAML otherwise.

    Raises:
        BadInput: With file and line; the first thing that is wrong.
    """
    if len(data) > MAX_BYTES:
        raise BadInput.of(name, None, f"has {len(data)} bytes, expected at most {MAX_BYTES}")
    text = _decoded(data, name)
    if not text.strip():
        raise BadInput.of(name, 1, f"is empty, expected {expected}")
    must_be_json = str(name).endswith(".json")
    if must_be_json or text.lstrip()[0] in "{[":
        try:
            return parse_json(text, name)
        except NotJson as error:
            if must_be_json:
                raise BadInput.of(name, error.line, str(error)) from None
    root = _Builder(name).build(_events(text, name))
    if root is None:
        raise BadInput.of(name, 1, f"is empty, expected {expected}")
    return root


def _read_up_to(descriptor: int, count: int) -> bytes:
    chunks: list[bytes] = []
    left = count
    while left > 0 and (chunk := os.read(descriptor, left)):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _decoded(data: bytes, name: str | Path) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput.of(name, line, f"byte 0x{data[error.start]:02x} is not UTF-8, expected UTF-8 text") from None
    text = text.removeprefix("\ufeff")
    if (control := _CONTROL.search(text)) is not None:
        line = text.count("\n", 0, control.start()) + 1
        raise BadInput.of(name, line, f"control character U+{ord(control[0]):04X}, expected printable text")
    return text


def _events(text: str, name: str | Path) -> Iterator[Any]:
    """The parser's events, one by one, so that a reader who has seen enough can stop."""
    import yaml  # 60 ms: not for verbs that read no file

    loader = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines = text.count("\n") + 1
        line = min(mark.line + 1, lines) if mark is not None else None
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise BadInput.of(name, line, f"is not YAML ({what}), expected plain YAML") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput.of(name, None, f"is not YAML ({shown(str(error))}), expected plain YAML") from None


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    line: int
    is_mapping: bool
    items: list[Node]
    keys: list[Scalar]
    seen: set[str]

    def close(self) -> Node:
        if self.is_mapping:
            return Mapping(tuple(zip(self.keys, self.items, strict=True)), self.line)
        return Sequence(tuple(self.items), self.line)


class _Builder:
    """Builds one document's tree; refuses everything that is not plain."""

    def __init__(self, name: str | Path) -> None:
        self._name = name
        self._stack: list[_Open] = []
        self._root: Node | None = None
        self._documents = 0

    def build(self, events: Iterator[Any]) -> Node | None:
        for event in events:
            self._take(event)
        return self._root

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        match type(event).__name__:
            case "DocumentStartEvent":
                self._start_document(event, line)
            case "AliasEvent":
                raise self._refuse(line, f"alias *{event.anchor[:40]}, expected plain values (no anchors or aliases)")
            case "ScalarEvent":
                self._refuse_decoration(event, line)
                self._add(Scalar(event.value, line, quoted=event.style not in {None, ""}), line)
            case "SequenceStartEvent" | "MappingStartEvent" as name:
                self._refuse_decoration(event, line)
                self._open(line, is_mapping=name == "MappingStartEvent")
            case "SequenceEndEvent" | "MappingEndEvent":
                closed = self._stack.pop()
                self._add(closed.close(), closed.line)
            case _:
                pass  # stream start and end, document end: they say nothing

    def _start_document(self, event: Any, line: int) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._refuse(line, "a second document begins, expected one")
        if event.version or event.tags:
            raise self._refuse(line, "a %YAML or %TAG directive, expected plain YAML")

    def _refuse_decoration(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            raise self._refuse(line, f"anchor &{event.anchor[:40]}, expected plain values (no anchors or aliases)")
        if event.tag is not None:
            raise self._refuse(line, f"tag {shown(event.tag)}, expected plain values (no tags)")

    def _open(self, line: int, *, is_mapping: bool) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise self._refuse(line, f"nested deeper than {MAX_DEPTH} levels, expected at most {MAX_DEPTH}")
        if self._awaits_key():
            raise self._refuse(line, "a list or mapping as a key, expected text")
        self._stack.append(_Open(line, is_mapping, [], [], set()))

    def _awaits_key(self) -> bool:
        return (
            bool(self._stack) and self._stack[-1].is_mapping and len(self._stack[-1].keys) == len(self._stack[-1].items)
        )

    def _add(self, node: Node, line: int) -> None:
        if not self._stack:
            self._root = node
        elif self._awaits_key() and isinstance(node, Scalar):
            top = self._stack[-1]
            if node.text in top.seen:
                raise self._refuse(line, f"key {shown(node.text)} stands twice, expected once")
            top.seen.add(node.text)
            top.keys.append(node)
        else:
            self._stack[-1].items.append(node)

    def _refuse(self, line: int, what: str) -> BadInput:
        return BadInput([Problem(str(self._name), line, what)])
