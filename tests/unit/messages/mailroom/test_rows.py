"""Rows: times are UTC text, ids are derived where none was given."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from messages.mailroom.rows import derived_id, instant, stamp


def test_a_time_is_written_in_utc_with_microseconds_wherever_it_came_from():
    there = datetime(2025, 11, 10, 10, 9, 12, 5, tzinfo=timezone(timedelta(hours=-5)))

    assert stamp(there) == "2025-11-10T15:09:12.000005+00:00"
    assert instant(stamp(there)) == there
    assert instant(stamp(there)).tzinfo == UTC


def test_text_times_sort_as_the_times_do():
    times = [datetime(2025, 11, 10, 15, 9, 12, micro, tzinfo=UTC) for micro in (0, 1, 999_999)]

    assert sorted(times) == [instant(text) for text in sorted(map(stamp, times))]


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="aware"):
        stamp(datetime(2025, 11, 10))  # noqa: DTZ001 - the point of the test


def test_ids_are_derived_from_numbers():
    assert derived_id(7, 3, 1) == "3.1"
    assert derived_id(7, None, 0) == "@7"
