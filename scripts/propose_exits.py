"""`firm propose --exits`: which positions to leave, and why. Reads only; sends nothing."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.surroundings import firm_home, now

if TYPE_CHECKING:
    from departments.office.settings import Settings
    from departments.trading.broker import Broker
    from departments.trading.position_look import Seen
    from messages.snapshots import EntryFacts, PlannedLevels
    from messages.values import AccountName
    from scripts.account_look import Seen as AccountSeen

NOT_WITH_EXITS = ("top_up", "regime", "sizing", "funding", "target")


def run_exits(given: Namespace) -> int:
    """Propose SELLs; 0 when the plan is written, 4 when the account allows none."""
    from departments.operations.exit_text import exit_plan_text
    from departments.operations.exits import ExitAsk, propose_exits
    from messages.values import PlanId
    from scripts.propose import prove, refuse_to_overwrite, write
    from scripts.surroundings import all_settings, the_account

    for name in NOT_WITH_EXITS:
        if getattr(given, name) is not None:
            raise Failure(
                Code.BAD_INPUT, f"firm propose: --{name.replace('_', '-')} with --exits, expected one of the two"
            )
    refuse_to_overwrite(given)
    settings = all_settings()
    scores = _scores(given.candidates)
    account = the_account(settings.firm)
    at = now()
    seen, live = _look(settings, account)
    ask = ExitAsk(
        account=account, snapshot=seen.snapshot, holdings=seen.holdings, levels=_levels(account), scores=scores
    )
    proposal = propose_exits(ask, settings)
    if proposal.violations:
        from departments.operations.exit_text import said

        raise Failure(Code.REJECTED, f"firm propose: no plan: {'; '.join(map(said, proposal.violations))}")
    text = exit_plan_text(
        proposal,
        plan_id=PlanId(given.plan_id or f"EXITS_{at:%Y%m%d_%H%M%S}"),
        account=account,
        expires_at=None,
        title=f"Exits proposed {at:%Y-%m-%d %H:%M:%S} UTC.",
    )
    prove(given.output, text, proposal.trades, live, settings)
    write(given.output, text, force=given.force)
    from scripts.propose_tables import exits_document, print_exits

    shown = exits_document(given.output, ask, proposal)
    if given.json:
        print(json.dumps(shown, indent=2))
    else:
        print_exits(shown)
    return Code.DONE


def _scores(path: Path | None) -> Mapping[str, Decimal]:
    """Scores of a file of candidates; none where none is given."""
    from departments.office.bad_input import BadInput
    from departments.operations.candidates import read_candidates

    if path is None:
        return {}
    try:
        items = read_candidates(path).items
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    return {one.symbol: one.score for one in items if one.score is not None}


def _look(settings: "Settings", account: "AccountName") -> "tuple[Seen, AccountSeen]":
    """One look at the positions, reads only, and the same with what Compliance needs besides.

    Raises:
        Failure: It could not be had.
    """
    from functools import partial

    from departments.operations.holdings import holding_facts
    from departments.trading.alpaca.endpoints import endpoints
    from departments.trading.alpaca.rest import AlpacaBroker
    from departments.trading.broker import BrokerError
    from departments.trading.position_look import PositionLook
    from scripts.account_look import look_through
    from scripts.surroundings import alpaca_keys

    try:
        alpaca = endpoints(os.environ)
    except ValueError as error:
        raise Failure(Code.BAD_INPUT, f"firm propose: {error}") from None
    key_id, secret_key = alpaca_keys("firm propose")
    broker = AlpacaBroker(
        endpoints=alpaca,
        key_id=key_id,
        secret_key=secret_key,
        connect_timeout_s=settings.trading.connect_timeout_s,
        read_timeout_s=settings.trading.read_timeout_s,
    )
    try:
        entries = partial(_entries, settings, account, broker)
        seen = PositionLook(holdings=holding_facts, entries=entries).at_all(broker, now)
        symbols = tuple(one.symbol for one in seen.snapshot.assets or ())
        return seen, look_through(broker, settings, symbols)._replace(snapshot=seen.snapshot)
    except BrokerError as error:
        raise Failure(Code.UNREACHABLE, f"firm propose: {alpaca.rest_url}: {error}") from None
    finally:
        broker.close()


def _entries(settings: "Settings", account: "AccountName", broker: "Broker") -> "tuple[EntryFacts, ...]":
    """Since when positions are held, out of the portfolio database, brought up to date first.

    Raises:
        BrokerError: Executions could not be read.
    """
    from departments.portfolio.files import FILE
    from departments.portfolio.known_entries import known_entries
    from departments.portfolio.records import BooksError
    from departments.portfolio.refresh import refresh
    from departments.trading.paced import PacedReader, turns_of_its_own
    from scripts.rebuild import PATIENCE_S, journal_register
    from scripts.surroundings import private_files

    home = firm_home()
    reader = PacedReader(turns_of_its_own(settings.trading.requests_per_minute), broker)
    with private_files():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with journal_register() as register:
                refresh(home / FILE, account=account, reader=reader, register=register, patience_s=PATIENCE_S)
        except BooksError as error:
            sys.stderr.write(f"warning: the portfolio database is as it was: {error}\n")
    return known_entries(home / FILE, account)


def _levels(account: "AccountName") -> "Mapping[str, PlannedLevels]":
    """What the plans that the firm executed say of leaving what they bought; nothing where there is no journal."""
    from departments.operations.monitor import levels_told
    from messages.values import Recipient
    from scripts.surroundings import open_counter, store_path

    path = store_path()
    if path is not None and not path.exists():
        return {}
    with open_counter(account) as counter:
        return levels_told(mail.envelope.message for mail in counter.history(Recipient.OPERATIONS, run_id=None))
