"""Words about trading: what they say together, and that those of older journals can still be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.codec import decode, encode
from messages.control import TRADING_WORDS, WORD_STATES, HaltTrading, ReduceTrading, ResumeTrading, state_after
from messages.reviews import Violation
from messages.values import TradingState

ACTIVE, REDUCING, HALTED = TradingState
HALT, REDUCE, RESUME = (
    HaltTrading(reason="x", by="m"),
    ReduceTrading(reason="x", by="m"),
    ResumeTrading(by="m"),
)


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ([], ACTIVE),
        ([HALT], HALTED),
        ([REDUCE], REDUCING),
        ([HALT, REDUCE], HALTED),
        ([REDUCE, HALT], HALTED),
        ([HALT, RESUME], ACTIVE),
        ([HALT, RESUME, REDUCE], REDUCING),
        ([REDUCE, RESUME], ACTIVE),
    ],
)
def test_a_word_restricts_further_or_not_at_all_and_only_a_resume_lifts(words, state):
    assert state_after(words) is state


@given(st.lists(st.sampled_from([HALT, REDUCE, RESUME])), st.sampled_from(TradingState))
def test_words_say_the_same_one_by_one_and_together(words, state):
    one_by_one = state
    for word in words:
        one_by_one = state_after([word], one_by_one)

    assert state_after(words, state) is one_by_one


def test_every_word_stands_for_a_state():
    assert set(WORD_STATES) == set(TRADING_WORDS)
    assert set(WORD_STATES.values()) == set(TradingState)


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("HaltTrading", '{"reason":"x","by":"m"}', HALT),
        (
            "HaltTrading",
            '{"reason":"x","by":"m","cancel_orders":true}',
            HALT.model_copy(update={"cancel_orders": True}),
        ),
        ("ResumeTrading", '{"by":"m"}', RESUME),
    ],
)
def test_words_of_journals_from_before_there_were_three_states_are_read(kind, body, message):
    assert decode(kind, 1, body, dict[str, str]().__getitem__) == message


def test_a_word_of_a_limit_survives_the_journal():
    why = Violation(code="DRAWDOWN_ABOVE_MAX", leg=None, rule="drawdown", figure="0.3", limit="0.2")
    word = ReduceTrading(reason="x", by="m", violations=(why,))

    stored = encode(word)

    assert decode(stored.type, stored.version, stored.body, dict[str, str]().__getitem__) == word
