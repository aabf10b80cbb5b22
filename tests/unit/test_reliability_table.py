"""docs/reliability.md names a test a row: each of them exists, and none of the system's fault tests is left out."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "crashes",
    "halts",
    "trading_states",
    "ambiguous_submits",
    "stream_faults",
    "stream_sockets",
    "closed_market",
    "broker_surprises",
    "policies",
    "monitor",
)
OF_THE_HARNESS = {"test_a_doubled_order_would_be_seen", "test_another_reckoning_would_be_seen"}


def text_of(*parts):
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def test_every_row_names_a_test_and_every_fault_test_has_a_row():
    named = set(re.findall(r"`(test_\w+)`", text_of("docs", "reliability.md")))
    sources = (text_of("tests", "system", f"test_{file}.py") for file in FILES)
    written = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)}

    assert named == written - OF_THE_HARNESS


def test_every_row_has_its_four_columns():
    rows = [
        line
        for line in text_of("docs", "reliability.md").splitlines()
        if line.startswith("| ") and not line.startswith("| fault")
    ]

    assert rows
    assert all(line.count(" | ") == 3 and "`test_" in line.rsplit(" | ", 1)[1] for line in rows)
