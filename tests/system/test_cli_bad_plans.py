"""Bad plans at the command line: exit 2, within a moment, one clear line with file and line, no traceback."""

import json
import os
import subprocess
import time

import pytest

from tests.builders import november
from tests.daemon import Home

FAST_LIMIT_S = 3.0
"""The contract gives bad input 3 s; measured is a tenth of that."""
BUSY_FACTOR = 4
"""Other tests run on the same cores."""

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


BAD_PLANS: dict[str, tuple[bytes, int | None, str]] = {
    "malformed YAML": (b"plan_id: [P1\naccount: paper\n", 2, "is not YAML"),
    "unknown key": (changed("reference_price", "refrence_price").encode(), 4, "did you mean 'reference_price'?"),
    "negative": (changed('"190"', "-5").encode(), 4, "qty: '-5', expected a decimal"),
    "zero": (changed('"190"', "0").encode(), 4, "qty: '0', expected more than 0"),
    "huge exponent": (changed('"190"', "1e400").encode(), 4, "qty: '1e400', expected a decimal"),
    "NaN": (changed('"190"', "NaN").encode(), 4, "qty: 'NaN', expected a decimal"),
    "full-width digits": (changed('"190"', '"\uff11\uff19\uff10"').encode(), 4, "expected a decimal"),
    "duplicate key": (changed("side: sell", "side: sell, side: buy").encode(), 4, "key 'side' stands twice"),
    "duplicate top key": ((GOOD + "account: paper\n").encode(), 20, "key 'account' stands twice"),
    "tag": (changed('"190"', "!!python/name:os.system").encode(), 4, "tag"),
    "anchor bomb": (b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", 1, "anchor &a"),
    "100,000 brackets": (b"[" * 100_000, 1, "nested deeper than"),
    "10 MB": (b"#" * 10_000_000, None, "has 10000000 bytes, expected at most 262144"),
    "wrong account": (changed("account: paper", "account: papers").encode(), 2, "did you mean 'paper'?"),
    "not UTF-8": (GOOD.encode().replace(b"CTVA", b"CT\xffA"), 4, "is not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), 1, "is not UTF-8"),
    "empty": (b"", 1, "is empty"),
    "only a comment": (b"# nothing\n", 1, "is empty"),
    "two documents": ((GOOD + "---\n" + GOOD).encode(), 20, "a second document"),
    "a list": (b"- a\n", 1, "expected a mapping"),
    "NUL": (b"plan_id: P\x001\n", 1, "control character"),
    "symbol with a path": (changed("symbol: CTVA", "symbol: ../etc").encode(), 4, "a ticker"),
    "side in capitals": (changed("side: sell", "side: SELL").encode(), 4, "expected buy or sell"),
    "expiry without an offset": ((GOOD + "expires_at: 2030-01-01T00:00:00\n").encode(), 20, "with its offset"),
    "JSON duplicate key": (b'{"plan_id": "P1",\n "plan_id": "P2"}', 2, "stands twice"),
    "NaN beside a quoted key": (
        changed('"190"', "NaN").replace("symbol: CTVA", '"symbol": "CTVA"').encode(),
        4,
        "'NaN', expected",
    ),
}


@pytest.mark.parametrize(
    ("what", "verb"), [*((what, "submit") for what in BAD_PLANS), ("NaN", "approve"), ("not UTF-8", "approve")]
)
def test_a_bad_plan_is_one_line_with_file_and_line(home, what, verb):
    data, line, words = BAD_PLANS[what]
    path = home.plans / "bad.yaml"
    path.write_bytes(data)

    began = time.monotonic()
    answer = home.firm(verb, str(path), *(["--yes"] if verb == "approve" else []))
    took = time.monotonic() - began

    said = answer.stderr.splitlines()
    assert answer.returncode == 2, answer
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    assert said[0].startswith(f"{path}:" if line is None else f"{path}:{line}: "), said
    assert words in said[0]
    assert "expected" in said[0] or "did you mean" in said[0]
    assert len(said) == 1
    assert took < FAST_LIMIT_S * BUSY_FACTOR
    assert not (home.plans / "bad.yaml.approval").exists()


@pytest.mark.parametrize("name", ["missing.yaml", "folder", "pipe", "/dev/zero"])
def test_what_is_no_file_is_refused_at_once(home, name):
    (home.plans / "folder").mkdir()
    os.mkfifo(home.plans / "pipe")
    path = home.plans / name

    said = assert_one_line(home.firm("submit", str(path), limit_s=FAST_LIMIT_S * BUSY_FACTOR))

    assert said.startswith(f"{path}: ")


def test_a_file_nobody_may_read_is_one_line(home):
    path = home.plans / "plan.yaml"
    path.symlink_to(path)

    assert "can't be opened" in assert_one_line(home.firm("submit", str(path)))


def test_on_is_a_symbol(home):
    run_id = home.submit(changed("symbol: CTVA", "symbol: ON"))

    legs = home.status(run_id)["legs"]
    assert legs[0]["symbol"] == "ON"


def test_a_json_plan_runs_too(home):
    trade = {"symbol": "COMM", "side": "buy", "qty": "210", "reference_price": 16.992}
    text = json.dumps({"plan_id": "P1", "account": "paper", "trades": [trade]})

    run_id = home.submit(text, "plan.json")

    leg = home.status(run_id)["legs"][0]
    assert (leg["leg"], leg["qty"], leg["reference_price"]) == ("B01", "210", "16.992")
