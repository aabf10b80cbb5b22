import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.office.bad_input import BadInput
from departments.office.strict_tree import Mapping, Node, Scalar, Sequence
from departments.office.strict_yaml import MAX_BYTES, parse, read_bytes


def read(text: str | bytes, name: str = "f.yaml") -> Node:
    return parse(text if isinstance(text, bytes) else text.encode(), name, expected="a thing")


def plain(node: Node) -> object:
    match node:
        case Scalar():
            return node.text
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key.text: plain(value) for key, value in node.items}


def refused(text: str | bytes, name: str = "f.yaml") -> str:
    with pytest.raises(BadInput) as caught:
        read(text, name)
    return str(caught.value)


def test_every_scalar_stays_the_text_in_the_file():
    text = "a: ON\nb: NO\nc: 010\nd: 1e3\ne: 1_000\nf: 2025-11-10\ng: .nan\nh: 0x10\ni: 12:30:00\n"

    read_back = plain(read(text))

    assert read_back == {
        "a": "ON",
        "b": "NO",
        "c": "010",
        "d": "1e3",
        "e": "1_000",
        "f": "2025-11-10",
        "g": ".nan",
        "h": "0x10",
        "i": "12:30:00",
    }


def test_nodes_know_their_lines():
    root = read("a: 1\n\nb:\n  - x\n  - {c: 2,\n     d: 3}\n")

    assert isinstance(root, Mapping)
    (_, a), (key_b, b) = root.items
    assert (a.line, key_b.line) == (1, 3)
    assert isinstance(b, Sequence)
    assert [item.line for item in b.items] == [4, 5]
    assert isinstance(b.items[1], Mapping)
    assert b.items[1].items[1][1].line == 6


@pytest.mark.parametrize(("text", "null"), [("a:", True), ("a: null", True), ("a: ~", True), ("a: 'null'", False)])
def test_null_is_unquoted(text, null):
    root = read(text)

    assert isinstance(root, Mapping)
    value = root.items[0][1]
    assert isinstance(value, Scalar)
    assert value.is_null is null


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: &x 1\n", 1, "anchor"),
        ("b: 1\na: *x\n", 2, "alias"),
        ("a: !!int 1\n", 1, "tag"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        ("a: ! 1\n", 1, "tag"),
        ("!x\na: 1\n", 1, "tag"),
        ("a: [!!map {}]\n", 1, "tag"),
        ("%YAML 1.1\n---\na: 1\n", 1, "directive"),
        ("a: 1\n---\nb: 1\n", 2, "second document"),
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("a: {b: 1, b: 2}\n", 1, "twice"),
        ("? [a]\n: 1\n", 1, "as a key"),
        ("? {a: 1}\n: 1\n", 1, "as a key"),
        ("a: 1\n b: 2\n", 2, "is not YAML"),
        ("a: [1, 2\n", 1, "is not YAML"),
        ("a: 'x\n", 1, "is not YAML"),
        ("\ta: 1\n", 1, "is not YAML"),
        ("a: b\x07\n", 1, "control character"),
        ("a: 1\nb: \x00\n", 2, "control character"),
        ("", 1, "empty"),
        ("\n \n", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(text, line, words):
    said = refused(text)

    assert said.startswith("f.yaml:")
    assert words in said
    assert "expected" in said
    assert "\n" not in said
    if "is not YAML" not in words:
        assert said.startswith(f"f.yaml:{line}:")


def test_text_that_is_not_utf8_is_refused_with_its_line():
    assert refused(b"a: 1\nb: \xff\xfe\n").startswith("f.yaml:2: byte 0xff is not UTF-8")
    assert "not UTF-8" in refused("a: 1\n".encode("utf-16"))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 60_000, "- " * 100_000, '{"a":' * 50_000, "a:\n" + "? " * 90_000]
)
def test_depth_is_cut_off_soon(text):
    began = time.monotonic()

    said = refused(text)

    assert any(words in said for words in ("nested deeper", "is not YAML", "as a key"))
    assert time.monotonic() - began < 2


def test_an_anchor_bomb_is_refused_at_its_first_anchor():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )

    assert "anchor &a" in refused(bomb)


def test_a_large_plain_file_is_read_within_a_second():
    text = "".join(f"- {{symbol: A{n}, qty: '1'}}\n" for n in range(8_000))
    assert len(text) < MAX_BYTES
    began = time.monotonic()

    root = read(text)

    assert isinstance(root, Sequence)
    assert len(root.items) == 8_000
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["f.yaml", "f.json"])
def test_json_gives_the_same_tree(name):
    document = {"a": "1", "b": [{"c": '\u00e9\U0001f600\n"\\/', "d": 12.5}, True, None, -3], "e": {}}

    read_back = plain(read(json.dumps(document, indent=1), name))

    assert read_back == {"a": "1", "b": [{"c": '\u00e9\U0001f600\n"\\/', "d": "12.5"}, "true", "null", "-3"], "e": {}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,\n "a": 2}', ":2: key 'a' stands twice"),
        ('{"a": NaN}', "'NaN}'"),
        ('{"a": Infinity}', "Infinity"),
        ('{"a": 01}', "01"),
        ('{"a": +1}', "+1"),
        ('{"a": .5}', ".5"),
        ('{"a": 1,}', "expected a key"),
        ("{'a': 1}", "expected a JSON value"),
        ('{"a": 1} x', "expected"),
        ('{"a": 1}\n{"b": 2}', ":2: '{' after the end"),
        ('{"a": 1', "ends too early"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": "\\x41"}', "expected a JSON value"),
        ('{"a" 1}', "expected a colon"),
        ('{"a": }', "'}' in JSON"),
        ('["a" "b"]', "expected a separator"),
        ("[1, 2}", "'}' in JSON"),
        ("a: 1", "expected a JSON value"),
        ("[" * 100_000, "nested deeper"),
        ("[]]", "after the end"),
    ],
)
def test_json_is_read_as_strictly(text, words):
    said = refused(text, "f.json")

    assert words in said
    assert "expected" in said


def test_flow_yaml_that_is_no_json_is_still_yaml():
    assert plain(read("{a: 1, b: [x, y]}")) == {"a": "1", "b": ["x", "y"]}


def test_files_are_measured_before_they_are_read(tmp_path: Path):
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(10_000_000_000)

    with pytest.raises(BadInput, match="has 10000000000 bytes, expected at most 262144"):
        read_bytes(large, expected="a plan file")


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")

    for path, words in [
        (tmp_path, "is a directory"),
        (tmp_path / "missing", "no such file"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / "a\0b", "can't be opened"),
    ]:
        with pytest.raises(BadInput, match=words):
            read_bytes(path, expected="a plan file")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_tree_or_one_clear_refusal(data):
    said = None
    try:
        read(data)
    except BadInput as error:
        said = str(error)

    assert said is None or (said.startswith("f.yaml") and "\n" not in said)


@given(st.text(alphabet="{}[]:,-?&*!|>'\"%@`#~ \n\tab01\u00e9", max_size=120))
def test_any_text_of_yaml_marks_gives_a_tree_or_one_clear_refusal(text):
    said = None
    try:
        read(text)
    except BadInput as error:
        said = str(error)

    assert said is None or (said.startswith("f.yaml") and "\n" not in said)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_json.filter(lambda value: isinstance(value, dict | list)))
def test_json_read_as_json_equals_what_the_standard_reader_gives(document):
    def as_text(value: object) -> object:
        match value:
            case dict():
                return {key: as_text(inner) for key, inner in value.items()}
            case list():
                return [as_text(inner) for inner in value]
            case str():
                return value
            case _:
                return json.dumps(value)

    assert plain(read(json.dumps(document), "f.json")) == as_text(document)
