"""The pre-trading checklist: facts in, findings out. Pure; whoever gathers the facts is elsewhere.

A fact that could not be had is `Unknown` and says why; no check takes it for good. What trading needs fails then; what
only helps to judge (a rate limit nobody told, records nobody has yet) warns.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from departments.office.checklist_facts import Facts, Finding, Level, Unknown
from departments.office.interlock import money_at
from departments.office.limits_check import limit_troubles
from messages.plans import Mode
from messages.snapshots import ClockFacts
from messages.values import TradingState, run_of_client_order_id

ACTIVE = "ACTIVE"
SKEW_WARNS_S = 2.0
SKEW_FAILS_S = 30.0
MARKET_TIME_SLACK = timedelta(minutes=1)
DISK_WARNS_BYTES = 1024**3
DISK_FAILS_BYTES = 100 * 1024**2
RATE_WARNS_FRACTION = Decimal("0.5")
RATE_FAILS_FRACTION = Decimal("0.1")
WHOLE_DAY_ENDS = time(16)
"""Source: NYSE, core trading session; half days end at one o'clock."""
NAMED_AT_MOST = 6

Check = Callable[[Facts], Finding]


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Go through the whole list, in its order."""
    return tuple(check(facts) for check in CHECKS)


def config_is_valid(facts: Facts) -> Finding:
    """Every file was read and accepted."""
    if isinstance(facts.settings, Unknown):
        return Finding("configuration", Level.FAIL, facts.settings.why)
    return Finding("configuration", Level.PASS, "every file reads")


def limits_agree(facts: Facts) -> Finding:
    """Limits leave something to do, on this equity."""
    name = "limits"
    if isinstance(facts.settings, Unknown):
        return _undone(name, "the configuration can't be read")
    equity_usd = None if isinstance(facts.account, Unknown) else facts.account.equity_usd
    troubles = limit_troubles(facts.settings, equity_usd)
    fatal = [trouble.text for trouble in troubles if trouble.fatal]
    if troubles:
        level = Level.FAIL if fatal else Level.WARN
        return Finding(name, level, "; ".join(fatal or [trouble.text for trouble in troubles]))
    if equity_usd is None:
        return _undone(name, "they agree with each other; the equity is not known", Level.WARN)
    return Finding(name, Level.PASS, "they agree with each other and with the equity")


def files_are_ours(facts: Facts) -> Finding:
    """Nobody else may write to configuration or state."""
    name = "file modes"
    open_to_others = [f"{one.path} ({one.bits:03o})" for one in facts.modes if one.bits & 0o022]
    if open_to_others:
        return Finding(name, Level.FAIL, f"writable by group or others: {_named(open_to_others)}")
    if not facts.modes:
        return _undone(name, "no file of ours was found")
    return Finding(name, Level.PASS, f"{len(facts.modes)} files and folders, writable by their owner alone")


def keys_are_set(facts: Facts) -> Finding:
    """Alpaca's keys are in the environment and Alpaca takes them."""
    name = "keys"
    if facts.keys:
        return Finding(name, Level.FAIL, f"{' and '.join(facts.keys)} not set")
    if isinstance(facts.account, Unknown):
        return _undone(name, facts.account.why)
    return Finding(name, Level.PASS, "Alpaca takes them")


def money_is_agreed(facts: Facts) -> Finding:
    """Configuration, address and FIRM_HOME all say paper, or all say live."""
    name = "paper or live"
    if isinstance(facts.settings, Unknown) or isinstance(facts.account_name, Unknown):
        return _undone(name, "the configuration can't be read")
    if isinstance(facts.where, Unknown):
        return _undone(name, facts.where.why)
    firm = facts.settings.firm
    mode = firm.accounts[facts.account_name].mode
    said = {
        f"firm.yaml: mode {firm.mode}": firm.mode,
        f"account {facts.account_name}: mode {mode}": mode,
        f"address {facts.where.host}": money_at(f"//{facts.where.host}"),
    }
    if facts.where.home_mode is not None:
        said[f"FIRM_HOME made for {facts.where.home_mode}"] = Mode(facts.where.home_mode)
    if len(set(said.values())) > 1:
        return Finding(name, Level.FAIL, f"expected all the same: {', '.join(said)}")
    if mode is Mode.LIVE:
        return Finding(name, Level.WARN, f"LIVE MONEY at {facts.where.host}")
    return Finding(name, Level.PASS, f"paper money at {facts.where.host}")


def account_number_is_ours(facts: Facts) -> Finding:
    """The account behind the keys is the one that is meant."""
    name = "account number"
    if isinstance(facts.settings, Unknown) or isinstance(facts.account_name, Unknown):
        return _undone(name, "the configuration can't be read")
    if isinstance(facts.account, Unknown):
        return _undone(name, facts.account.why)
    about = facts.settings.firm.accounts[facts.account_name]
    seen = facts.account.account_number
    if about.account_number is None:
        if about.mode is Mode.LIVE:
            return Finding(name, Level.FAIL, f"{seen}; firm.yaml names none for a live account, expected it")
        return Finding(name, Level.WARN, f"{seen}; firm.yaml names none to compare it with")
    if about.account_number != seen:
        return Finding(name, Level.FAIL, f"{seen}, expected {about.account_number} as in firm.yaml")
    return Finding(name, Level.PASS, seen)


def account_may_trade(facts: Facts) -> Finding:
    """Alpaca lets the account trade."""
    name = "account"
    account = facts.account
    if isinstance(account, Unknown):
        return _undone(name, account.why)
    blocks = [
        text
        for is_set, text in (
            (account.status != ACTIVE, f"status {account.status}, expected {ACTIVE}"),
            (account.trading_blocked, "trading is blocked"),
            (account.account_blocked, "the account is blocked"),
            (account.trade_suspended_by_user, "trading is suspended by its owner"),
        )
        if is_set
    ]
    if blocks:
        return Finding(name, Level.FAIL, "; ".join(blocks))
    if account.equity_usd <= 0:
        return Finding(name, Level.FAIL, f"equity {account.equity_usd}, expected more than nothing")
    return Finding(
        name, Level.PASS, f"{account.status}, equity ${account.equity_usd:,.2f}, cash ${account.cash_usd:,.2f}"
    )


def market_is_open(facts: Facts) -> Finding:
    """The broker's clock says open, and for long enough."""
    name = "market"
    clock = facts.clock
    if isinstance(clock, Unknown):
        return _undone(name, clock.why)
    if not clock.is_open:
        return Finding(name, Level.WARN, f"closed until {clock.next_open:%Y-%m-%d %H:%M} UTC: plans wait for it")
    if isinstance(facts.settings, Unknown):
        return _undone(name, "open, but how long it must stay so is not known: the configuration can't be read")
    left = clock.next_close - clock.at
    closes = f"closes {clock.next_close:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(seconds=facts.settings.executive.min_time_to_close_s):
        return Finding(name, Level.WARN, f"open, {closes}: too soon, plans wait for the next day")
    return Finding(name, Level.PASS, f"open, {closes}")


def day_is_whole(facts: Facts) -> Finding:
    """The broker's calendar has a whole trading day today."""
    name = "calendar"
    if isinstance(facts.clock, Unknown):
        return _undone(name, facts.clock.why)
    if isinstance(facts.calendar, Unknown):
        return _undone(name, facts.calendar.why, Level.WARN)
    today = new_york_date(facts.clock)
    found = next((day for day in facts.calendar if day.day == today), None)
    if found is None:
        what = "a weekend" if today.weekday() >= 5 else "a holiday"
        oddly = ", yet the market is open" if facts.clock.is_open else ""
        return Finding(name, Level.WARN, f"{today:%A, %Y-%m-%d} is {what}{oddly}")
    if found.closes < WHOLE_DAY_ENDS:
        return Finding(name, Level.WARN, f"{today} is a half day: closes {found.closes:%H:%M} New York")
    return Finding(name, Level.PASS, f"{today} is a trading day, {found.opens:%H:%M} to {found.closes:%H:%M} New York")


def new_york_date(clock: ClockFacts) -> date:
    """Today in New York, where every session opens at half past nine; needs no table of time zones."""
    opening = datetime.combine(clock.next_open.date(), time(9, 30), clock.next_open.tzinfo)
    return (clock.at - (clock.next_open - opening)).date()


def clocks_agree(facts: Facts) -> Finding:
    """Our clock is right: approvals expire by it."""
    name = "our clock"
    times = facts.times
    if isinstance(times, Unknown):
        return _undone(name, times.why, Level.WARN)
    whose = "the time on Alpaca's answers"
    if times.answered_at is not None:
        skew_s = (times.ours - times.answered_at - timedelta(seconds=0.5)).total_seconds()  # it is cut to the second
    else:
        whose, skew_s = "Alpaca's market clock", (times.ours - times.market).total_seconds()
    detail = f"{abs(skew_s):.1f} s {'ahead of' if skew_s >= 0 else 'behind'} {whose}"
    if abs(skew_s) > SKEW_FAILS_S:
        return Finding(name, Level.FAIL, detail)
    if abs(skew_s) > SKEW_WARNS_S:
        return Finding(name, Level.WARN, detail)
    if times.answered_at is not None and abs(times.market - times.answered_at) > MARKET_TIME_SLACK:
        return Finding(name, Level.WARN, f"{detail}; the market clock says {times.market:%Y-%m-%d %H:%M} UTC")
    return Finding(name, Level.PASS, f"within {SKEW_WARNS_S:.0f} s of {whose}")


def rate_is_left(facts: Facts) -> Finding:
    """Alpaca still takes requests, as many a minute as we pace ourselves by."""
    name = "rate limit"
    rate = facts.rate
    if isinstance(rate, Unknown):
        return _undone(name, rate.why, Level.WARN)
    detail = f"{rate.remaining} of {rate.limit} requests left in this minute"
    if rate.remaining <= RATE_FAILS_FRACTION * rate.limit:
        return Finding(name, Level.FAIL, detail)
    if rate.remaining <= RATE_WARNS_FRACTION * rate.limit:
        return Finding(name, Level.WARN, detail)
    if not isinstance(facts.settings, Unknown) and facts.settings.trading.requests_per_minute > rate.limit:
        ours = facts.settings.trading.requests_per_minute
        return Finding(name, Level.WARN, f"{detail}; trading_config.yaml: requests_per_minute {ours} is more")
    return Finding(name, Level.PASS, detail)


def stream_is_up(facts: Facts) -> Finding:
    """Trade updates come."""
    name = "stream"
    if isinstance(facts.stream, Unknown):
        return _undone(name, facts.stream.why)
    level = {"up": Level.PASS, "mute": Level.WARN}.get(facts.stream.state, Level.FAIL)
    return Finding(name, level, f"{facts.stream.state}: {facts.stream.detail}")


def no_orders_of_others(facts: Facts) -> Finding:
    """No live order of the account is somebody else's."""
    name = "orders of others"
    if isinstance(facts.open_orders, Unknown):
        return _undone(name, facts.open_orders.why)
    if isinstance(facts.journal, Unknown):
        return _undone(name, f"whose the orders are is not known: {facts.journal.why}")
    known = frozenset() if facts.journal is None else facts.journal.known_runs
    others = [
        f"{order.side.value.upper()} {order.symbol} ({order.client_order_id})"
        for order in facts.open_orders
        if run_of_client_order_id(order.client_order_id) not in known
    ]
    if others:
        return Finding(name, Level.WARN, f"{len(others)} open: {_named(others)}; plans on these symbols are refused")
    return Finding(name, Level.PASS, f"none among {len(facts.open_orders)} open orders")


def positions_are_as_recorded(facts: Facts) -> Finding:
    """Alpaca holds what the last verified run left."""
    name = "positions"
    if isinstance(facts.positions, Unknown):
        return _undone(name, facts.positions.why)
    if isinstance(facts.journal, Unknown):
        return _undone(name, facts.journal.why)
    if facts.journal is None or facts.journal.records is None:
        return _undone(name, "no verified run yet to compare with", Level.WARN)
    if facts.journal.runs:
        return _undone(name, f"run {facts.journal.runs[0].run_id} has not ended", Level.WARN)
    records = facts.journal.records
    seen = {position.symbol: position.qty for position in facts.positions if position.qty}
    differ = [
        f"{symbol} {seen.get(symbol, 0)} (recorded {records.shares.get(symbol, 0)})"
        for symbol in sorted(seen.keys() | records.shares.keys())
        if seen.get(symbol, 0) != records.shares.get(symbol, 0)
    ]
    if differ:
        return Finding(name, Level.WARN, f"differ from what run {records.run_id} left: {_named(differ)}")
    return Finding(name, Level.PASS, f"{len(seen)}, as run {records.run_id} left them")


def positions_are_explained(facts: Facts) -> Finding:
    """Executions since the account began explain what Alpaca holds, so that each position's entry is known."""
    name = "entries"
    if isinstance(facts.entries, Unknown):
        return _undone(name, facts.entries.why, Level.WARN)
    if facts.entries is None:
        return _undone(name, "no portfolio database yet, firm rebuild makes it", Level.WARN)
    unexplained = [f"{symbol} ({why})" for symbol, why in facts.entries.unexplained.items()]
    if unexplained:
        what = f"{len(unexplained)} positions that our fills don't explain, entry not known"
        return Finding(name, Level.WARN, f"{what}: {_named(unexplained)}")
    return Finding(name, Level.PASS, f"{facts.entries.explained} positions, all explained by their fills")


def store_is_writable(facts: Facts) -> Finding:
    """Something can be written where the state is kept."""
    name = "store"
    if facts.store_trouble is not None:
        return Finding(name, Level.FAIL, facts.store_trouble)
    if isinstance(facts.journal, Unknown):
        return _undone(name, facts.journal.why)
    if facts.journal is None:
        return Finding(name, Level.WARN, "writable; no journal yet, the first command makes it")
    return Finding(name, Level.PASS, "writable")


def chain_is_whole(facts: Facts) -> Finding:
    """Every row of the journal follows from the one before it."""
    name = "journal"
    if isinstance(facts.journal, Unknown):
        return _undone(name, facts.journal.why)
    if facts.journal is None:
        return _undone(name, "there is none yet", Level.WARN)
    chain = facts.journal.chain
    if chain.broken is not None:
        return Finding(name, Level.FAIL, f"broken: {chain.broken}")
    return Finding(name, Level.PASS, f"{chain.rows} rows follow from each other")


def disk_has_room(facts: Facts) -> Finding:
    """The journal can grow."""
    name = "disk"
    if isinstance(facts.disk_free_bytes, Unknown):
        return _undone(name, facts.disk_free_bytes.why)
    free = facts.disk_free_bytes
    level = Level.FAIL if free < DISK_FAILS_BYTES else Level.WARN if free < DISK_WARNS_BYTES else Level.PASS
    return Finding(name, level, f"{free / 1024**3:,.1f} GiB free")


def daemon_runs(facts: Facts) -> Finding:
    """Somebody will take a plan up."""
    name = "daemon"
    if isinstance(facts.journal, Unknown):
        return _undone(name, facts.journal.why)
    if facts.journal is None or facts.journal.daemon is None:
        return Finding(name, Level.WARN, "none runs: plans wait for firm start")
    return Finding(name, Level.PASS, facts.journal.daemon)


def trading_is_on(facts: Facts) -> Finding:
    """Nobody halted the firm, and it may buy."""
    name = "trading"
    if isinstance(facts.journal, Unknown):
        return _undone(name, facts.journal.why)
    seen = None if facts.journal is None else facts.journal.trading
    if seen is None or seen.state == TradingState.ACTIVE:
        return Finding(name, Level.PASS, TradingState.ACTIVE.value)
    what = "nothing new leaves" if seen.state == TradingState.HALTED else "only SELLs leave"
    because = f"{seen.because or 'no reason given'}, said by {seen.by or 'nobody known'}"
    return Finding(name, Level.FAIL, f"{seen.state}, {what}: {because}; firm resume")


def no_run_is_held(facts: Facts) -> Finding:
    """No run waits for a person; the next one would wait behind it."""
    name = "runs"
    if isinstance(facts.journal, Unknown):
        return _undone(name, facts.journal.why)
    runs = () if facts.journal is None else facts.journal.runs
    held = [f"{run.run_id} ({run.reason})" for run in runs if run.phase == "held"]
    if held:
        return Finding(name, Level.FAIL, f"held: {_named(held)}; firm release or firm abort")
    if runs:
        under_way = [f"{run.run_id} ({run.phase})" for run in runs]
        return Finding(name, Level.WARN, f"under way: {_named(under_way)}; another plan waits")
    return Finding(name, Level.PASS, "none is held, none under way")


def no_dead_letters(facts: Facts) -> Finding:
    """No message was put aside."""
    name = "dead letters"
    if isinstance(facts.journal, Unknown):
        return _undone(name, facts.journal.why)
    count = 0 if facts.journal is None else facts.journal.dead_letters
    if count:
        return Finding(name, Level.WARN, f"{count}: nobody could handle them, see firm status")
    return Finding(name, Level.PASS, "none")


CHECKS: tuple[Check, ...] = (
    config_is_valid,
    limits_agree,
    files_are_ours,
    money_is_agreed,
    keys_are_set,
    account_number_is_ours,
    account_may_trade,
    market_is_open,
    day_is_whole,
    clocks_agree,
    rate_is_left,
    stream_is_up,
    no_orders_of_others,
    positions_are_as_recorded,
    positions_are_explained,
    store_is_writable,
    chain_is_whole,
    disk_has_room,
    daemon_runs,
    trading_is_on,
    no_run_is_held,
    no_dead_letters,
)


def _undone(name: str, why: str, level: Level = Level.FAIL) -> Finding:
    return Finding(name, level, f"not checked: {why}", checked=False)


def _named(items: list[str]) -> str:
    more = f" and {len(items) - NAMED_AT_MOST} more" if len(items) > NAMED_AT_MOST else ""
    return ", ".join(items[:NAMED_AT_MOST]) + more
