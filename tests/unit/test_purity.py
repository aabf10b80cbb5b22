"""Which modules decide, and which touch the world. A new module must be put on one of the two lists."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "departments"
# fmt: off
WORLD = {
    "time", "random", "os", "sys", "socket", "threading", "logging", "structlog", "pathlib", "io",
    "subprocess", "requests", "urllib3", "sqlite3", "uuid", "secrets", "queue", "select", "signal",
    "tempfile", "shutil", "http", "websockets", "alpaca", "pykka", "asyncio", "concurrent", "gc", "getpass",
    "platform", "ssl",
}
# fmt: on
READS_A_CLOCK = {"now", "utcnow", "today"}
TOUCHES = {"open", "print", "input"}

PURE = {
    "compliance": "department review states",
    "executive": "ahead approval department dry_run effect execution phases proof run twin twin_past verification",
    "office": (
        "checklist checklist_facts department done grown interlock limits_check sentences settings sshsig strict_tree"
    ),
    "operations": (
        "department deployment exit_text exits holdings monitor plan_text proposal reasons schedule "
        "sizing targets volatility"
    ),
    "portfolio": "entries records schema",
    "rulebook": (
        "ceilings context facts fitting hours limits losses market money needs past plan_rules portfolio "
        "rules standing timing"
    ),
    "trading": (
        "account broker cancels department door health looks orders pacing placing reconcile rounds "
        "sheet snapshot_asks state strangers unknowns views watch"
    ),
    "trading.alpaca": "endpoints fields translate translate_past",
}
SHELL = {
    "": "firm own_approval",
    "executive": "approval_file bookkeeping plan_file report",
    "office": (
        "actor allowed_signers background bad_input cabinet clock containment directory log_reading "
        "log_writer logs settings_loader strict_fields strict_json strict_yaml supervisor timers"
    ),
    "operations": "candidates",
    "portfolio": "bookkeeper files known_entries refresh store",
    "trading": "account_looks desk histories look_once opening paced position_look reader_in_turn reads turns",
    "trading.alpaca": "connection http inspection rest stream",
}


def _modules(table):
    return {f"{folder}.{name}".strip(".") for folder, names in table.items() for name in names.split()}


def _found():
    paths = (path for path in ROOT.rglob("*.py") if path.name != "__init__.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}


def impurities(source):
    """What in a module's source reaches out of it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] in WORLD)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in WORLD:
                yield module
            case ast.Call(func=ast.Attribute(attr=name)) if name in READS_A_CLOCK:
                yield f"{name}()"
            case ast.Call(func=ast.Name(id=name)) if name in TOUCHES:
                yield f"{name}()"


def test_every_department_module_is_on_one_list():
    pure, shell = _modules(PURE), _modules(SHELL)

    assert pure.isdisjoint(shell)
    assert _found() == pure | shell


@pytest.mark.parametrize("module", sorted(_modules(PURE)))
def test_a_pure_module_touches_nothing(module):
    source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")

    assert list(impurities(source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import random",
        "import structlog",
        "datetime.now(UTC)",
        "open('x')",
        "from os import path",
    ],
)
def test_an_impurity_is_seen(source):
    assert list(impurities(source)) != []
