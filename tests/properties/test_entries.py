"""Whatever the executions: lots add up to the position, and the entry is where a share-by-share reckoning has it.

Each planted fault must be caught by the same check.
"""

from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from departments.portfolio import entries as module
from departments.portfolio.entries import Holding, entry_of, holding_of
from messages.values import Side
from tests.builders.fills import OPENED, fill, total
from tests.builders.portfolio import held


@st.composite
def stories(draw):
    """Executions of one symbol, oldest first; often of one instant, often closing exactly."""
    fills, position, minute = [], 0, 0
    for _ in range(draw(st.integers(0, 12))):
        minute += draw(st.sampled_from((0, 1, 1, 60)))
        closing = [-position] if position else []
        qty = draw(st.sampled_from([*closing, *closing, 1, 2, 3, 5, -1, -2, -3]))
        position += qty
        fills.append(fill(qty, minute))
    return fills


@st.composite
def told(draw):
    """A story, and the same as a list of activities may bring it: in another order, some of it twice."""
    fills = draw(stories())
    again = draw(st.lists(st.sampled_from(fills), max_size=4)) if fills else []
    return fills, draw(st.permutations(fills + again))


def share_by_share(fills):
    """An independent reckoning of a story without two executions at one instant: one share after the other.

    Returns:
        The position, the times at which its shares were bought or sold short, and of the first since flat.
    """
    queue, sign, since = deque(), 0, None
    for one in sorted(fills, key=lambda one: one.at):
        way = 1 if one.side is Side.BUY else -1
        for _ in range(int(one.qty)):
            if not queue:
                sign, since = way, one.at
            if way == sign:
                queue.append(one.at)
            else:
                queue.popleft()
    return sign * len(queue), list(queue), since if queue else None


def one_instant_each(fills):
    return [one.model_copy(update={"at": OPENED + timedelta(minutes=index)}) for index, one in enumerate(fills)]


def check(fills, shuffled):
    holding = holding_of(shuffled)
    assert holding == holding_of(fills)
    assert holding.qty == total(fills)
    assert len({lot.qty > 0 for lot in holding.lots}) <= 1
    assert (holding.opened is None) == (not holding.lots)
    assert [lot.fill.at for lot in holding.lots] == sorted(lot.fill.at for lot in holding.lots)
    for lot in holding.lots:
        assert 0 < abs(lot.qty) <= lot.fill.qty
        assert holding.opened.at <= lot.fill.at

    order = {one.activity_id: index for index, one in enumerate(fills)}
    apart = one_instant_each(fills)
    later = [apart[order[one.activity_id]] for one in shuffled]
    holding = holding_of(later)
    position, times, since = share_by_share(apart)
    assert holding.qty == position
    assert [lot.fill.at for lot in holding.lots for _ in range(int(abs(lot.qty)))] == times
    if holding.doubt is None:
        assert (holding.opened.at if holding.opened else None) == since


def check_growth(fills):
    """What comes later moves an entry only by way of flat."""
    before = Holding()
    for count in range(1, len(fills) + 1):
        after = holding_of(one_instant_each(fills[:count]))
        if before.lots and after.lots and before.qty * after.qty > 0:
            assert after.opened == before.opened
        elif after.lots:
            assert after.opened.activity_id == fills[count - 1].activity_id
        before = after


def check_entry(fills, shown, flat_minute):
    """An entry is told only where fills explain what is shown, and never from before a look that showed none."""
    flat_at = None if flat_minute is None else OPENED + timedelta(minutes=flat_minute)
    entry = entry_of(held("AAA", shown, 10), fills, flat_at)
    assert (entry.opened is None) == (entry.unknown_because is not None)
    if entry.opened is None:
        assert entry.lots == ()
        return
    assert sum(lot.qty for lot in entry.lots) == shown
    assert flat_at is None or entry.opened.at > flat_at


@settings(max_examples=300, deadline=None)
@given(told())
def test_lots_add_up_whatever_the_order_and_however_often_told(story):
    check(*story)


@settings(max_examples=200, deadline=None)
@given(stories())
def test_an_entry_moves_only_by_way_of_flat(fills):
    check_growth(fills)


@settings(max_examples=300, deadline=None)
@given(stories(), st.integers(-6, 6).filter(bool), st.none() | st.integers(0, 100))
def test_what_is_not_explained_is_not_told(fills, off, flat_minute):
    shown = total(fills) + (off if off > 2 else 0)
    if shown:
        check_entry(fills, shown, flat_minute)


STORIES = [
    [fill(5, 0), fill(3, 1), fill(-4, 2)],
    [fill(5, 0), fill(-5, 1), fill(2, 2)],
    [fill(2, 0), fill(3, 0, activity_id="0"), fill(-1, 1)],
]
AFTER = module._after


def check_stories():
    for fills in STORIES:
        check(fills, [*reversed(fills), *fills])
        check_growth(fills)


def last_in_first_out(lots, qty):
    return tuple(reversed(WITHOUT(tuple(reversed(lots)), qty)))


def add_on_moves_entry(before, one):
    after = AFTER(before, one)
    return replace(after, opened=after.lots[-1].fill) if after.lots else after


def reopening_keeps_entry(first):
    def after(before, one):
        made = AFTER(before, one)
        return replace(made, opened=first) if made.lots else made

    return after


WITHOUT = module._without
FAULTS = {
    "lots last in, first out": ("_without", last_in_first_out),
    "an add-on moves the entry": ("_after", add_on_moves_entry),
    "a new entry keeps the old date": ("_after", reopening_keeps_entry(STORIES[1][0])),
    "what is told twice counts twice": ("distinct", tuple),
    "in the order in which they come": ("in_order", list),
    "a SELL counts as a BUY": ("shares", lambda one: one.qty),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(monkeypatch, fault):
    check_stories()
    monkeypatch.setattr(module, *FAULTS[fault])

    with pytest.raises(AssertionError):
        check_stories()


def test_an_entry_invented_for_unexplained_shares_is_caught(monkeypatch):
    fills = [fill(5, 0)]
    check_entry(fills, 9, None)
    monkeypatch.setattr(module.Holding, "qty", property(lambda _: 9))

    with pytest.raises(AssertionError):
        check_entry(fills, 9, None)


def test_an_entry_from_before_a_look_that_showed_none_is_caught(monkeypatch):
    fills = [fill(5, 0)]
    check_entry(fills, 5, 3)
    monkeypatch.setattr(module, "_doubted_by", lambda _, holding: holding)

    with pytest.raises(AssertionError):
        check_entry(fills, 5, 3)
