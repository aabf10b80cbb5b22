"""What the portfolio database keeps of a run, out of the CEO's own mail."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from departments.executive.report import view_run
from departments.portfolio.records import LookRecord, OrderRecord, RunBooked, RunRecord, instant_text
from messages.mailroom.port import Counter
from messages.orders import OrderUpdated, SnapshotReady
from messages.snapshots import OrderFacts, Snapshot
from messages.values import Recipient, RunId


class JournalRegister:
    """The journal's runs, for a refresh. See `departments.portfolio.refresh.Register`."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def runs(self) -> Mapping[str, bool]:
        """Every run that was accepted, oldest first, and whether it has ended."""
        return {row.run_id: row.closed_at is not None for row in self._counter.runs()}

    def booked(self, run_id: str) -> RunBooked:
        """All that is kept of one.

        Raises:
            MailroomError: The journal can't be read.
            LookupError: The journal doesn't know it.
        """
        return booked(self._counter, RunId(run_id))


def booked(counter: Counter, run_id: RunId) -> RunBooked:
    """Fold one run's mail into what is kept of it. Raises as `JournalRegister.booked`."""
    view = view_run(counter, run_id)
    if view is None:
        raise LookupError(f"expected run {run_id} in the journal, was none")
    orders: dict[str, OrderRecord] = {}
    looks = []
    for mail in counter.history(Recipient.EXECUTIVE, run_id=run_id):
        match mail.envelope.message:
            case OrderUpdated(order_id=str(order_id)) as update:
                orders[order_id] = OrderRecord(
                    order_id=order_id, client_order_id=update.client_order_id, run_id=run_id, leg=update.leg
                )
            case SnapshotReady(snapshot=snapshot):
                looks += _looks(run_id, snapshot)
                for order in snapshot.run_orders or ():
                    orders |= _protection(run_id, order)
            case _:
                pass
    ordered = sorted(orders.values(), key=lambda order: (order.client_order_id, order.order_id))
    return RunBooked(run=_record(view), orders=tuple(ordered), looks=tuple(looks))


def _looks(run_id: RunId, snapshot: Snapshot) -> list[LookRecord]:
    """What a look shows of who is not held; the verifying one doesn't say when it was, by the broker's clock."""
    if snapshot.positions is None or snapshot.clock is None:
        return []
    held = sorted(position.symbol for position in snapshot.positions if position.qty)
    return [LookRecord(run_id=run_id, at=instant_text(snapshot.clock.at), held=f" {' '.join(held)} ")]


def _protection(run_id: RunId, order: OrderFacts) -> dict[str, OrderRecord]:
    """The orders that Alpaca made out of one of ours."""
    leg = order.client_order_id.removeprefix(f"{run_id}-").partition("-")[0]
    return {
        made.order_id: OrderRecord(order_id=made.order_id, client_order_id=made.client_order_id, run_id=run_id, leg=leg)
        for made in order.legs
    }


def _record(view: Mapping[str, Any]) -> RunRecord:
    legs, money, verified = view["legs"], view["money"], view["verification"]["ok"]
    return RunRecord(
        **{name: view[name] for name in ("run_id", "plan_id", "plan_sha256", "account", "phase", "outcome", "reason")},
        **view["policy"],
        **money,
        approved_by=view["approved_by"],
        accepted_at=_instant(view["accepted_at"]) or "",
        started_at=_instant(view["started_at"]),
        ended_at=_instant(view["ended_at"]),
        legs=len(legs),
        legs_filled=sum(leg["status"] == "filled" for leg in legs),
        verified=None if verified is None else "yes" if verified else "no",
    )


def _instant(text: str | None) -> str | None:
    return None if text is None else instant_text(datetime.fromisoformat(text))
