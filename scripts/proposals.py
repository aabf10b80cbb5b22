"""Exit proposals that wait for a person: the newest of FIRM_HOME/proposals, while it counts and wasn't handed in."""

from collections.abc import Container
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.surroundings import firm_home

if TYPE_CHECKING:
    from messages.values import AccountName, RunId


def proposals_folder() -> Path:
    """Where the position monitor files them."""
    from departments.office.cabinet import FOLDER

    return firm_home() / FOLDER


def waiting_proposals(account: "AccountName", known: Container["RunId"], now: datetime) -> list[dict[str, Any]]:
    """What waits: a later review takes the place of an earlier one. A file that can't be read waits for a look.

    Args:
        account: Whose it must be.
        known: Runs that were handed in.
        now: Store's clock.
    """
    from departments.executive.plan_file import read_plan
    from departments.office.bad_input import BadInput
    from departments.office.strict_yaml import read_bytes
    from messages.values import run_id_for

    files = sorted(proposals_folder().glob("EXITS_*.yaml"))
    if not files:
        return []
    path = files[-1]
    try:
        plan, _ = read_plan(read_bytes(path, expected="a plan file"), name=str(path), accounts=(account,))
    except BadInput as error:
        return [{"plan_id": None, "path": str(path), "expires_at": None, "orders": None, "problem": str(error)}]
    expired = plan.expires_at is not None and plan.expires_at <= now
    if expired or run_id_for(plan.account, plan.plan_sha256) in known:
        return []
    expires_at = None if plan.expires_at is None else plan.expires_at.isoformat()
    return [
        {
            "plan_id": plan.plan_id,
            "path": str(path),
            "expires_at": expires_at,
            "orders": len(plan.trades),
            "problem": None,
        }
    ]
