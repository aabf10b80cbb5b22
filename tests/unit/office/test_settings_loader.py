import shutil
import types
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from departments.office.bad_input import BadInput
from departments.office.settings import AccountSettings, FirmSettings, Settings
from departments.office.settings_loader import FILES, load_firm_settings, load_settings
from messages.values import AccountName

SHIPPED = Path(__file__).parents[3] / "config"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES.values():
        shutil.copy(SHIPPED / name, tmp_path / name)
    return tmp_path


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def line_of(folder: Path, name: str, start: str) -> str:
    """`FILE:LINE` of the line that begins so; the shipped files may grow."""
    lines = (folder / name).read_text().splitlines()
    (number,) = [at for at, line in enumerate(lines, start=1) if line.strip().startswith(start)]
    return f"{name}:{number}"


def complaints(folder: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load_settings(folder)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def leaf_keys(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        inner = [part for part in get_args(kind) if isinstance(part, type) and issubclass(part, BaseModel)]
        if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel):
            yield from ((name, *rest) for rest in leaf_keys(kind))
        elif inner:
            yield from ((name, "*", *rest) for rest in leaf_keys(inner[0]))
        else:
            yield (name,)


def test_the_shipped_configuration_equals_the_defaults_of_the_code():
    settings = load_settings(SHIPPED)

    assert settings == Settings(firm=FirmSettings(accounts={AccountName("paper"): AccountSettings()}))


@pytest.mark.parametrize("key", [key for key in leaf_keys(Settings) if key[0] in FILES], ids=".".join)
def test_every_setting_stands_in_its_file_on_a_commented_line_of_its_own(key):
    lines = (SHIPPED / FILES[key[0]]).read_text().splitlines()

    mine = [line for line in lines if line.strip().startswith(f"{key[-1]}:")]

    assert mine, f"config/{FILES[key[0]]} lacks a line for {'.'.join(key[1:])}"
    assert all("#" in line for line in mine), f"no comment beside {'.'.join(key)}"


def test_every_file_of_the_configuration_is_a_field_of_settings():
    assert {path.name for path in SHIPPED.glob("*.yaml")} == set(FILES.values())
    assert set(FILES) == set(Settings.model_fields) - {"signers"}


def test_a_changed_value_arrives(folder):
    edit(folder, "hard_constraints.yaml", "max_position_fraction: 0.08", 'max_position_fraction: "0.05"')
    edit(folder, "operations_config.yaml", "allow_fractional: false", "allow_fractional: true")
    edit(folder, "executive_config.yaml", "sell_shortfall: hold", "sell_shortfall: resize")

    settings = load_settings(folder)

    assert settings.hard_constraints.position_limits.max_position_fraction == Decimal("0.05")
    assert settings.operations.allow_fractional is True
    assert settings.executive.sell_shortfall.value == "resize"


def test_all_problems_of_all_files_are_told_together_with_file_line_and_key(folder):
    edit(folder, "trading_config.yaml", "workers: 4 ", "workers: 99")
    edit(folder, "trading_config.yaml", "read_timeout_s", "read_timout_s")
    edit(folder, "executive_config.yaml", "funding: proceeds", "funding: credit")
    edit(folder, "hard_constraints.yaml", "max_positions_total: 30", "max_positions_total: 3O")
    (folder / "operations_config.yaml").unlink()

    said = complaints(folder)

    at = {
        key: line_of(folder, f"{file}.yaml", key)
        for file, key in [
            ("executive_config", "funding"),
            ("hard_constraints", "max_positions_total"),
            ("trading_config", "read_timout_s"),
            ("trading_config", "workers"),
        ]
    }
    limits = "position_limits.max_positions_total"
    assert said == [
        f"{at['funding']}: funding: 'credit', expected 'proceeds', 'cash' or 'buying_power'",
        f"{at['max_positions_total']}: {limits}: '3O', expected a whole number of plain digits",
        "operations_config.yaml: no such file, expected the settings of operations_config.yaml",
        f"{at['read_timout_s']}: read_timout_s: unknown key, did you mean 'read_timeout_s'?",
        f"{at['workers']}: workers: '99', expected less than or equal to 16",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("workers: 4 ", "workers: 4.0 ", "'4.0', expected a whole number"),
        ("workers: 4 ", "workers: 1_0 ", "expected a whole number"),
        ("workers: 4 ", "workers: \uff14 ", "expected a whole number"),
        ("workers: 4 ", "workers: ", "no value, expected one"),
        ("workers: 4 ", "workers: [4] ", "a list, expected one value"),
        ("workers: 4 ", "workers: 4\nworkers: 4 ", "stands twice"),
        ("workers: 4 ", "secret_key: abc\nworkers: 4 ", "keys come from the environment"),
    ],
)
def test_a_value_that_could_mean_two_things_is_refused(folder, old, new, words):
    edit(folder, "trading_config.yaml", old, new)

    said = complaints(folder)

    assert len(said) == 1
    assert said[0].startswith("trading_config.yaml:1")
    assert words in said[0]


@pytest.mark.parametrize("value", ["yes", "on", "True", "1", "'maybe'"])
def test_a_switch_is_true_or_false_and_nothing_else(folder, value):
    edit(folder, "operations_config.yaml", "allow_fractional: false", f"allow_fractional: {value}")

    assert "expected true or false" in complaints(folder)[0]


@pytest.mark.parametrize("value", ["1e-2", "NaN", "inf", ".08", "-0.08", "0,08", "\uff10.08"])
def test_a_fraction_is_a_decimal_of_plain_digits(folder, value):
    edit(folder, "hard_constraints.yaml", "max_position_fraction: 0.08", f"max_position_fraction: {value}")

    assert "position_limits.max_position_fraction" in complaints(folder)[0]


def test_a_section_that_is_no_mapping_is_named(folder):
    edit(folder, "compliance_config.yaml", "  cash_reserve: 0", "  - cash_reserve")

    where = line_of(folder, "compliance_config.yaml", "- cash_reserve")
    assert complaints(folder) == [f"{where}: cash: a list, expected a mapping"]


def test_a_secret_typed_into_a_file_is_not_repeated(folder):
    edit(folder, "firm.yaml", "    mode: paper", "    APCA_API_SECRET_KEY: hunter2hunter2\n    mode: paper")

    said = complaints(folder)

    assert "hunter2" not in "".join(said)
    assert "keys come from the environment" in said[0]


def test_a_file_with_a_similar_name_is_suggested(folder):
    (folder / "firm.yaml").rename(folder / "firms.yaml")

    assert complaints(folder) == [
        "firm.yaml: no such file, expected the settings of firm.yaml, did you mean 'firms.yaml'?"
    ]


def test_accounts_alone_need_only_their_file(folder):
    (folder / "trading_config.yaml").write_text("broken: [")

    assert set(load_firm_settings(folder).accounts) == {"paper"}


def test_a_folder_that_is_missing_names_every_file(tmp_path):
    said = complaints(tmp_path / "nowhere")

    assert len(said) == len(FILES)
    assert all("no such file" in line for line in said)


def test_with_live_money_the_firm_approves_nothing_itself(folder):
    edit(folder, "firm.yaml", "mode: paper                 #", "mode: live                 #")
    edit(folder, "operations_config.yaml", "auto_approve_exits: false", "auto_approve_exits: true")

    (said,) = complaints(folder)

    assert said.startswith("firm.yaml: ")
    assert "mode: live, expected paper while operations_config.yaml says monitor.auto_approve_exits: true" in said


@pytest.mark.parametrize(
    ("mode", "approves"), [("live", "false"), ("paper", "true")], ids=["people with live money", "the firm on paper"]
)
def test_either_alone_is_accepted(folder, mode, approves):
    edit(folder, "firm.yaml", "mode: paper                 #", f"mode: {mode}                 #")
    edit(folder, "operations_config.yaml", "auto_approve_exits: false", f"auto_approve_exits: {approves}")

    assert load_settings(folder).operations.monitor.auto_approve_exits is (approves == "true")


@pytest.mark.parametrize("time", ["09:29", "16:00", "9:45", "10:60", "1000", "10:00:00", ""])
def test_a_review_is_at_a_time_of_the_exchange(folder, time):
    edit(folder, "operations_config.yaml", '"15:30"]', f'"{time}"]')

    (said,) = complaints(folder)

    assert "monitor.times" in said


def test_when_positions_are_reviewed_is_no_part_of_the_policy(folder):
    before = load_settings(folder).rules_sha256()
    edit(folder, "operations_config.yaml", '"15:30"]', '"15:31"]')

    assert load_settings(folder).rules_sha256() == before
