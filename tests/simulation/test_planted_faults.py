"""The simulation can fail: each fault planted into the firm breaks an invariant in some story.

Where two walls guard the same thing (the machine and the last door), both are breached, so that the watchman himself is
tried, and once each alone: then the other wall must answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest

from departments.compliance import department as compliance
from departments.executive import execution, run
from departments.executive.execution import Step, _Machine
from departments.office.actor import DepartmentActor
from departments.office.done import Done
from departments.rulebook import portfolio
from departments.trading import door, placing, reconcile, unknowns
from departments.trading.orders import Refused
from messages.orders import OrderIntent, OrderStatus
from messages.reviews import Violation
from messages.values import Recipient, SellShortfall, Side, TradingState
from tests.builders.plans import NOW, a_plan, a_submission, an_approval
from tests.fakes import mailroom as fake_mailroom
from tests.simulation import desk
from tests.simulation.firm import Incarnation
from tests.simulation.luck import Scripted
from tests.simulation.plots import plain, play
from tests.simulation.story import Plot, Story

Patch = pytest.MonkeyPatch
NO_DOOR = tuple(check for check in door.CHECKS if "gate" not in check.__name__)


def scripted(plot: Plot, *script: tuple[str, int], always: frozenset[str] = frozenset()) -> Callable[[], object]:
    """A story that is told without chance."""
    return lambda: Story(plot, Scripted(*script, always=always)).play()


def seeds(first: int, last: int) -> Iterator[Callable[[], object]]:
    """Stories of some seeds."""
    return (lambda seed=seed: play(seed) for seed in range(first, last))  # type: ignore[misc]  # bound early


def assert_caught(stories, words: str) -> None:
    """Some story breaks off, and for this reason."""
    for tell in stories:
        try:
            tell()
        except AssertionError as error:
            if words in str(error):
                return
    pytest.fail(f"no story said: {words}")


# -- invariant 1: SELLs first, proved ----------------------------------------------------------------------------------


def test_buys_placed_with_the_sells(monkeypatch: Patch):
    monkeypatch.setattr(_Machine, "enter_selling", _place_everything)

    assert_caught([scripted(plain())], "no bug of ours holds a run")


def test_buys_placed_with_the_sells_past_the_door(monkeypatch: Patch):
    monkeypatch.setattr(_Machine, "enter_selling", _place_everything)
    monkeypatch.setattr(door, "CHECKS", NO_DOOR)

    assert_caught([scripted(plain())], "1 every SELL")


def test_a_gate_without_proof(monkeypatch: Patch):
    monkeypatch.setattr(execution, "missing_proof", lambda _run, _snapshot: None)

    assert_caught([scripted(plain(), ("post.hidden", 1))], "Leg(trade=")


def test_an_acknowledgement_taken_for_a_fill(monkeypatch: Patch):
    monkeypatch.setattr(run, "TERMINAL", run.TERMINAL | {OrderStatus.OPEN})

    assert_caught([scripted(plain())], "3 what ended in our books ended at the broker")


def test_a_canceled_sell_taken_for_filled(monkeypatch: Patch):
    monkeypatch.setattr(run.Leg, "filled", property(lambda leg: leg.terminal))

    assert_caught([scripted(plain(), ("order.canceled", 1))], "no bug of ours holds a run")


def test_a_canceled_sell_taken_for_filled_past_the_door(monkeypatch: Patch):
    monkeypatch.setattr(run.Leg, "filled", property(lambda leg: leg.terminal))
    monkeypatch.setattr(door, "CHECKS", NO_DOOR)

    assert_caught([scripted(plain(), ("order.canceled", 1))], "1 every SELL is filled, or somebody decided")


def test_a_shortfall_that_nobody_decided_on(monkeypatch: Patch):
    original = _Machine.shortfall

    def always_resize(self, phase, reason, proved=None):
        resized = replace(phase, run=replace(phase.run, shortfall=SellShortfall.RESIZE))
        return original(self, resized, reason, proved)

    monkeypatch.setattr(_Machine, "shortfall", always_resize)

    assert_caught([scripted(plain(), ("order.rejected", 1))], "1 every SELL is filled, or somebody decided")


# -- invariant 2: one order, written down first ------------------------------------------------------------------------


def test_a_post_before_its_commit(monkeypatch: Patch):
    forget_the_barrier(monkeypatch)
    monkeypatch.setattr(door, "CHECKS", ())

    assert_caught([scripted(plain())], "2 the intent is durable before the POST")


def test_a_new_id_for_an_order_that_was_not_found(monkeypatch: Patch):
    monkeypatch.setattr(run.Leg, "intent", _with_a_new_id)
    monkeypatch.setattr(placing, "_first_attempt_forbidden", lambda _sheet, _intent: None)

    assert_caught([scripted(plain(), ("post.lost_on_the_way", 1))], "2 one order a leg and attempt")


def test_mail_handled_twice(monkeypatch: Patch):
    original = DepartmentActor.on_receive

    def forgetful(self, message):
        self._done = Done()
        original(self, message)

    monkeypatch.setattr(DepartmentActor, "on_receive", forgetful)

    assert_caught([scripted(plain(), ("mail.doubled", at)) for at in range(1, 12)], "handled already")


def test_a_successor_that_does_not_know_what_was_handled_before_him(monkeypatch: Patch):
    original = Incarnation._hire

    def forgetful(self, name):
        self._done[name] = Done()
        return original(self, name)

    monkeypatch.setattr(Incarnation, "_hire", forgetful)

    assert_caught([_deaths_around_timers], "handled already")


# -- invariant 3: unknown is unknown -----------------------------------------------------------------------------------


def test_a_timeout_taken_for_a_rejection(monkeypatch: Patch):
    def guess(sheet, record, message):
        if message.call == "submit":
            sheet.put_and_tell(record, replace(record, standing=Refused(sheet.now, "timeout")))

    monkeypatch.setattr(unknowns, "outcome_unknown", guess)

    assert_caught([scripted(plain(), ("post.lost_on_the_way", 1))], "3 only a refusal is a refusal")


def test_a_404_taken_for_absence_at_once(monkeypatch: Patch):
    monkeypatch.setattr(unknowns, "MISSES_FOR_ABSENCE", 1)
    original = unknowns.missing
    monkeypatch.setattr(
        unknowns, "missing", lambda sheet, record, message, _quiet: original(sheet, record, message, timedelta(0))
    )

    plot = plain(sells=1, buys=1, policy=SellShortfall.ABORT)
    script = (("post.answer_lost", 1), ("post.hidden", 1), ("order.slow", 1))
    story = scripted(plot, *script, always=frozenset({"frame.lost"}))
    assert_caught([story], "3 an order is not given up while it is there")


def test_a_refusal_of_a_resend_taken_for_proof(monkeypatch: Patch):
    def believe(sheet, record, message):
        sheet.put_and_tell(record, replace(record, standing=Refused(sheet.now, message.message)))

    monkeypatch.setattr(unknowns, "refused", believe)

    always = frozenset({"read.slow", "post.resend_refused_otherwise", "frame.lost"})
    story = scripted(plain(sells=1, buys=1), ("post.very_late", 1), always=always)
    assert_caught([story], "3 only a refusal is a refusal")


# -- invariants 5 and 6: quantities, money, approval -------------------------------------------------------------------


def test_more_bought_than_approved(monkeypatch: Patch):
    original = run.Leg.intent

    def generous(leg, run_id):
        intent = original(leg, run_id)
        more = 1 if leg.trade.side is Side.BUY else 0
        return intent.model_copy(update={"qty": intent.qty + more})

    monkeypatch.setattr(run.Leg, "intent", generous)
    monkeypatch.setattr(door, "CHECKS", ())

    assert_caught([scripted(plain())], "5 the quantity is the approved one")


def test_money_that_was_not_earned(monkeypatch: Patch):
    monkeypatch.setattr(portfolio, "spendable_usd", lambda *_, **__: Decimal(1_000_000))

    assert_caught([scripted(plain(sells=1, buys=3, cash_usd=Decimal(-3000)))], "5 the BUYs' reserved value")


def test_fills_that_fall(monkeypatch: Patch):
    monkeypatch.setattr(reconcile, "join", lambda _one, other: other)

    assert_caught(seeds(0, 120), "5 filled never falls")


def test_an_expired_approval(monkeypatch: Patch):
    monkeypatch.setattr(
        door, "CHECKS", tuple(check for check in door.CHECKS if check not in {door.approval_in_time, door.plan_in_time})
    )
    monkeypatch.setattr(_Machine, "stop", lambda _self, phase, *_: Step(phase))

    plan = a_plan(trades=plain().submissions[0][1].plan.trades)
    letter = a_submission(plan, an_approval(plan, expires_at=NOW + timedelta(seconds=15)))
    unreachable = [("post.unavailable", at) for at in range(1, 40)]
    assert_caught(
        [scripted(replace(plain(), submissions=((0.01, letter),)), *unreachable)], "6 the approval has not expired"
    )


# -- invariant 7: a halt is a halt -------------------------------------------------------------------------------------


def test_a_halt_that_the_door_does_not_see(monkeypatch: Patch):
    monkeypatch.setattr(door, "CHECKS", tuple(check for check in door.CHECKS if check is not door.state_allows))

    assert_caught([scripted(plain(), ("operator.halt", at)) for at in range(5, 60)], "7 no POST while halted")


def test_a_reduction_that_the_door_does_not_see(monkeypatch: Patch):
    monkeypatch.setattr(door, "CHECKS", tuple(check for check in door.CHECKS if check is not door.state_allows))

    stories = [scripted(plain(), ("operator.reduce", at)) for at in range(20, 120)]
    assert_caught(stories, "7 no BUY leaves while reducing or halted")


def test_a_reduction_taken_for_no_more_than_a_word(monkeypatch: Patch):
    monkeypatch.setattr(fake_mailroom, "state_after", lambda *_: TradingState.ACTIVE)
    monkeypatch.setattr(run.Run, "trading_state", property(lambda _run: TradingState.ACTIVE))

    stories = [scripted(plain(), ("operator.reduce", at)) for at in range(5, 120, 5)]
    assert_caught(stories, "7 no BUY leaves while reducing or halted")


def test_a_loss_that_nobody_heeds(monkeypatch: Patch):
    monkeypatch.setattr(_Machine, "heed", lambda _self, phase, verdict, follow: follow(phase, verdict))

    stories = [scripted(plain(), ("prices.fall", at)) for at in range(5, 120, 5)]
    assert_caught(stories, "7 no BUY leaves on a loss beyond its limit")


def test_a_resume_that_lifts_every_hold(monkeypatch: Patch):
    monkeypatch.setattr(_Machine, "resume", _lift_everything)

    assert_caught(
        (scripted(plain(), ("stranger", at), ("operator.halt", at + 9)) for at in range(20, 60, 5)),
        "a person's hold needs a person's word",
    )


# -- invariant 9: replay ----------------------------------------------------------------------------------------------


def test_a_machine_that_is_not_pure(monkeypatch: Patch):
    ticks = count()
    original = _Machine.timer

    def impure(self, run, deadline, delay_s, leg=None):
        return original(self, run, deadline, delay_s + next(ticks) % 3, leg)

    monkeypatch.setattr(_Machine, "timer", impure)

    assert_caught([scripted(plain(), ("crash", at)) for at in range(20, 60)], "9 repl")


# -- invariant 10: an end ---------------------------------------------------------------------------------------------


def test_a_department_that_may_stay_silent_for_ever(monkeypatch: Patch):
    monkeypatch.setattr(_Machine, "waiting_for_department", lambda _self, phase, _event, _what: Step(phase))
    monkeypatch.setattr(compliance, "review", lambda *_: _silent())

    with pytest.raises(_Silent):
        scripted(plain())()


def test_cancels_that_nobody_waits_for(monkeypatch: Patch):
    monkeypatch.setattr(run.Run, "live_and_found", property(lambda _run: ()))
    monkeypatch.setattr(execution, "verify", lambda _run, _snapshot: ())

    assert_caught(
        (scripted(plain(), ("order.slow", 1), ("operator.abort", at)) for at in range(20, 60, 3)),
        "an ended run has nothing open",
    )


def test_a_lost_timer(monkeypatch: Patch):
    original = _Machine.timer

    def lost(self, run, deadline, delay_s, leg=None):
        return original(self, run, deadline, 86_400 if deadline.value.endswith("timeout") else delay_s, leg)

    monkeypatch.setattr(_Machine, "timer", lost)

    assert_caught([scripted(plain(), ("order.never_fills", 1))], "10 every run ends or is held")


# -- invariant 11: SELLs are exempt from sizing ------------------------------------------------------------------------


def test_a_sizing_rule_that_blocks_a_sell(monkeypatch: Patch):
    original = compliance.review
    small = Violation(code="TOO_SMALL", leg=None, rule="minimum position value in USD", figure="1", limit="500")

    def strict(ask, limits, on_violation):
        verdict = original(ask, limits, on_violation)
        return verdict.model_copy(update={"rejected": True, "violations": (small,)})

    monkeypatch.setattr(compliance, "review", strict)

    assert_caught([scripted(plain())], "11 no sizing rule blocks a SELL")


# -- the faults --------------------------------------------------------------------------------------------------------


class _Silent(Exception):
    pass


def _silent():
    raise _Silent


def _deaths_around_timers():
    """Each timer that the CEO handles kills him, while copies of it are on their way."""
    story = Story(plain(), Scripted(("order.never_fills", 1)))
    story.play_dying(Recipient.EXECUTIVE, until=NOW + timedelta(seconds=70))


def forget_the_barrier(monkeypatch: Patch) -> None:
    original = desk.Desk.__init__

    def careless(self, **parts):
        original(self, **parts)
        self.barrier = lambda _seq: None

    monkeypatch.setattr(desk.Desk, "__init__", careless)


def _place_everything(self, run):
    run = replace(run, tick=run.tick + 1)
    run, sells = self.place(run, run.sells)
    run, buys = self.place(run, run.buys)
    return Step(execution.Selling(run=run), (*sells, *buys))


def _with_a_new_id(leg, run_id):
    trade = leg.trade
    return OrderIntent(
        leg=leg.leg,
        client_order_id=run.client_order_id_for(run_id, leg.leg, leg.attempt + leg.resends),
        symbol=trade.symbol,
        side=trade.side,
        qty=leg.qty,
        order_type=trade.order_type,
        limit_price_usd=trade.limit_price_usd,
    )


def _lift_everything(self, phase):
    while isinstance(phase, execution.Held):
        phase = phase.resume_to
    return self.reenter(phase)
