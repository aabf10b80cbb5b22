"""What was handled is known for as long as it can come twice, and no longer: a daemon runs for months."""

from departments.office.done import REMEMBERED, Done


def test_mail_that_was_handled_is_known():
    done = Done()
    done.add(7)
    done.add(7)

    assert 7 in done
    assert 8 not in done


def test_only_the_newest_are_kept():
    done = Done(remembered=3)
    for seq in (5, 1, 9, 2):
        done.add(seq)

    assert [seq for seq in (5, 1, 9, 2) if seq in done] == [1, 9, 2]


def test_a_year_of_mail_takes_no_more_room_than_a_week():
    done = Done()
    for seq in range(10 * REMEMBERED):
        done.add(seq)

    assert len(done._seqs) == len(done._order) == REMEMBERED
