"""The sentence for people that belongs to each event of the log.

Events are constant dotted names; operators and scripts watch for some of these sentences, word by word (the contract
names them). A field stands in braces; a list becomes words with commas; `{SIDE}` is the side in capitals; `{x:usd}` is
an amount of money.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

SENTENCES: Final[Mapping[str, str]] = {
    # the firm
    "firm.started": "The firm is open for business",
    "firm.stopping": "The firm is closing",
    "firm.stopped": "The firm is closed",
    "actor.replaced": "{about} failed and was replaced: {error}",
    "firm.leftovers": "Still there after the stop, a bug: {actors}",
    "store.failed": "THE STORE FAILED, the firm stops: {reason}",
    "replay.differs": "The journal replayed gives something else than it did then: {detail}",
    "library.said": "{library}: {said}",
    "log.lines_lost": "{count} lines of this log were lost; the journal has every fact",
    "mail.dead_lettered": "Nobody could handle {message_type}: {reason}; see firm status",
    "mail.ignored": "{message_type} means nothing here",
    "trading.halted": "TRADING HALTED: {reason}",
    "trading.reducing": "TRADING IS REDUCING, SELLs alone may leave: {reason}",
    "trading.restricted_again": "TRADING IS {state} AGAIN, what was resumed from still stands: {reason}",
    "trading.unchanged": "Trading stays {state}, {by} said: {reason}",
    "trading.resumed": "Trading is resumed",
    "loss.beyond_limit": "LOSS LIMIT: {rule}: {figure} against {limit}",
    # a run
    "run.accepted": "Plan {plan_id} is accepted: {sells} SELLs, {buys} BUYs",
    "run.already_here": "The plan is here already; nothing new is started",
    "run.unknown": "{message_type} is about a run that is not here",
    "run.started": "The run begins: {sells} SELLs, {buys} BUYs",
    "run.waiting_turn": "The run waits for {before} to end",
    "run.phase": "The run goes on to {phase}",
    "market.closed": "The run waits for the market: {detail}",
    "market.open": "The market is open",
    "sells.executing": "STEP 1: Executing {count} SELL orders",
    "sells.waiting": "Waiting for {count} orders to fill: {symbols}",
    "sells.filled": "All SELL orders filled successfully",
    "sells.short": "Not every SELL filled: {detail}",
    "gate.asked": "Asking Alpaca whether the proceeds are there",
    "gate.waiting": "The BUYs wait: {reason}",
    "gate.opened": "The gate is open: proceeds {proceeds:usd}, cash {cash_at_gate:usd}",
    "buys.executing": "STEP 2: Executing {count} BUY orders",
    "buys.waiting": "Waiting for {count} orders to fill: {symbols}",
    "buys.filled": "All BUY orders filled successfully",
    "buys.unfilled": "Not filled, given up: {symbols}",
    "run.reducing": "The run sells what it has to and buys nothing more: {reason}",
    "plan.reviewed": "Reviewed ({stage}): {kept} legs kept, {cut} cut, {dropped} dropped",
    "plan.rejected": "REJECTED, the whole plan: {rule}: {figure} against {limit}",
    "limit.breached_before": "Was broken before the plan: {rule}: {figure} against {limit}",
    "buys.fitted": "Fitted to the money: {kept} BUYs kept, {cut} cut, {dropped} dropped",
    "leg.denied": "REJECTED {SIDE} {symbol}: {rule}: {figure} against {limit}",
    "leg.dropped": "DROPPED {SIDE} {symbol}: {rule}: {figure} against {limit}",
    "leg.cut": "CUT {SIDE} {symbol} from {planned_qty} to {qty}: {rule}: {figure} against {limit}",
    "run.held": "THE RUN IS HELD ({reason}): {detail}",
    "run.hold_asked": "The run must be held ({reason}): {detail}",
    "run.not_held": "{by} released a run that is not held",
    "run.release_while_halted": "{by} released a run while trading is halted: firm resume comes first",
    "run.resumed": "The run goes on ({reason} is over)",
    "run.released": "{by} released the run ({reason})",
    "run.aborting": "The run is being aborted: {reason}",
    "run.expiring": "The approval has expired; nothing new is sent",
    "verification.ok": "Verified: Alpaca shows what was expected",
    "verification.failed": "VERIFICATION FAILED: {differences}",
    "run.completed": "The run is completed",
    "run.replayed": "THE APPROVAL IS A REPLAY: run {before} was approved with the same nonce",
    "run.rejected": "THE PLAN IS REJECTED: {reason}",
    "run.aborted": "The run is aborted: {reason}",
    "run.expired": "The run has expired: {reason}",
    # proposals
    "candidate.skipped": "Skipped {symbol}: {why}",
    "plan.proposed": "Proposed {plan}: {bought} of {candidates} candidates bought",
    # orders
    "order.intended": "{SIDE} {qty} {symbol} is written down, to be sent",
    "order.resent": "{SIDE} {qty} {symbol} is sent again with the same id",
    "order.submitted": "{SIDE} {qty} {symbol} is at Alpaca",
    "order.partially_filled": "{SIDE} {symbol}: {filled_qty} of {qty} filled at {price}",
    "order.filled": "{SIDE} {symbol}: {filled_qty} of {qty} filled at {price}",
    "order.canceled": "{SIDE} {symbol} is canceled, {filled_qty} of {qty} were filled",
    "order.expired": "{SIDE} {symbol} has expired, {filled_qty} of {qty} were filled",
    "order.rejected": "Alpaca REJECTED {SIDE} {qty} {symbol}",
    "order.refused": "Alpaca REFUSED {SIDE} {qty} {symbol}: {reason}",
    "order.replaced": "{SIDE} {symbol} was replaced by somebody else, {filled_qty} of {qty} were filled",
    "order.not_sent": "{leg} was not sent ({reason}): {detail}",
    "order.place_ignored": "An order is not placed: {reason}",
    "order.unknown": "{SIDE} {qty} {symbol} may or may not be at Alpaca: {reason}",
    "order.absent": "{SIDE} {qty} {symbol} is not found at Alpaca, watched on: {reason}",
    "order.appeared": "{SIDE} {qty} {symbol} appeared at Alpaca after all",
    "order.vanished": "{SIDE} {qty} {symbol} was at Alpaca and is not found any more",
    "order.cancel_asked": "{SIDE} {symbol} is to be canceled: {reason}",
    "order.refusal_ignored": "A refusal of {SIDE} {symbol} means nothing any more: {reason}",
    "order.door_ignored": "A closed door for {SIDE} {symbol} means nothing any more: {reason}",
    "order.status_unknown": "{SIDE} {symbol} has a status that is new to us: {raw_status}",
    "order.contradictory": "Alpaca's word on {SIDE} {symbol} contradicts itself ({filled_qty} of {qty} filled)",
    "order.executions_differ": "{SIDE} {symbol}: {filled_qty} filled, its executions add up to {executions_qty}",
    "order.fill_busted": "Alpaca took back an execution of {SIDE} {symbol}: {what}, {fill_qty}",
    "order.foreign": "An order bears an id of ours and is not ours: {SIDE} {qty} {symbol}: {reason}",
    "order.stranger": "An order of somebody else's is on {symbol}: {what}",
    "order.live_after_end": "{SIDE} {qty} {symbol} lives on after its run has ended",
    "order.late_unknown_cancelled": "{SIDE} {qty} {symbol} came to light after its run and is being canceled",
    "order.late_unknown_ended": "{SIDE} {qty} {symbol} came to light after its run and is over ({status})",
    # the portfolio database
    "books.refreshed": "The portfolio database is up to date: {fills} fills ({new_fills} new), {positions} positions",
    "books.made_anew": "The portfolio database is made anew: {why}",
    "books.not_refreshed": "The portfolio database could not be refreshed and is tried again later: {why}",
    # the position monitor
    "monitor.reviewed": "Positions reviewed ({review} New York): {sells} to sell, {kept} kept",
    "monitor.exit": "Proposed ({review}): {detail}",
    "monitor.kept": "Reviewed ({review}): {detail}",
    "monitor.no_plan": "No exit can be proposed ({review}): {why}",
    "monitor.skipped": "The review of {review} New York is skipped: {why}",
    "monitor.filed": "1 exit proposal waits for approval: FIRM_HOME/proposals/{file}",
    "monitor.approved": "The exit proposal {plan_id} is approved by {by} and handed in",
    "monitor.not_filed": "The exit proposal {plan_id} did not get where it should: {reason}",
    # the way to Alpaca
    "stream.up": "The stream is up",
    "stream.down": "The stream is down: {detail}",
    "stream.reconnecting": "The stream is connected again in {in_s} s: {why}",
    "stream.unreadable": "The stream said something unreadable, Alpaca is asked instead: {why}",
    "stream.mute": "The stream is mute, Alpaca is asked instead: {detail}",
    "broker.keys_refused": "Alpaca refuses the keys: {why}",
    "broker.tries_again": "A call did not reach Alpaca and is made again: {why}",
    "broker.read_failed": "Alpaca could not be read ({call}): {why}",
    "broker.not_warm": "{what} could not be read ahead: {why}",
    "snapshot.unavailable": "A look at the account ({purpose}) can't be had: {reason}",
    "broker.rest_up": "Alpaca answers again",
    "broker.rest_down": "Alpaca does not answer: {detail}",
}


_UNSAID: Final[Mapping[str, str]] = {"SIDE": "BUY", "limit": "no limit"}


class _Words(str):
    """A field as it stands in a sentence."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        if spec != "usd":
            return str(self)
        try:
            amount = Decimal(self).quantize(Decimal("0.01"))
        except InvalidOperation:
            return str(self)
        return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


class _Fields(dict[str, _Words]):
    """A record's fields for a sentence; one that is missing is shown as missing."""

    def __missing__(self, key: str) -> _Words:
        return _Words(_UNSAID.get(key, "?"))


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """The sentence of an event; the event's own name where it has none. Never raises.

    Args:
        event: `sells.executing`.
        fields: Plain values, as they are written.
    """
    template = SENTENCES.get(event)
    if template is None:
        return event
    words = _Fields({key: _words(value) for key, value in fields.items()})
    if isinstance(fields.get("side"), str):
        words["SIDE"] = _Words(fields["side"].upper())
    return template.format_map(words)


def _words(value: Any) -> _Words:
    return _Words(", ".join(str(one) for one in value) if isinstance(value, list | tuple) else str(value))
