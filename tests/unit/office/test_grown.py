"""A mapping that only grows is a dict to whoever reads it, and cheap to whoever adds to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.office.grown import Grown

ENTRIES = st.lists(st.tuples(st.integers(0, 40), st.integers()))


def grown(entries):
    made = Grown()
    for key, value in entries:
        made = made.plus(key, value)
    return made


@given(ENTRIES)
def test_it_reads_as_the_dict_of_the_same_entries(entries):
    made = grown(entries)

    assert made == dict(entries)
    assert len(made) == len(dict(entries))
    assert sorted(made) == sorted(dict(entries))


@given(ENTRIES, st.integers(0, 40))
def test_what_was_before_stays_as_it_was(entries, key):
    before = grown(entries)
    was = dict(before)

    before.plus(key, -1)

    assert before == was


def test_an_unknown_key_is_an_error_and_has_a_default():
    with pytest.raises(KeyError):
        Grown()["a"]
    assert Grown().plus("a", 1).get("b", 2) == 2


def test_adding_copies_little():
    copied = 0
    made = Grown()
    for number in range(1, 1025):
        before = {id(part) for part in made._parts}
        made = made.plus(number, number)
        copied += sum(len(part) for part in made._parts if id(part) not in before)

    assert copied <= 1024 * 11
