"""What people and programs are shown: the contract's JSON, and that it is the CEO's own state."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from departments.executive.department import ExecutiveDepartment
from departments.executive.phases import Held, HoldReason, Selling
from departments.executive.report import leg_status, slippage_bps, view_firm, view_phase, view_run, waiting_for
from departments.office.settings import Settings
from messages.control import AbortRun, Deadline, HaltTrading
from messages.message import Message
from messages.orders import OrderStatus
from messages.plans import SubmitPlan
from messages.reviews import ReviewPlan, Violation
from messages.values import LegId, Recipient, Side
from scripts.run_tables import print_report
from tests.builders.plans import ACCOUNT, NOW, a_plan, a_submission, run_id_of, some_settings
from tests.fakes.mailroom import FakeMailroom
from tests.unit.executive.machine import Driver, decisions

CONTRACT = {
    "run_id", "plan_id", "plan_sha256", "account", "phase", "outcome", "reason", "waiting_for", "policy", "started_at",
    "ended_at", "gate", "legs", "verification",
}  # fmt: skip
GATE = {
    "opened_at", "last_sell_filled_at", "first_buy_sent_at", "proceeds", "cash_before", "cash_at_gate", "buys_value",
}  # fmt: skip
LEG = {
    "leg", "symbol", "side", "qty", "status", "filled_qty", "filled_avg_price", "reference_price", "client_order_id",
    "order_id", "submitted_at", "filled_at", "slippage_bps", "violations",
}  # fmt: skip
STATUSES = {
    "planned", "cut", "dropped", "intended", "unknown", "open", "partially_filled", "filled", "canceled", "expired",
    "rejected", "refused",
}  # fmt: skip
PHASES = {
    "received", "reviewing", "awaiting_open", "selling", "gate", "fitting", "rechecking", "buying", "verifying", "held",
    "completed", "rejected", "aborted", "expired",
}  # fmt: skip


def shown(driver: Driver) -> dict:
    """A view, after it went through JSON."""
    return json.loads(json.dumps(view_phase(driver.phase)))


@pytest.mark.parametrize(
    ("go", "phase"),
    [
        (lambda driver: None, "received"),
        (lambda driver: driver.begin(), "received"),
        (lambda driver: driver.begin().look(), "reviewing"),
        (lambda driver: driver.begin().look(is_open=False).review(), "awaiting_open"),
        (lambda driver: driver.to_selling(), "selling"),
        (lambda driver: driver.to_gate(), "gate"),
        (lambda driver: driver.to_fitting(), "fitting"),
        (lambda driver: driver.to_rechecking(), "rechecking"),
        (lambda driver: driver.to_buying(), "buying"),
        (lambda driver: driver.to_verifying(), "verifying"),
        (lambda driver: driver.to_verifying().look(), "completed"),
        (lambda driver: driver.to_selling().timer(Deadline.SILENCE), "held"),
    ],
)
def test_every_phase_shows_the_contracts_fields(go, phase):
    driver = Driver.of(a_plan(sells=1, buys=1))
    go(driver)

    view = shown(driver)

    assert set(view) >= CONTRACT
    assert set(view["gate"]) >= GATE
    assert all(set(leg) >= LEG for leg in view["legs"])
    assert view["phase"] == phase
    assert view["phase"] in PHASES
    assert view["outcome"] == ("completed" if phase == "completed" else None)
    assert {leg["status"] for leg in view["legs"]} <= STATUSES


def test_a_finished_run_shows_orders_money_and_times():
    view = shown(Driver.of(a_plan(sells=1, buys=1)).to_verifying().look())

    sell, buy = view["legs"]
    assert (sell["status"], sell["filled_qty"], sell["filled_avg_price"]) == ("filled", "10", "100")
    assert sell["client_order_id"].endswith("-S01-1")
    assert view["gate"]["proceeds"] == "1000"
    assert view["gate"]["cash_before"] == "1000"
    assert view["gate"]["cash_at_gate"] == "2000"
    assert view["gate"]["buys_value"] == "1000"
    assert view["gate"]["last_sell_filled_at"] == "2025-11-10T15:09:12Z"
    assert view["gate"]["first_buy_sent_at"] == "2025-11-10T15:09:12Z"
    assert buy["slippage_bps"] == "0.0"
    assert view["verification"] == {"ok": True, "differences": []}
    assert view["ended_at"] == "2025-11-10T15:09:12Z"


def test_a_held_run_says_why_and_where_it_goes_on():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling().order("S01", OrderStatus.CANCELED, 4).look()

    view = shown(driver)

    assert view["reason"] == "sell_shortfall"
    assert view["resume_to"] == "selling"
    assert view["waiting_for"] == "sell_shortfall: SA canceled, 4 of 10 filled"


def test_a_selling_run_names_what_it_waits_for():
    driver = Driver.of(a_plan(sells=2, buys=1)).to_selling().fill("S01")

    assert waiting_for(driver.phase) == "orders to fill: SB"
    assert isinstance(driver.phase, Selling)


def test_a_mismatch_is_shown_with_its_figures():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().fill("S01").look()
    driver.timer(Deadline.VERIFY_WAIT).look(cash=Decimal(1000))

    view = shown(driver)

    assert isinstance(driver.phase, Held)
    assert driver.phase.reason is HoldReason.VERIFICATION_MISMATCH
    assert view["verification"] == {
        "ok": False,
        "differences": [{"what": "cash", "expected": "2000.00", "seen": "1000.00"}],
    }


def test_a_cut_leg_keeps_its_planned_quantity_beside():
    driver = Driver.of(a_plan(sells=0, buys=2)).to_fitting()
    first, second = (leg.model_copy(update={"qty": qty}) for leg, qty in zip(_asked(driver), (4, 0), strict=True))
    driver.fit(legs=(first, second.model_copy(update={"decision": "drop"})))

    one, two = shown(driver)["legs"]

    assert (one["status"], one["qty"], one["planned_qty"]) == ("cut", "4", "10")
    assert (two["status"], two["qty"], two["planned_qty"]) == ("dropped", "0", "10")


def _asked(driver: Driver):
    from messages.proposals import FitBuys
    from tests.unit.executive.machine import decisions

    return decisions(driver.last_sent(FitBuys).trades)


@pytest.mark.parametrize("status", OrderStatus)
def test_every_order_status_has_a_word_of_the_contract(status):
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().order("S01", status)
    (leg,) = driver.run.sells

    assert leg_status(leg) in STATUSES


def test_a_leg_handed_to_trading_is_intended():
    (leg,) = Driver.of(a_plan(sells=1, buys=0)).to_selling().run.sells

    assert leg_status(leg) == "intended"


@pytest.mark.parametrize(
    ("side", "price", "bps"), [(Side.BUY, "100.38", "38.0"), (Side.SELL, "99.62", "38.0"), (Side.SELL, "101", "-100.0")]
)
def test_slippage_counts_what_was_lost_against_the_reference(side, price, bps):
    buys = int(side is Side.BUY)
    driver = Driver.of(a_plan(sells=1 - buys, buys=buys))
    name = "B01" if buys else "S01"
    (driver.to_buying if buys else driver.to_selling)()
    driver.order(name, OrderStatus.FILLED, filled_avg_price_usd=Decimal(price))

    assert str(slippage_bps(driver.run.leg(name))) == bps


# -- through the counter: the same fold, in another process ------------------------------------------------------


class Desk:
    """The CEO over a mailroom, without the rest of the firm."""

    def __init__(self) -> None:
        self.mailroom = FakeMailroom(ACCOUNT)
        self.settings: Settings = some_settings()
        self.sha256 = self.settings.sha256()
        self.mailroom.remember_settings(self.sha256, self.settings.document())
        self.department = ExecutiveDepartment(ACCOUNT)
        self.state = self.department.initial()

    def post(self, message: Message, name: str) -> None:
        self.mailroom.counter().post(message_id=name, recipient=Recipient.EXECUTIVE, message=message, at=NOW)

    def work(self) -> None:
        """Import the letters and handle what is due."""
        self.mailroom.import_letters(NOW)
        while waiting := [mail for mail in self.mailroom.unhandled(Recipient.EXECUTIVE) if mail.due_at is None]:
            for envelope in waiting:
                handled = self.department.handle(self.state, envelope, NOW, self.settings)
                self.mailroom.record(
                    handled=envelope,
                    at=NOW,
                    settings_sha256=self.sha256,
                    outgoing=handled.outgoing,
                    closes_run=handled.closes_run,
                    opens_run=handled.opens_run,
                )
                self.state = handled.state
        self.mailroom.flush()


def submitted(desk: Desk, *plans) -> list[SubmitPlan]:
    letters = [a_submission(plan) for plan in plans]
    for letter in letters:
        desk.post(letter, f"submit:{letter.run_id}")
    return letters


def test_a_plan_nobody_ever_handed_in_is_not_shown():
    assert view_run(Desk().mailroom.counter(), run_id_of(a_plan())) is None


def test_a_plan_that_no_daemon_has_taken_up_waits_for_one():
    desk = Desk()
    (letter,) = submitted(desk, a_plan())

    view = view_run(desk.mailroom.counter(), letter.run_id)

    assert view["phase"] == "received"
    assert view["waiting_for"] == "the daemon"
    assert [run["run_id"] for run in view_firm(desk.mailroom.counter())["runs"]] == [letter.run_id]


def test_the_view_of_a_run_is_the_ceos_own_state():
    desk = Desk()
    (letter,) = submitted(desk, a_plan())
    desk.work()

    assert view_run(desk.mailroom.counter(), letter.run_id) == view_phase(desk.state.runs[letter.run_id])


def test_a_run_behind_another_waits_for_it():
    desk = Desk()
    one, two = submitted(desk, a_plan(plan_id="ONE"), a_plan(plan_id="TWO"))
    desk.work()

    assert view_run(desk.mailroom.counter(), two.run_id)["waiting_for"] == f"run {one.run_id} to end"


def test_a_closed_run_is_shown_from_its_history():
    desk = Desk()
    (letter,) = submitted(desk, a_plan())
    desk.work()
    desk.post(AbortRun(run_id=letter.run_id, by="mara"), "abort")
    desk.work()

    view = view_run(desk.mailroom.counter(), letter.run_id)

    assert letter.run_id not in desk.state.runs
    assert (view["phase"], view["outcome"], view["reason"]) == ("aborted", "aborted", "aborted by mara")


def test_the_firm_shows_halts_and_runs():
    desk = Desk()
    submitted(desk, a_plan())
    desk.post(HaltTrading(reason="news", by="mara"), "halt")
    desk.work()

    view = view_firm(desk.mailroom.counter())

    shown = (view["trading_state"], view["trading_because"], view["trading_set_by"])
    assert shown == ("HALTED", "news", "mara")
    assert [run["phase"] for run in view["runs"]] == ["held"]
    assert view["dead_letters"] == []


def test_times_are_utc_with_a_z():
    driver = Driver.of(a_plan(sells=1, buys=0))
    driver.now = NOW + timedelta(seconds=1)

    assert shown(driver.begin())["started_at"] == "2025-11-10T15:09:13Z"


TOO_SMALL = Violation(
    code="POSITION_VALUE_BELOW_MIN",
    leg=LegId("B01"),
    rule="minimum position value in USD",
    figure="480",
    limit="500",
    file="compliance_config.yaml",
    key="position_sizing.min_position_value",
)


def denied_and_rejected() -> Driver:
    """Ours: B01 too small. Alpaca's: B02 refused at the POST, B03 taken and rejected. B04 is filled."""
    driver = Driver.of(a_plan(sells=0, buys=4)).to_rechecking()
    legs = [
        leg.model_copy(update={"decision": "drop", "qty": Decimal(0), "violations": (TOO_SMALL,)})
        if leg.leg == "B01"
        else leg
        for leg in decisions(driver.last_sent(ReviewPlan).trades)
    ]
    driver.review(legs=tuple(legs))
    driver.order("B02", OrderStatus.REFUSED, reason="403 40310000: insufficient buying power")
    driver.order("B03", OrderStatus.REJECTED, reason="the broker took the order and rejected it")
    return driver.fill("B04")


def test_what_we_denied_and_what_the_broker_rejected_are_told_apart():
    view = shown(denied_and_rejected())

    assert [(one["leg"], one["code"], one["became"], one["figure"], one["key"]) for one in view["denied"]] == [
        ("B01", "POSITION_VALUE_BELOW_MIN", "dropped", "480", "position_sizing.min_position_value")
    ]
    assert [(one["leg"], one["status"], one["reason"]) for one in view["rejected"]] == [
        ("B02", "refused", "403 40310000: insufficient buying power"),
        ("B03", "rejected", "the broker took the order and rejected it"),
    ]
    by_leg = {leg["leg"]: leg for leg in view["legs"]}
    assert (by_leg["B01"]["status"], by_leg["B01"]["reason"]) == ("dropped", None)
    assert [by_leg[leg]["violations"] for leg in ("B02", "B03", "B04")] == [[], [], []]


def test_a_plan_rejected_as_a_whole_tells_its_reason_once():
    doubled = TOO_SMALL.model_copy(update={"code": "LEG_DOUBLED", "leg": None, "file": None, "key": None})
    driver = Driver.of(a_plan(sells=0, buys=1)).begin().look()
    legs = tuple(
        leg.model_copy(update={"decision": "drop", "qty": Decimal(0), "violations": (TOO_SMALL,)})
        for leg in decisions(driver.last_sent(ReviewPlan).trades)
    )
    driver.review(rejected=True, legs=legs, violations=(doubled,))

    view = shown(driver)

    assert [(one["leg"], one["code"]) for one in view["denied"]] == [
        ("B01", "POSITION_VALUE_BELOW_MIN"),
        (None, "LEG_DOUBLED"),
    ]
    assert view["rejected"] == []


def test_the_report_shows_them_in_two_tables(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    print_report(shown(denied_and_rejected()))

    ours, alpacas = capsys.readouterr().out.split("Rejected by Alpaca")
    assert "Denied by the firm's own rules" in ours
    assert "POSITION_VALUE_BELOW_MIN" in ours
    assert "compliance_config.yaml: position_sizing.min_position_value" in " ".join(ours.split())
    assert "insufficient buying power" in alpacas
    assert "insufficient buying power" not in ours
    assert "POSITION_VALUE_BELOW_MIN" not in alpacas
