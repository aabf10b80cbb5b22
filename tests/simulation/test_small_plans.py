"""Small plans, explored point by point: each trouble at each occasion that a quiet story offers, one story a point."""

from dataclasses import replace
from datetime import timedelta

import pytest

from departments.executive.phases import Ended, Outcome
from messages.values import Recipient, SellShortfall
from tests.builders.plans import NOW
from tests.simulation.luck import Scripted
from tests.simulation.plots import ODDS, plain
from tests.simulation.story import Plot, Story

SMALL = {
    "1 sell, 1 buy": plain(sells=1, buys=1),
    "2 sells, 2 buys": plain(sells=2, buys=2),
    "2 sells, no buys": plain(sells=2, buys=0),
    "no sells, 1 buy": plain(sells=0, buys=1),
}
EVERYWHERE = ("crash", "actor.dies", "mail.doubled")
WORDS = ("operator.halt", "operator.halt_cancel", "operator.reduce", "operator.abort", "operator.release")
WIRE = sorted(kind for kind in ODDS if kind.startswith(("post.", "cancel.", "read.", "snapshot.", "frame.")))
VENUE = sorted(kind for kind in ODDS if kind.startswith(("order.", "cash.")))
POINTS = ("market.closes", "account.blocked", "stranger", "stream.lost", "bust", "prices.move", "prices.fall")


def told(plot: Plot, *script: tuple[str, int], always: frozenset[str] = frozenset()) -> Story:
    """Play a scripted story; a failure names its script and tells it."""
    story = Story(plot, Scripted(*script, always=always))
    try:
        return story.play()
    except BaseException as error:
        error.add_note(f"script: {script}, always: {sorted(always)}")
        error.add_note(story.told())
        raise


def occasions(plot: Plot, trouble: str, *script: tuple[str, int], every: int = 1) -> range:
    """The occasions at which a trouble could strike, or every so manieth of them."""
    return range(1, told(plot, *script).luck.occasions[trouble] + 1, every)  # type: ignore[attr-defined]  # Scripted has


def outcome_of(story: Story) -> Outcome:
    """How the only run ended."""
    (phase,) = story.phases().values()
    assert isinstance(phase, Ended)
    return phase.outcome


def assert_filled(story: Story) -> None:
    """Everything was sold and bought, as planned."""
    (phase,) = story.phases().values()
    assert outcome_of(story) is Outcome.COMPLETED
    assert all(leg.filled for leg in phase.run.legs)
    assert not phase.run.differences


@pytest.mark.parametrize("name", SMALL)
def test_undisturbed_plans_are_executed_whole(name):
    assert_filled(told(SMALL[name]))


def test_a_plan_with_nothing_in_it_is_completed_with_nothing_to_do():
    story = told(plain(sells=0, buys=0))

    assert outcome_of(story) is Outcome.COMPLETED
    assert story.exchange.orders == {}


@pytest.mark.parametrize("eager", [False, True], ids=["what no effect needed is lost", "nothing recorded is lost"])
def test_a_crash_at_any_moment_changes_nothing_in_the_end(eager):
    plot = replace(SMALL["1 sell, 1 buy"], eager=eager)

    for at in occasions(plot, "crash"):
        assert_filled(told(plot, ("crash", at)))


@pytest.mark.parametrize("trouble", EVERYWHERE)
@pytest.mark.parametrize("name", SMALL)
def test_a_crash_a_death_or_a_double_changes_nothing_in_the_end(name, trouble):
    for at in occasions(SMALL[name], trouble, every=5):
        assert_filled(told(SMALL[name], (trouble, at)))


@pytest.mark.parametrize("lost", ["post.answer_lost", "post.lost_on_the_way", "post.hidden"])
def test_a_crash_anywhere_beside_a_lost_answer_keeps_every_order_single(lost):
    plot = SMALL["1 sell, 1 buy"]

    for at in occasions(plot, "crash", (lost, 1), every=5):
        told(plot, (lost, 1), ("crash", at))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("name", ["1 sell, 1 buy", "2 sells, no buys"])
def test_a_word_of_the_operator_at_any_moment_is_obeyed(name, word):
    plot = SMALL[name]

    for at in occasions(plot, word, every=4):
        story = told(plot, (word, at))

        if word in {"operator.halt", "operator.reduce", "operator.release"}:
            assert outcome_of(story) is Outcome.COMPLETED, at


@pytest.mark.parametrize("trouble", [*WIRE, *VENUE])
@pytest.mark.parametrize("policy", SellShortfall)
def test_each_call_and_each_order_may_go_wrong(policy, trouble):
    plot = plain(sells=1, buys=1, policy=policy)

    for at in list(occasions(plot, trouble))[:6]:
        told(plot, (trouble, at))
    told(plot, always=frozenset({trouble}))


@pytest.mark.parametrize("trouble", POINTS)
def test_the_world_may_change_at_any_moment(trouble):
    plot = SMALL["1 sell, 1 buy"]

    for at in occasions(plot, trouble, every=6):
        told(plot, (trouble, at))


@pytest.mark.parametrize("policy", SellShortfall)
@pytest.mark.parametrize(
    "end", ["order.rejected", "order.canceled", "order.expired", "order.never_fills", "post.refused"]
)
def test_a_sell_that_falls_short_is_treated_as_the_policy_says(policy, end):
    plot = plain(sells=2, buys=2, policy=policy)
    story = Story(plot, Scripted((end, 1)))

    story._set_the_scene()
    story._go_on(until=story.agenda.now() + timedelta(seconds=plot.trouble_s), or_all_ended=True)

    (phase,) = story.phases().values()
    bought = [leg for leg in phase.run.buys if leg.sent]
    match policy:
        case SellShortfall.HOLD:
            assert not bought
            assert not isinstance(phase, Ended)
            assert phase.reason.value in {"sell_shortfall", "sell_timeout"}
        case SellShortfall.RESIZE:
            assert isinstance(phase, Ended)
            assert bought
            assert outcome_of(story) is Outcome.COMPLETED
        case SellShortfall.ABORT:
            assert not bought
            assert outcome_of(story) is Outcome.ABORTED


@pytest.mark.parametrize("name", [Recipient.EXECUTIVE, Recipient.TRADING])
def test_an_actor_that_dies_after_everything_it_handles_disturbs_nothing(name):
    plot = plain(policy=SellShortfall.RESIZE)
    story = Story(plot, Scripted(("order.never_fills", 1)))

    story.play_dying(name, until=NOW + timedelta(seconds=90))

    assert outcome_of(story) is Outcome.COMPLETED
