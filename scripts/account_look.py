"""What commands see of the account: one look through the broker, reads alone, and Compliance's word on a plan there."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.surroundings import alpaca_keys, now

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from messages.plans import Plan
    from messages.reviews import PlanReviewed
    from messages.snapshots import Snapshot


def look(command: str, settings: "Settings", symbols: Iterable[str]) -> "Snapshot":
    """Look at the account once; sends nothing.

    Args:
        command: Who asks, for the failure's line.
        settings: For the waits.
        symbols: Whose assets and quotes are wanted.

    Raises:
        Failure: It could not be had.
    """
    from departments.trading.alpaca.endpoints import endpoints
    from departments.trading.alpaca.rest import AlpacaBroker
    from departments.trading.broker import BrokerError
    from departments.trading.look_once import look_once

    try:
        alpaca = endpoints(os.environ)
    except ValueError as error:
        raise Failure(Code.BAD_INPUT, f"{command}: {error}") from None
    key_id, secret_key = alpaca_keys(command)
    broker = AlpacaBroker(
        endpoints=alpaca,
        key_id=key_id,
        secret_key=secret_key,
        connect_timeout_s=settings.trading.connect_timeout_s,
        read_timeout_s=settings.trading.read_timeout_s,
    )
    try:
        return look_once(broker, symbols=symbols, now=now)
    except BrokerError as error:
        raise Failure(Code.UNREACHABLE, f"{command}: {alpaca.rest_url}: {error}") from None
    finally:
        broker.close()


def verdict_on(plan: "Plan", live: "Snapshot", settings: "Settings") -> "PlanReviewed":
    """Compliance's own review of a plan before anything is sent, on this look."""
    from departments.compliance.review import review
    from departments.rulebook.limits import limits_of
    from messages.reviews import ReviewPlan, Stage
    from messages.values import run_id_for

    ask = ReviewPlan(
        run_id=run_id_for(plan.account, plan.plan_sha256),
        review=1,
        stage=Stage.SUBMISSION,
        trades=plan.trades,
        snapshot=live,
        funding=plan.funding or settings.executive.funding,
    )
    return review(ask, limits_of(settings), settings.executive.on_violation)
