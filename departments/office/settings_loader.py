"""Reads `config/*.yaml` into `Settings`: strictly, whole, every problem told at once with file, line and key.

Which key stands in which file follows from the models in `settings.py` alone: a field of `Settings` is a file, a
nested model a nested mapping. A new field needs no line here.
"""

import re
from collections.abc import Mapping as MappingType
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from departments.office.bad_input import BadInput, Problem, shown, suggestion
from departments.office.settings import FirmSettings, Settings
from departments.office.strict_tree import Mapping, Node, Scalar, Sequence, kind_of
from departments.office.strict_yaml import parse, read_bytes

FILES: MappingType[str, str] = {
    name: f"{name}.yaml" if name in {"firm", "hard_constraints"} else f"{name}_config.yaml"
    for name in Settings.model_fields
    if name != "signers"
}
"""Field of `Settings` -> its file. The signers stand in FIRM_HOME, in a format of their own."""

_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", re.ASCII)
_SECRET_KEY = re.compile(r"secret|password|api_?key|key_?id|token", re.IGNORECASE)
_UNUSABLE = object()

_ModelT = TypeVar("_ModelT", bound=BaseModel)


def load_settings(folder: Path) -> Settings:
    """Read all files of a configuration folder.

    Raises:
        BadInput: Every problem of every file.
    """
    reading = _Reading(folder)
    values = {field: reading.file(field) for field in FILES}
    return reading.validated(Settings, {field: value for field, value in values.items() if value is not _UNUSABLE}, ())


def load_firm_settings(folder: Path) -> FirmSettings:
    """Read `firm.yaml` alone: enough to know the accounts.

    Raises:
        BadInput: Every problem of that file.
    """
    reading = _Reading(folder)
    value = reading.file("firm")
    return reading.validated(FirmSettings, value if value is not _UNUSABLE else {}, ("firm",))


def require_key(folder: Path, field: str, key: str) -> None:
    """Insist that a key stands in its file, where no default of ours may take its place.

    Args:
        folder: The configuration.
        field: Of `Settings`: which file.
        key: Dotted.

    Raises:
        BadInput: It doesn't, or the file can't be read.
    """
    path = folder / FILES[field]
    node = parse(read_bytes(path, expected=f"the settings of {FILES[field]}"), path, expected="settings")
    for name in key.split("."):
        found = [value for one, value in node.items if one.text == name] if isinstance(node, Mapping) else []
        if not found:
            raise BadInput.of(str(path), node.line, f"{key}: is missing, expected it")
        node = found[0]


class _Reading:
    """One reading of a folder: where every value stands, and what is wrong.

    Attributes:
        lines: Path of a value, from the field of `Settings` on -> its file and line.
        unusable: Paths that already have a problem; the models' word on them and below is not asked.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: dict[tuple[str, ...], tuple[Path, int | None]] = {}
        self.unusable: set[tuple[str, ...]] = set()
        self.problems: list[Problem] = []

    def file(self, field: str) -> Any:
        """One file's values as plain Python, or `_UNUSABLE`."""
        path = self.folder / FILES[field]
        self.lines[field,] = (path, 1)
        try:
            root = parse(
                read_bytes(path, expected=f"the settings of {FILES[field]}{self._lookalike(path)}"),
                path,
                expected="settings",
            )
        except BadInput as error:
            self.problems.extend(error.problems)
            self.unusable.add((field,))
            return _UNUSABLE
        return self._model(root, Settings.model_fields[field].annotation, (field,))

    def validated(self, model: type[_ModelT], values: Any, path: tuple[str, ...]) -> _ModelT:
        """Let the models judge, add what they say to what is known, and raise it all or give the settings."""
        try:
            settings = model.model_validate(values)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_context=False):
                self._note_fault((*path, *(str(part) for part in fault["loc"])), fault["msg"], fault["input"])
        else:
            if not self.problems:
                return settings
        raise BadInput(sorted(self.problems, key=lambda problem: (problem.file, problem.line or 0)))

    def _note(self, path: tuple[str, ...], line: int | None, what: str) -> object:
        file = self.lines[path[:1]][0]
        self.problems.append(Problem(str(file), line, f"{'.'.join(path[1:]) or 'the file'}: {what}"))
        self.unusable.add(path)
        return _UNUSABLE

    def _note_fault(self, path: tuple[str, ...], message: str, value: Any) -> None:
        if any(path[:length] in self.unusable for length in range(1, len(path) + 1)):
            return
        known = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in self.lines or not length)
        line = self.lines[known][1] if known else None
        said = message.removeprefix("Value error, ").removeprefix("Input should be ")
        if message == "Field required":
            self._note(path, line, "is missing, expected it")
        elif isinstance(value, (dict, list, BaseModel)):
            self._note(path or (next(iter(FILES)),), line, said)
        else:
            self._note(path, line, f"{shown(str(value))}, expected {said}")

    def _lookalike(self, path: Path) -> str:
        """Name a file that was perhaps meant to be the missing one."""
        if path.exists() or not self.folder.is_dir():
            return ""
        return suggestion(path.name, {other.name for other in self.folder.glob("*.y*ml")} - set(FILES.values()))

    def _model(self, node: Node, model: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(node, Mapping):
            return self._note(path, node.line, f"{kind_of(node)}, expected a mapping")
        values: dict[str, Any] = {}
        for key, child in node.items:
            field = model.model_fields.get(key.text)
            if field is None:
                hint = suggestion(key.text, model.model_fields)
                if not hint and _SECRET_KEY.search(key.text):
                    hint = ", expected no secrets here: keys come from the environment"
                expected = hint or f", expected one of {', '.join(model.model_fields)}"
                self._note((*path, key.text), key.line, f"unknown key{expected}")
                continue
            self.lines[(*path, key.text)] = (self.lines[path[:1]][0], key.line)
            value = self._value(child, field.annotation, (*path, key.text))
            if value is not _UNUSABLE:
                values[key.text] = value
        return values

    def _value(self, node: Node, annotation: Any, path: tuple[str, ...]) -> Any:
        """Turn a node into what the annotation asks for; the models check ranges and words afterwards."""
        kind, arguments = _kind(annotation)
        if isinstance(node, Scalar) and node.is_null:
            if NoneType in arguments:
                return None
            return self._note(path, node.line, "no value, expected one")
        if kind is Union:
            kind, arguments = _kind(next(part for part in arguments if part is not NoneType))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return self._model(node, kind, path)
        if kind is dict:
            return self._dict(node, arguments[1], path)
        if kind in {tuple, list, set, frozenset}:
            return self._list(node, arguments[0], path)
        return self._scalar(node, kind, path)

    def _dict(self, node: Node, inner: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(node, Mapping):
            return self._note(path, node.line, f"{kind_of(node)}, expected a mapping")
        values = {}
        for key, child in node.items:
            self.lines[(*path, key.text)] = (self.lines[path[:1]][0], key.line)
            value = self._value(child, inner, (*path, key.text))
            if value is not _UNUSABLE:
                values[key.text] = value
        return values

    def _list(self, node: Node, inner: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(node, Sequence):
            return self._note(path, node.line, f"{kind_of(node)}, expected a list")
        values = []
        for index, child in enumerate(node.items):
            self.lines[(*path, str(index))] = (self.lines[path[:1]][0], child.line)
            values.append(self._value(child, inner, (*path, str(index))))
        return _UNUSABLE if _UNUSABLE in values else values

    def _scalar(self, node: Node, kind: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(node, Scalar):
            return self._note(path, node.line, f"{kind_of(node)}, expected one value")
        text = node.text
        if kind is bool:
            if text not in {"true", "false"}:
                return self._note(path, node.line, f"{shown(text)}, expected true or false")
            return text == "true"
        if kind is int and _INT.fullmatch(text) is None:
            return self._note(path, node.line, f"{shown(text)}, expected a whole number of plain digits")
        if kind is Decimal and _DECIMAL.fullmatch(text) is None:
            return self._note(path, node.line, f"{shown(text)}, expected a decimal of plain digits like 0.08")
        return text


def _kind(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Strip `Annotated` and `NewType`; give the bare kind and its arguments."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            break
    origin = get_origin(annotation)
    if origin is UnionType or origin is Union:
        return Union, get_args(annotation)
    if origin is Literal or origin is None:
        return annotation, ()
    return origin, get_args(annotation)
