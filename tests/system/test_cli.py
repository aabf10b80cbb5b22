"""The `firm` command as a person types it, in processes of its own; no daemon runs."""

import json
import os
import re
import resource
import select
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.builders import november
from tests.daemon import FIRM, Home

GOOD = november.plan()


@pytest.fixture
def home(tmp_path):
    with Home(tmp_path, None) as made:
        yield made


def assert_one_line(answer: subprocess.CompletedProcess[str], code: int = 2) -> str:
    assert answer.returncode == code, answer
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    lines = answer.stderr.splitlines()
    assert len(lines) == 1, answer.stderr
    return lines[0]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_submit_prints_the_run_id_alone_and_the_same_one_again(home):
    path = home.plan(GOOD)

    first, second = home.firm("submit", str(path)), home.firm("submit", str(path))

    assert re.fullmatch(r"R[0-9a-f]{20}\n", first.stdout)
    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert "nothing new is started" in second.stderr


def test_a_plan_handed_in_before_needs_no_approval_to_be_named_again(home):
    path = home.plan(GOOD)
    first = home.firm("submit", str(path))
    (home.plans / "plan.yaml.approval").unlink()

    again = home.firm("submit", str(path))

    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_a_plan_without_an_approval_is_refused(home):
    path = home.plans / "plan.yaml"
    path.write_text(GOOD)

    assert "run firm approve first" in assert_one_line(home.firm("submit", str(path)))
    assert json.loads(home.firm("status", "--json").stdout)["runs"] == []


def test_a_byte_changed_after_the_approval_is_refused(home):
    path = home.plan(GOOD)
    path.write_text(changed("64.64", "64.65"))

    assert "was changed after it was approved" in assert_one_line(home.firm("submit", str(path)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"expires_at: .*", "expires_at: 2025-01-01T00:00:00Z", "the approval expired at 2025-01-01"),
        (r"account: .*", "account: growth", "the approval is for account growth"),
        (r"mode: .*", "mode: live", "the approval is for live trading"),
        (r"nonce: .*", "nonce: [", "is not YAML"),
    ],
)
def test_an_approval_that_does_not_cover_the_plan_is_refused(home, old, new, words):
    path = home.plan(GOOD)
    approval = home.plans / "plan.yaml.approval"
    approval.write_text(re.sub(old, new, approval.read_text()))

    assert words in assert_one_line(home.firm("submit", str(path)))


def test_an_expired_plan_is_not_approved(home):
    path = home.plans / "plan.yaml"
    path.write_text(GOOD + "expires_at: 2025-11-10T21:00:00Z\n")

    assert "the plan expired at 2025-11-10 21:00:00 UTC" in assert_one_line(home.firm("approve", str(path), "--yes"))


def test_approving_again_says_that_it_replaces_the_approval(home):
    path = home.plan(GOOD)

    again = home.firm("approve", str(path), "--yes")

    assert again.returncode == 0
    assert "is replaced" in again.stdout


def test_approve_shows_the_plan_and_asks_nobody_without_a_terminal(home):
    path = home.plans / "plan.yaml"
    path.write_text(GOOD)

    answer = home.firm("approve", str(path))

    assert answer.returncode == 2
    assert "CTVA" in answer.stdout
    assert "SELLs $36,475.24, BUYs $33,424.56" in answer.stdout
    assert answer.stderr == "firm approve: nobody to ask, expected a terminal or --yes\n"
    assert not (home.plans / "plan.yaml.approval").exists()


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_approve_asks_a_person_at_a_terminal(home, typed, code):
    path = home.plans / "plan.yaml"
    path.write_text(GOOD)
    ours, theirs = os.openpty()

    process = subprocess.Popen([str(FIRM), "approve", str(path)], env=home.env, stdin=theirs, stdout=subprocess.PIPE)
    os.write(ours, typed.encode())
    process.communicate(timeout=30)

    assert process.returncode == code
    assert (home.plans / "plan.yaml.approval").exists() is (code == 0)
    os.close(ours)
    os.close(theirs)


def test_status_knows_the_firm_and_its_runs(home):
    run_id = home.submit(GOOD)

    firm = json.loads(home.firm("status", "--json").stdout)
    text = home.firm("status").stdout

    assert (firm["account"], firm["daemon"], firm["trading_state"], firm["dead_letters"]) == (
        "paper",
        None,
        "ACTIVE",
        [],
    )
    assert [(run["run_id"], run["phase"]) for run in firm["runs"]] == [(run_id, "received")]
    assert run_id in text
    assert "\x1b" not in text


def test_status_of_a_run_waits_for_the_daemon_and_exits_0(home):
    run_id = home.submit(GOOD)

    answer = home.firm("status", run_id[:8], "--json")

    view = json.loads(answer.stdout)
    assert answer.returncode == 0
    assert (view["phase"], view["outcome"], view["waiting_for"]) == ("received", None, "the daemon")
    assert len(view["legs"]) == 16
    for verb in ("status", "report"):
        shown = home.firm(verb, run_id)
        assert shown.returncode == 0
        assert "CTVA" in shown.stdout


@pytest.mark.parametrize(
    ("verb", "run"),
    [
        ("status", "R00000000000000000000"),
        ("status", "\x1b[2J"),
        ("report", "R"),
        ("release", ""),
        ("abort", "'; drop table mail"),
    ],
)
def test_a_run_nobody_knows_is_bad_input(home, verb, run):
    assert "is no run of this firm" in assert_one_line(home.firm(verb, run))


def test_halts_are_seen_before_any_daemon_has_read_them(home):
    assert home.firm("halt", "--reason", "lunch").returncode == 0
    halted = json.loads(home.firm("status", "--json").stdout)
    assert home.firm("resume").returncode == 0
    resumed = json.loads(home.firm("status", "--json").stdout)

    assert (halted["trading_state"], halted["trading_because"]) == ("HALTED", "lunch")
    assert (resumed["trading_state"], resumed["trading_because"]) == ("ACTIVE", None)


def test_release_and_abort_are_handed_in_as_often_as_they_are_said(home):
    run_id = home.submit(GOOD)

    for verb in ("release", "abort", "abort"):
        answer = home.firm(verb, run_id)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert run_id in answer.stdout


def test_wait_gives_up_after_its_timeout_and_the_run_goes_on(home):
    path = home.plan(GOOD)

    answer = home.firm("submit", str(path), "--wait", "--timeout", "0.5")

    assert answer.returncode == 7
    assert re.fullmatch(r"R[0-9a-f]{20}\n", answer.stdout)
    assert "no daemon runs" in answer.stderr
    assert home.status(answer.stdout.strip())["phase"] == "received"


def test_verify_finds_an_empty_journal_whole(home):
    answer = home.firm("verify")

    assert answer.returncode == 0
    assert answer.stdout == "the journal is whole: 0 rows follow from each other\n"


def test_init_makes_what_is_missing_and_nothing_twice(tmp_path):
    env = {**os.environ, "FIRM_HOME": str(tmp_path / "home"), "FIRM_CONFIG": str(tmp_path / "config")}

    first, second = (
        subprocess.run([str(FIRM), "init"], env=env, capture_output=True, text=True, timeout=30, check=False)
        for _ in range(2)
    )

    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
    assert (tmp_path / "config" / "firm.yaml").exists()
    assert "copied" in first.stdout
    assert "left as it is" in second.stdout


def test_a_broken_configuration_is_told_line_by_line(home):
    (home.config / "executive_config.yaml").write_text("sell_timeout_s: -1\nfunding: credit\nzzz: 1\n")
    (home.config / "trading_config.yaml").unlink()

    answer = home.firm("start")

    said = [line.removeprefix(f"{home.config}/") for line in answer.stderr.splitlines()]
    assert answer.returncode == 2
    assert [line.split(": ")[0] for line in said] == [
        "executive_config.yaml:1",
        "executive_config.yaml:2",
        "executive_config.yaml:3",
        "trading_config.yaml",
    ]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"APCA_API_KEY_ID": ""}, "APCA_API_KEY_ID is not set"),
        ({"APCA_API_SECRET_KEY": ""}, "APCA_API_SECRET_KEY is not set"),
        ({"APCA_API_BASE_URL": "https://api.alpaca.markets"}, "firm.yaml says mode: paper"),
        ({"APCA_API_BASE_URL": "ftp://x"}, "APCA_API_BASE_URL: expected http"),
    ],
)
def test_start_says_on_one_line_what_it_lacks(home, env, words):
    home.env |= env

    said = assert_one_line(home.firm("start"), code=6 if "is not set" in words else 2)

    assert words in said
    assert "not-a-secret" not in said


def test_a_store_that_is_no_store_is_one_line(home):
    home.path.mkdir()
    (home.path / "firm.db").write_bytes(b"this is not a database at all" * 100)

    for words in (["status"], ["halt"], ["verify"], ["status", "R0123456789"]):
        assert "the store can't be used" in assert_one_line(home.firm(*words), code=6)


def test_a_home_that_can_not_be_made_is_one_line(home):
    home.path.write_text("a file")

    assert home.firm("status").returncode == 6
    assert "is not a folder" in assert_one_line(home.firm("init"))


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["submit"],
        ["submit", "a", "b"],
        ["halt", "--nonsense"],
        ["halt", "--reducing", "--cancel-orders"],
        ["tail", "--level", "loud"],
        ["tail", "-n", "-1"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_one_line(home, words):
    assert "firm" in assert_one_line(home.firm(*words))


def test_a_timeout_without_wait_is_bad_usage(home):
    assert "--wait" in assert_one_line(home.firm("submit", str(home.plan(GOOD)), "--timeout", "5"))


def test_help_names_every_verb_and_each_verb_has_its_own(home):
    text = home.firm("--help").stdout

    verbs = re.findall(r"^  ([a-z-]+)  +\S", text, re.MULTILINE)
    assert {"start", "approve", "submit", "status", "tail", "report", "halt", "resume", "release", "abort"} <= set(
        verbs
    )
    for verb in verbs:
        if verb[0].islower() and "-" not in verb[:1]:
            answer = home.firm(verb, "--help")
            assert (answer.returncode, answer.stderr) == (0, ""), verb
            assert answer.stdout.startswith(f"usage: firm {verb}")


HEAVY = ("sqlalchemy", "alpaca", "pandas", "numpy", "structlog", "rich", "typer", "uvicorn", "starlette", "pykka")


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], ()),
        (["status", "--json"], ()),
        (["status"], ("rich",)),
        (["submit", "plan.yaml"], ()),
        (["halt"], ()),
        (["resume"], ()),
        (["tail"], ()),
    ],
    ids=" ".join,
)
def test_a_command_imports_only_what_it_needs(home, words, allowed):
    """The start-up promise, by its cause: a machine's load can't blur what is imported."""
    home.plan(GOOD)
    home.env["PYTHONPROFILEIMPORTTIME"] = "1"

    answer = subprocess.run(
        [str(FIRM), *words], env=home.env, cwd=home.plans, capture_output=True, text=True, timeout=30, check=False
    )

    imported = set(re.findall(r"\| +([a-z_]+)$", answer.stderr, re.MULTILINE))
    assert "re" in imported or words == ["--help"]
    assert imported & set(HEAVY) <= set(allowed)
    assert words != ["--help"] or "pydantic" not in imported


def test_help_answers_before_a_person_notices(home):
    assert _cpu_s(home, "--help") < 0.3


def test_verbs_that_need_only_the_store_are_quick(home):
    path = home.plan(GOOD)
    home.env["PYTHONPYCACHEPREFIX"] = str(home.plans / "pycache")
    home.env.pop("PYTHONDONTWRITEBYTECODE", None)

    for words in (["submit", str(path)], ["status", "--json"], ["halt"]):
        assert _cpu_s(home, *words) < 0.7, words


def _cpu_s(home: Home, *words: str) -> float:
    """Processor time of the best of four tries: other tests on the same cores blur the clock on the wall."""
    best = float("inf")
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert home.firm(*words).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


RECORD = {"timestamp": "2025-11-10T15:09:12.123456Z", "level": "info", "event": "sells.filled", "message": "All filled"}


def write_log(home: Home, *records: dict) -> Path:
    path = home.path / "logs" / "firm.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(RECORD | record) + "\n" for record in records)
    return path


def test_tail_filters_and_reads_rotated_files_too(home):
    path = write_log(home, {"message": "oldest", "run_id": "R1", "department": "trading"})
    path.rename(path.with_name("firm.jsonl.1"))
    write_log(
        home,
        {"message": "debug", "level": "debug", "run_id": "R1", "department": "trading"},
        {"message": "other", "run_id": "R2", "department": "executive"},
        {"message": "worse", "level": "error", "run_id": "R1", "department": "executive"},
    )

    def said(*words: str) -> list[str]:
        answer = home.firm("tail", "--json", *words)
        return [json.loads(line)["message"] for line in answer.stdout.splitlines()]

    assert said() == ["oldest", "debug", "other", "worse"]
    assert said("-n", "2") == ["other", "worse"]
    assert said("--run", "R1") == ["oldest", "debug", "worse"]
    assert said("--department", "executive") == ["other", "worse"]
    assert said("--level", "warning") == ["worse"]
    assert home.firm("tail", "--run", "R2").stdout == "2025-11-10 15:09:12.123 INFO     executive  R2        other\n"


def test_tail_without_a_log_says_so(home):
    assert "no daemon has run here yet" in assert_one_line(home.firm("tail"))


def test_tail_follows_across_a_rotation_and_ends_cleanly(home):
    path = write_log(home, {"message": "first"})
    process = subprocess.Popen(
        [str(FIRM), "tail", "-f"], env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert "first" in _line(process)
        write_log(home, {"message": "before the rotation"})
        path.rename(path.with_name("firm.jsonl.1"))
        write_log(home, {"message": "after the rotation"})

        assert "before the rotation" in _line(process)
        assert "after the rotation" in _line(process)
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == "firm: interrupted\n"


def test_a_reader_that_leaves_is_no_failure(home):
    write_log(home, *({"message": f"line {n}"} for n in range(20_000)))

    process = subprocess.Popen(
        [str(FIRM), "tail"], env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()

    assert process.wait(20) == 0
    assert said == ""


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]  # checked above
    reader.start()
    reader.join(20)
    assert got, "no line came"
    return got[0]


def test_paper_alpaca_says_where_it_listens_and_stops_cleanly(home):
    process = subprocess.Popen([str(FIRM), "paper-alpaca"], env=home.env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 30)[0]
        assert re.fullmatch(r"listening on http://127\.0\.0\.1:[0-9]+\n", process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_paper_alpaca_refuses_a_state_it_can_not_read(home):
    assert "missing.yaml" in assert_one_line(home.firm("paper-alpaca", "--state", "missing.yaml"))
