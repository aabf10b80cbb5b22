"""`firm init`: makes FIRM_HOME and, where there is none, a configuration. Asks nothing; safe to run again."""

import os
import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.surroundings import CHECKOUT, firm_config, firm_home, firm_settings

if TYPE_CHECKING:
    from departments.office.settings import FirmSettings


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes: nothing."""
    del parser


def run(given: Namespace) -> int:
    """Make what is missing and say what was there."""
    del given
    home, config = firm_home(), firm_config()
    _make_home(home)
    _make_config(config)
    firm = firm_settings()
    accounts = firm.accounts
    _make_key(firm)
    print(f"accounts: {', '.join(f'{name} ({about.mode})' for name, about in accounts.items())}")
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        print(f"{name}: {'set' if os.environ.get(name) else 'not set: firm start needs it, but for a local Alpaca'}")
    print("next: firm start --paper-alpaca, firm approve PLAN.yaml, firm submit PLAN.yaml --wait")
    return Code.DONE


def _make_home(home: Path) -> None:
    there = home.is_dir()
    try:
        (home / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError):
        raise Failure(Code.BAD_INPUT, f"{home}: is not a folder, expected FIRM_HOME to be one") from None
    if not there:
        home.chmod(0o700)
    print(f"FIRM_HOME {home}: {'is there' if there else 'made, for you alone'}")


def _make_key(firm: "FirmSettings") -> None:
    """A key to approve paper plans with; whose key may approve live ones is for a person to write down."""
    from scripts.approval_key import key_path, make_paper_key, signers_path

    if make_paper_key(firm):
        print(f"key {key_path()}: made, for you alone, and enrolled in {signers_path()}")
    elif key_path().exists():
        print(f"key {key_path()}: is there")
    else:
        print(f"key: none made, money is live; expected a line for each approver in {signers_path()}")


def _make_config(config: Path) -> None:
    """Put the shipped files where they are missing; what is there is left alone."""
    shipped = sorted((CHECKOUT / "config").glob("*.yaml"))
    if not shipped:
        raise Failure(Code.BAD_INPUT, f"{CHECKOUT / 'config'}: no such files, expected the shipped configuration")
    config.mkdir(parents=True, exist_ok=True)
    made = [file.name for file in shipped if not (config / file.name).exists()]
    for name in made:
        shutil.copyfile(CHECKOUT / "config" / name, config / name)
    print(f"FIRM_CONFIG {config}: {'copied ' + ', '.join(made) if made else 'is there, left as it is'}")
