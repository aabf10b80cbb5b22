"""What commands see of the account: one look through the broker, reads alone, and Compliance's word on a plan there.

Beside the broker's word stands the firm's own, from its store: what it has done today.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.failure import Code, Failure
from scripts.surroundings import alpaca_keys, now, open_counter, store_path

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from departments.rulebook.limits import Limits
    from departments.trading.broker import Reader
    from messages.plans import Plan
    from messages.reviews import PlanReviewed, Today
    from messages.snapshots import History, Snapshot


class Seen(NamedTuple):
    """The account as it is, and what went before as far as a rule or the asker needs it.

    Attributes:
        today: The firm's own counts, a plan taken as approved now; None where no rule that is on needs them.
    """

    snapshot: "Snapshot"
    history: "History | None"
    today: "Today | None"


def look(command: str, settings: "Settings", symbols: Iterable[str], *, bars_of: Iterable[str] = ()) -> Seen:
    """Look at the account once; sends nothing.

    Args:
        command: Who asks, for the failure's line.
        settings: For the waits, and the rules that look back.
        symbols: Whose assets and quotes are wanted.
        bars_of: Whose daily bars are wanted whatever the rules need.

    Raises:
        Failure: It could not be had.
    """
    from departments.trading.alpaca.endpoints import endpoints
    from departments.trading.alpaca.rest import AlpacaBroker
    from departments.trading.broker import BrokerError

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
        return look_through(broker, settings, tuple(symbols), tuple(bars_of))
    except BrokerError as error:
        raise Failure(Code.UNREACHABLE, f"{command}: {alpaca.rest_url}: {error}") from None
    finally:
        broker.close()


def look_through(
    reader: "Reader", settings: "Settings", symbols: tuple[str, ...], bars_of: tuple[str, ...] = ()
) -> Seen:
    """As `look`, with a reader that is there already.

    Raises:
        BrokerError: It could not be read.
    """
    from departments.rulebook.limits import limits_of
    from departments.rulebook.needs import history_needed
    from departments.trading.look_once import history_once, look_once
    from messages.snapshots import HistoryPart

    limits = limits_of(settings)
    today = _today(limits)
    snapshot = look_once(reader, symbols=symbols, now=now)
    parts = set(history_needed(limits))
    if HistoryPart.BARS in parts:
        bars_of = (*symbols, *(position.symbol for position in snapshot.positions or ()))
    known = {asset.symbol for asset in snapshot.assets or ()} | {one.symbol for one in snapshot.positions or ()}
    wanted = [symbol for symbol in bars_of if symbol in known]
    if wanted:
        parts.add(HistoryPart.BARS)
    return Seen(snapshot, history_once(reader, parts, wanted, now, clock=snapshot.clock), today)


def _today(limits: "Limits") -> "Today | None":
    """What the firm has done today; a store that was never made knows of nothing.

    Raises:
        Failure: The store can't be read.
    """
    from messages.reviews import Today

    if limits.max_plans_a_day is None and limits.max_orders_a_day is None and limits.max_plan_age_s is None:
        return None
    at, path = now(), store_path()
    if path is not None and not path.exists():
        return Today(plans=0, orders=0, approved_at=at, asked_at=at)
    from departments.executive.report import fold
    from messages.values import AccountName, Recipient

    with open_counter() as counter:
        state = fold(counter.history(Recipient.EXECUTIVE, run_id=None), counter, AccountName(""))
    tally = state.account.tally_of(at)
    return Today(plans=tally.plans, orders=tally.orders, approved_at=at, asked_at=at)


def trading_now() -> dict[str, Any]:
    """The account's trading state as its store and the letterbox tell it: state, why, who set it.

    Raises:
        Failure: The store can't be read.
    """
    from departments.executive.department import Trading
    from departments.executive.report import fold, view_trading
    from messages.values import AccountName, Recipient
    from scripts.status import with_words_not_yet_read

    path = store_path()
    if path is not None and not path.exists():
        return view_trading(Trading())
    with open_counter() as counter:
        state = fold(counter.history(Recipient.EXECUTIVE, run_id=None), counter, AccountName(""))
        return with_words_not_yet_read(view_trading(state.account.trading), counter)


def verdict_on(plan: "Plan", live: Seen, settings: "Settings") -> "PlanReviewed":
    """Compliance's own review of a plan before anything is sent, on this look; with what its losses ask for."""
    from departments.compliance.review import review
    from departments.compliance.states import losses
    from departments.rulebook.limits import limits_of
    from messages.reviews import ReviewPlan, Stage
    from messages.values import run_id_for

    ask = ReviewPlan(
        run_id=run_id_for(plan.account, plan.plan_sha256),
        review=1,
        stage=Stage.SUBMISSION,
        trades=plan.trades,
        snapshot=live.snapshot,
        funding=plan.funding or settings.executive.funding,
        history=live.history,
        today=live.today,
    )
    limits = limits_of(settings)
    verdict = review(ask, limits, settings.executive.on_violation)
    return verdict.model_copy(update={"losses": losses(live.snapshot, live.history, limits)})
