"""The chain is broken by any change to any field of any row, by swapping rows, and by taking rows away."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from messages.mailroom.chain import FIRST_LINK, Break, Step, digest, follow, link
from messages.mailroom.rows import MailRow

WORD = st.text(max_size=5)
COVERED = [
    "seq",
    "message_id",
    "cause_seq",
    "position",
    "sender",
    "recipient",
    "sent_at",
    "due_at",
    "run_id",
    "type",
    "version",
    "body",
    "documents",
]
OF_HANDLING = ["handled_seq", "handled_at", "settings_sha256", "chain"]


@st.composite
def chains(draw, least=1):
    steps, previous, seq = [], FIRST_LINK, 0
    for place in range(1, draw(st.integers(least, 5)) + 1):
        rows = []
        for position in range(draw(st.integers(1, 3))):
            seq += 1
            cause, where = (None, 0) if position == 0 else (rows[0].seq, position - 1)
            name = draw(WORD) if position == 0 else None
            words = [draw(WORD) for _ in range(5)]
            rows.append(
                MailRow(seq, name, cause, where, words[0], words[1], words[2], None, words[3], words[4], 1, "{}", "")
            )
        at, under = draw(WORD), draw(WORD)
        previous = link(
            previous,
            handled_seq=place,
            handled_at=at,
            settings_sha256=under,
            handled=digest(rows[0]),
            outgoing=[digest(row) for row in rows[1:]],
        )
        handled = rows[0]._replace(handled_seq=place, handled_at=at, settings_sha256=under, chain=previous)
        steps.append(Step(handled, tuple(rows[1:])))
    return steps


def check(steps, last):
    return follow(FIRST_LINK, first=1, last=last, steps=steps)


def other(value):
    """Something else of the same kind; None becomes a word."""
    return value + 1 if isinstance(value, int) else f"{value or ''}x"


@given(steps=chains())
def test_a_chain_as_it_was_made_holds(steps):
    assert check(steps, len(steps)) == steps[-1].row.chain


@settings(max_examples=300)
@given(steps=chains(), data=st.data(), name=st.sampled_from(COVERED + OF_HANDLING))
def test_a_change_to_a_handled_row_breaks_it(steps, data, name):
    at = data.draw(st.integers(0, len(steps) - 1))
    row = steps[at].row
    steps[at] = Step(row._replace(**{name: other(getattr(row, name))}), steps[at].outgoing)

    found = check(steps, len(steps))

    assert isinstance(found, Break)
    assert found.handled_seq == at + 1


@settings(max_examples=300)
@given(steps=chains(), data=st.data(), name=st.sampled_from(COVERED))
def test_a_change_to_what_came_of_it_breaks_it(steps, data, name):
    at = data.draw(st.integers(0, len(steps) - 1))
    outgoing = list(steps[at].outgoing)
    assume(outgoing)
    which = data.draw(st.integers(0, len(outgoing) - 1))
    outgoing[which] = outgoing[which]._replace(**{name: other(getattr(outgoing[which], name))})
    steps[at] = Step(steps[at].row, tuple(outgoing))

    found = check(steps, len(steps))

    assert isinstance(found, Break)
    assert found.handled_seq == at + 1


@given(steps=chains(least=2), data=st.data())
def test_rows_in_another_order_break_it(steps, data):
    shuffled = data.draw(st.permutations(steps))
    assume(shuffled != steps)

    assert isinstance(check(shuffled, len(steps)), Break)


@given(steps=chains(least=2), data=st.data())
def test_rows_that_took_each_others_place_break_it(steps, data):
    one, two = sorted(data.draw(st.sets(st.integers(0, len(steps) - 1), min_size=2, max_size=2)))
    first, second = steps[one], steps[two]
    steps[one] = Step(second.row._replace(handled_seq=one + 1), second.outgoing)
    steps[two] = Step(first.row._replace(handled_seq=two + 1), first.outgoing)

    found = check(steps, len(steps))

    assert isinstance(found, Break)
    assert found.handled_seq == one + 1


@given(steps=chains(), data=st.data())
def test_a_row_taken_away_breaks_it(steps, data):
    gone = data.draw(st.integers(0, len(steps) - 1))

    found = check(steps[:gone] + steps[gone + 1 :], len(steps))

    assert isinstance(found, Break)
    assert found.handled_seq == gone + 1


@given(steps=chains(), data=st.data())
def test_mail_taken_away_or_added_breaks_it(steps, data):
    at = data.draw(st.integers(0, len(steps) - 1))
    step = steps[at]
    added = step.row._replace(seq=999, cause_seq=step.row.seq, position=len(step.outgoing))
    changed = step.outgoing[:-1] if step.outgoing and data.draw(st.booleans()) else (*step.outgoing, added)
    steps[at] = Step(step.row, tuple(changed))

    assert isinstance(check(steps, len(steps)), Break)


@given(steps=chains())
def test_what_is_no_history_is_not_covered(steps):
    steps = [Step(step.row._replace(attempts=3, aside_reason="failed"), step.outgoing) for step in steps]

    assert check(steps, len(steps)) == steps[-1].row.chain


def test_every_column_is_either_covered_or_said_not_to_be():
    assert set(MailRow._fields) == {*COVERED, *OF_HANDLING, "attempts", "aside_reason"}
