import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.office.log_reading import LogFollower
from departments.office.log_writer import LogWriter, generation

LIMIT_S = 20.0


def a_writer(path: Path, **options) -> LogWriter:
    return LogWriter(path, render=lambda record: str(record["n"]), lost=lambda count: {"n": f"lost {count}"}, **options)


def everything(path: Path) -> list[str]:
    follower = LogFollower(path)
    try:
        return list(follower.poll())
    finally:
        follower.close()


def test_nothing_is_lost_on_a_clean_stop(tmp_path):
    path = tmp_path / "logs" / "firm.jsonl"
    writer = a_writer(path)

    for n in range(5_000):
        writer.put({"n": n})

    assert writer.stop(LIMIT_S)
    assert everything(path) == [str(n) for n in range(5_000)]


def test_a_line_is_in_the_file_without_a_stop(tmp_path):
    path = tmp_path / "firm.jsonl"
    writer = a_writer(path)

    writer.put({"n": 1})

    assert writer.flush(LIMIT_S)
    assert path.read_text() == "1\n"
    writer.stop()


def test_what_does_not_fit_into_the_queue_is_counted_and_the_count_is_written(tmp_path):
    path = tmp_path / "firm.jsonl"
    gate = threading.Event()
    writing = threading.Event()

    def echo(record):
        writing.set()
        gate.wait(LIMIT_S)

    writer = a_writer(path, echo=echo, capacity_records=3)
    writer.put({"n": 0})
    assert writing.wait(LIMIT_S)
    for n in range(1, 11):
        writer.put({"n": n})
    gate.set()

    assert writer.stop(LIMIT_S)
    assert everything(path) == ["0", "1", "2", "3", "lost 7"]


def test_a_line_cut_off_by_a_crash_is_ended_before_the_next(tmp_path):
    path = tmp_path / "firm.jsonl"
    path.write_text('whole\n{"cut o')

    writer = a_writer(path)
    writer.put({"n": 1})
    writer.stop()

    assert path.read_text().splitlines() == ["whole", '{"cut o', "1"]


def test_files_rotate_by_size_and_only_some_are_kept(tmp_path):
    path = tmp_path / "firm.jsonl"
    writer = a_writer(path, max_bytes=50, keep_files=2)

    for n in range(1_000, 1_100):
        writer.put({"n": n})
    writer.stop()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["firm.jsonl", "firm.jsonl.1", "firm.jsonl.2"]
    assert all(file.stat().st_size <= 50 for file in tmp_path.iterdir())
    kept = everything(path)
    assert kept == [str(n) for n in range(1_100 - len(kept), 1_100)]


def test_the_log_is_for_the_owner_alone(tmp_path):
    a_writer(tmp_path / "firm.jsonl").stop()

    assert (tmp_path / "firm.jsonl").stat().st_mode & 0o077 == 0


def test_a_disk_that_is_full_ends_no_thread(tmp_path, monkeypatch, capsys):
    path = tmp_path / "firm.jsonl"
    writer = a_writer(path)
    real, full = os.write, [True]

    def write(file, data):
        if full[0] and threading.current_thread().name == "log-writer":
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    writer.put({"n": 1})
    assert writer.flush(LIMIT_S)
    full[0] = False
    writer.put({"n": 2})
    writer.stop()

    assert everything(path) == ["2", "lost 1"]
    assert capsys.readouterr().err.count("the log can't be written") == 1


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.integers(20, 120),
    st.sets(st.integers(0, 29)),
)
def test_a_follower_sees_every_line_once_and_in_order_across_rotations(tmp_path_factory, bursts, max_bytes, polls):
    path = tmp_path_factory.mktemp("log") / "firm.jsonl"
    follower = LogFollower(path)
    writer = a_writer(path, max_bytes=max_bytes, keep_files=99)
    seen: list[str] = []
    n = 0

    for at, burst in enumerate(bursts):
        for _ in range(min(burst, 5)):
            writer.put({"n": n})
            n += 1
        if at in polls:
            writer.flush(LIMIT_S)
            seen.extend(follower.poll())
    writer.stop()
    seen.extend(follower.poll())
    follower.close()

    assert seen == [str(number) for number in range(n)]


def test_a_follower_reads_while_another_thread_writes_and_rotates(tmp_path):
    path = tmp_path / "firm.jsonl"
    writer = a_writer(path, max_bytes=400, keep_files=90)
    follower = LogFollower(path)
    seen: list[str] = []
    done = threading.Event()

    def write():
        for n in range(3_000):
            writer.put({"n": n})
        writer.stop()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        seen.extend(follower.poll())
    thread.join(LIMIT_S)
    seen.extend(follower.poll())
    follower.close()

    numbers = [int(line) for line in seen]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 2_999


def test_a_follower_that_stays_with_the_name_instead_of_the_file_would_lose_lines(tmp_path):
    path = tmp_path / "firm.jsonl"
    path.write_text("1\n")
    follower = LogFollower(path)
    assert list(follower.poll()) == ["1"]

    with path.open("a") as file:
        file.write("2\n")
    path.rename(generation(path, 1))
    path.write_text("3\n")

    assert list(follower.poll()) == ["2", "3"]
    follower.close()


@pytest.mark.parametrize("text", ["", "half a line"])
def test_a_line_is_given_when_it_is_whole(tmp_path, text):
    path = tmp_path / "firm.jsonl"
    path.write_text(text)
    follower = LogFollower(path)

    assert list(follower.poll()) == []

    with path.open("a") as file:
        file.write("!\n")
    assert list(follower.poll()) == [text + "!"]
    follower.close()


def test_a_log_that_does_not_exist_yet_is_waited_for(tmp_path):
    follower = LogFollower(tmp_path / "firm.jsonl")
    assert list(follower.poll()) == []

    (tmp_path / "firm.jsonl").write_text("1\n")

    assert list(follower.poll()) == ["1"]
    follower.close()
